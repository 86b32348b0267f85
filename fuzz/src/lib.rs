//! What the fuzz targets share: questions that netloom asks, answered by bytes in the kernel's place, and
//! the bound on what reading them may allocate.

use std::alloc::System;
use std::fmt::Debug;
use std::sync::OnceLock;

use cap::Cap;
use netloom::nft::{Table, Transaction};
use netloom::{
    Address, Bridge, ConntrackFilter, Firewall, Ipv4Conf, Netns, Route, VethEnd, VethPair,
};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What reading an input may have allocated at any time: this, and so much for each of its bytes. An
/// element of a set may be four bytes long, and takes 400 when it is read.
const BOUND: usize = 256 << 10;
const PER_BYTE: usize = 512;

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

/// Asks the question that the first byte chooses, with the others in the kernel's place.
pub fn answer(questions: &[Question], data: &[u8]) {
    let [which, script @ ..] = data else { return };
    let question = &questions[usize::from(*which) % questions.len()];
    let netns = namespace();
    // What is opened once, and buffers that stay, are no part of the input's.
    static OPENED: OnceLock<()> = OnceLock::new();
    OPENED.get_or_init(|| {
        for question in questions {
            netloom::fuzzing::answered_by(&[0, 0], || (question.ask)(netns));
        }
    });
    within_bounds(script, || {
        netloom::fuzzing::answered_by(script, || (question.ask)(netns));
    });
}

/// Runs it, and aborts where it allocates more than an input of this length may.
pub fn within_bounds<T>(input: &[u8], work: impl FnOnce() -> T) -> T {
    let allowed = BOUND + PER_BYTE * input.len();
    ALLOCATOR.set_limit(ALLOCATOR.allocated() + allowed).expect("below what is allocated");
    let result = work();
    ALLOCATOR.set_limit(usize::MAX).expect("no limit");
    result
}

/// The namespace that is asked: the one the program was started in. Nothing is ever sent into it.
pub fn namespace() -> &'static Netns {
    static NETNS: OnceLock<Netns> = OnceLock::new();
    NETNS.get_or_init(|| Netns::current().expect("a namespace to ask"))
}
