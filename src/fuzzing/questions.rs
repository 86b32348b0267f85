//! What the targets ask of a namespace, through the public API; the library's own tests read it, too.

use std::fmt::Debug;

use netloom::nft::{Table, Transaction};
use netloom::{
    Address, Bridge, ConntrackFilter, Firewall, Ipv4Conf, Netns, Route, VethEnd, VethPair,
};

/// Something to ask of a namespace. What comes back is formatted, as a program would log it.
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

/// A row of questions, named by their code.
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
        "ipv4-conf": |netns| netns.link("lo").and_then(|lo| lo.ipv4_conf(Ipv4Conf::Forwarding)),
        "peer-ids": |netns| netns.peer_ids(),
    }
    /// Whole rulesets, and what is looked up in them.
    NF_TABLES {
        "ruleset": |netns| netns.nft_ruleset(),
        "nat-rules": |netns| netns.nat_rules("lab"),
        "tagged-tables": |netns| Table::find_tagged(netns, "lab"),
        "obstacles": |netns| Firewall::obstacles(netns),
        "persistent": |netns| netloom::persistent(netns),
    }
    /// Requests that are refused or acknowledged, with what the error makes of that.
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
        "rename": |netns| netns.link_at(2).and_then(|mut link| link.rename("eth9")),
        "transaction": |netns| {
            let mut transaction = Transaction::new(netns);
            transaction.create_table(&Table::new(netloom::nft::Family::Inet, "t").persistent("lab"));
            transaction.create_table(&Table::new(netloom::nft::Family::Ip, "u").persistent("lab"));
            transaction.commit()
        },
    }
    /// Connections that are tracked.
    CONNTRACK {
        "list": |netns| netns.conntrack(),
        "filtered": |netns| ConntrackFilter::new().udp().mark_bits(1, 1).zone(3).list(netns),
        "delete": |netns| ConntrackFilter::new().udp().delete(netns),
    }
    /// Sockets that listen.
    SOCK_DIAG {
        "listeners": |netns| netns.listeners(),
    }
}
