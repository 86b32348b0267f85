//! The questions that the fuzz targets ask about a namespace, through the public API. The library's
//! own tests ask them as well.

use std::fmt::Debug;

use netloom::nft::{ObjectKind, Table, TableHandle, Transaction};
use netloom::{
    Address, Bridge, ConntrackFilter, Error, Firewall, Netns, PortForwardHandle, Route, Setting,
    VethEnd, VethPair,
};

/// A question to a namespace. The answer is formatted, as a program would log it.
pub struct Question {
    pub name: &'static str,
    pub ask: fn(&Netns) -> String,
}

fn shown<T: Debug, E: std::fmt::Display + Debug>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{error} {error:?}"),
    }
}

impl Question {
    /// Asks the question. The script answers instead of the kernel.
    pub fn answered_by(&self, script: &[u8], netns: &Netns) -> String {
        let text = netloom::fuzzing::answered_by(script, || (self.ask)(netns));
        forget(netns);
        text
    }
}

/// Empties the handle's cache of published ports by an error, so that each input starts without it.
pub fn forget(netns: &Netns) {
    let silence = netloom::fuzzing::answered_by(&[], || netns.port_forwards_with_tag("lab"));
    assert!(silence.is_err(), "answered by nobody: {silence:?}");
}

/// Asks a question about the first table with the seeds' tag.
fn tagged<T>(
    netns: &Netns,
    ask: impl FnOnce(&TableHandle) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    netns.nft_tables_with_tag("lab")?.first().map(ask).transpose()
}

/// Asks a question about each of many handles.
fn each<H, T>(
    all: Result<Vec<H>, Error>,
    ask: fn(&H) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    all?.iter().map(ask).collect()
}

/// Defines lists of questions.
macro_rules! questions {
    ($($(#[$doc:meta])* $list:ident { $($name:literal: |$netns:ident| $ask:expr,)+ })+) => {$(
        $(#[$doc])*
        pub const $list: &[Question] = &[$(Question { name: $name, ask: |$netns| shown($ask) },)+];
    )+};
}

questions! {
    /// Lists and look-ups over rtnetlink.
    RTNETLINK {
        "links": |netns| netns.links(),
        "addresses": |netns| netns.addresses(),
        "routes": |netns| netns.routes(),
        "neighbors": |netns| netns.neighbors(),
        "bridge-ports": |netns| netns.bridge_ports(),
        "link-by-name": |netns| netns.link("lo").and_then(|lo| lo.info()),
        "link-by-index": |netns| netns.link_at(1).and_then(|lo| lo.addresses()),
        "ipv4-conf": |netns| Setting::ipv4_forwarding("lo").read(netns),
        "peer-ids": |netns| netns.peer_ids(),
        "vlans": |netns| netns.link("port1").and_then(|port| port.vlans()),
        "bridge-info": |netns| netns.link("br0").and_then(|bridge| bridge.bridge_info()),
        "port": |netns| netns.link("port1").and_then(|port| port.port()),
        "address": |netns| netns.link("br0").and_then(|bridge| bridge.address("10.0.0.1/24")),
    }
    /// Whole rulesets, and look-ups in them.
    NF_TABLES {
        "ruleset": |netns| netns.nft_ruleset(),
        "nat-rules": |netns| netns.nat_rules_with_tag("lab"),
        "tagged-tables": |netns| netns.nft_tables_with_tag("lab"),
        "obstacles": |netns| Firewall::obstacles(netns),
        "persistent": |netns| netloom::persistent(netns),
        "port-forwards": |netns| netns.port_forwards_with_tag("lab"),
        "ports-in-force": |netns| each(netns.port_forwards_with_tag("lab"), PortForwardHandle::is_in_force),
        "nat-counter": |netns| each(netns.nat_rules_with_tag("lab"), |rule| rule.handle().counter()),
        "element": |netns| tagged(netns, |table| table.set("ports")?.get(22_u16)),
        "contains": |netns| tagged(netns, |table| table.set("ports")?.contains(23_u16)),
        "elements": |netns| tagged(netns, |table| table.set("ports")?.elements()),
        "map-element": |netns| tagged(netns, |table| table.set("hosts")?.get(80_u16)),
        "table": |netns| tagged(netns, TableHandle::read),
        "chain": |netns| tagged(netns, |table| table.chain("input")?.read()),
        "rules": |netns| tagged(netns, |table| {
            let rules = table.chain("input")?.rules()?;
            rules.first().map(|(rule, _)| Ok((rule.read()?, rule.counter()?))).transpose()
        }),
        "object": |netns| tagged(netns, |table| table.object(ObjectKind::Counter, "hits")?.read()),
        "guard": |netns| {
            let firewalls = netns.firewalls_with_tag("lab");
            firewalls.and_then(|all| all.first().map(|one| one.guard("port1")).transpose())
        },
    }
    /// Requests that the kernel refuses or acknowledges, and the resulting errors.
    ACKNOWLEDGEMENTS {
        "bridge": |netns| Bridge::new("br0").address("10.0.0.1/24").up().create(netns).map(drop),
        "veth-pair": |netns| {
            let near = VethEnd::new("veth1").master("br0").up();
            let far = VethEnd::new("veth2").address("fd00::1/64").gateway("fd00::2").up();
            VethPair::new(near, far).create(netns).map(drop)
        },
        "address": |netns| {
            netns.link_at(1).and_then(|lo| Address::new("10.0.0.1/8").create(&lo).map(drop))
        },
        "route": |netns| Route::new("10.9.0.0/16").via("10.0.0.2").create(netns).map(drop),
        "rename": |netns| netns.link_at(2).and_then(|link| link.rename("eth9")),
        "transaction": |netns| {
            let mut transaction = Transaction::new(netns);
            transaction.create_table(&Table::new(netloom::nft::Family::Inet, "t").persistent("lab"));
            transaction.create_table(&Table::new(netloom::nft::Family::Ip, "u").persistent("lab"));
            transaction.commit()
        },
    }
    /// Tracked connections.
    CONNTRACK {
        "list": |netns| netns.conntrack(),
        "filtered": |netns| ConntrackFilter::new().udp().mark_bits(1, 1).zone(3).list(netns),
        "delete": |netns| ConntrackFilter::new().udp().delete(netns),
    }
    /// Listening sockets.
    SOCK_DIAG {
        "listeners": |netns| netns.listeners(),
    }
}
