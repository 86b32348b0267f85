//! Published ports: 10,000 in one transaction, and one more and less beside any number of them, held and
//! persistent, compared with a raw replay: the same elements, built beforehand and sent with bare system calls.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a bench is no library

use std::hint::black_box;

use netloom::{Bridge, Link, Netns, Owned, PortForward, PortForwardHandle};

#[path = "harness/mod.rs"]
mod harness;
#[path = "nft_raw/mod.rs"]
mod nft_raw;

use harness::{Contender, compare, contender, settle, timed};
use nft_raw::{ACK, CREATE, NFT, Replay, fresh, open};

const MANY: u16 = 10_000;
const SIZES: [u16; 3] = [1, 1_000, 10_000];
const ONE_MORE: u16 = 60_000;
/// With which there is a table to begin with.
const FIRST: u16 = 50_000;

const HELD: Option<&str> = None;
const PERSISTENT: Option<&str> = Some("tag");

/// A host whose socket is open, with a bridge that leads to the containers.
fn host() -> (Owned<Netns>, Owned<Link>) {
    let host = fresh();
    let bridge = Bridge::new("br0").address("10.0.0.1/16").up().create(&host).unwrap();
    host.nft_generation().unwrap();
    settle(&host);
    (host, bridge)
}

fn port(number: u16, tag: Option<&str>) -> PortForward {
    let port = PortForward::new(number, "10.0.0.2").target_port(80);
    match tag {
        Some(tag) => port.tagged(format!("{tag} {}", number % 500)),
        None => port,
    }
}

fn ports(count: u16, tag: Option<&str>) -> Vec<PortForward> {
    (1..=count).map(|number| port(number, tag)).collect()
}

const NEW: u16 = 12;
const DELETE: u16 = 14;

/// The elements of a map as `PortForward` has them: protocol and port to address and port.
fn elements(batch: &mut Replay, kind: u16, ports: impl Iterator<Item = u16>) {
    let ports: Vec<_> = ports.collect();
    let mut chunks = ports.chunks(1_000).peekable();
    while let Some(chunk) = chunks.next() {
        let ack = if chunks.peek().is_none() { ACK } else { 0 };
        let flags = if kind == NEW { CREATE } else { 0 };
        batch.message(NFT | kind, flags | ack, 0, |message| {
            message.attribute(1, b"t\0");
            message.attribute(2, b"any\0");
            message.nested(3 | 0x8000, |list| {
                for port in chunk {
                    let [high, low] = port.to_be_bytes();
                    list.nested(1 | 0x8000, |element| {
                        let key = [6, 0, 0, 0, high, low, 0, 0];
                        element.nested(1 | 0x8000, |value| value.attribute(1, &key));
                        if kind == NEW {
                            let data = [10, 0, 0, 2, 0, 80, 0, 0];
                            element.nested(2 | 0x8000, |value| value.attribute(1, &data));
                        }
                    });
                }
            });
        });
    }
}

fn change(kind: u16, ports: impl Iterator<Item = u16>) -> Replay {
    Replay::batch(|batch| elements(batch, kind, ports))
}

/// A table with a map of these.
fn raw_table(ports: impl Iterator<Item = u16>) -> Replay {
    Replay::batch(|batch| {
        batch.message(NFT, CREATE, 0, |table| {
            table.attribute(1, b"t\0");
            table.attribute(2, &2_u32.to_be_bytes()); // the owner flag, so that it goes
        });
        batch.message(NFT | 9, CREATE, 0, |set| {
            set.attribute(1, b"t\0");
            set.attribute(2, b"any\0");
            set.attribute(3, &8_u32.to_be_bytes()); // a map
            set.attribute(4, &((12_u32 << 6) + 13).to_be_bytes());
            set.attribute(5, &8_u32.to_be_bytes());
            set.attribute(6, &((7_u32 << 6) + 13).to_be_bytes());
            set.attribute(7, &8_u32.to_be_bytes());
            set.nested(9 | 0x8000, |desc| desc.attribute(1, &65_536_u32.to_be_bytes()));
            set.attribute(10, &1_u32.to_be_bytes());
        });
        elements(batch, NEW, ports);
    })
}

/// Makes them, where one is already.
fn making_many(name: &'static str, tag: Option<&'static str>) -> Contender<'static> {
    let (host, bridge) = host();
    let first = port(FIRST, tag).create(&host).unwrap();
    let forwards = ports(MANY, tag);
    contender(name, move || {
        let _there = (&first, &bridge);
        let mut made = Vec::new();
        let time = timed(|| made = black_box(PortForward::create_all(&forwards, &host)).unwrap());
        Owned::delete_all(made).unwrap();
        time
    })
}

fn many() {
    let raw = fresh();
    let socket = open(&raw);
    raw_table([FIRST].into_iter()).run(&socket);
    let (more, less) = (change(NEW, 1..=MANY), change(DELETE, 1..=MANY));
    let replay = contender("raw replay", || {
        let time = timed(|| more.run(&socket));
        less.run(&socket);
        time
    });
    let ours = [making_many("held", HELD), making_many("persistent", PERSISTENT)];
    compare(&format!("{MANY} ports at once"), 21, ours.into_iter().chain([replay]).collect());
}

/// The first of a namespace brings the table, its chains and `route_localnet`, and takes them along.
fn first_of_all() {
    for (name, tag) in [("held", HELD), ("persistent", PERSISTENT)] {
        let (host, _bridge) = host();
        let forward = port(ONE_MORE, tag);
        let mut made = None;
        let add = timed(|| made = Some(forward.create(&host).unwrap()));
        let delete = timed(|| made.take().unwrap().delete().unwrap());
        println!("the first of all, {name}: add {add:.1?}, delete {delete:.1?}");
    }
}

/// A host with so many, to which one is added and taken away.
struct Beside {
    host: Owned<Netns>,
    bridge: Owned<Link>,
    there: Vec<Owned<PortForwardHandle>>,
    forward: PortForward,
}

impl Beside {
    fn new(size: u16, tag: Option<&str>) -> Self {
        let (host, bridge) = host();
        let forwards = ports(size, tag);
        let made = forwards.chunks(5_000);
        let there = made.flat_map(|ports| PortForward::create_all(ports, &host).unwrap()).collect();
        Self { host, bridge, there, forward: port(ONE_MORE, tag) }
    }
}

fn one_more(size: u16) {
    let sides = [Beside::new(size, HELD), Beside::new(size, PERSISTENT)];
    let raw = fresh();
    let socket = open(&raw);
    raw_table(1..=size).run(&socket);
    let (more, less) =
        (change(NEW, [ONE_MORE].into_iter()), change(DELETE, [ONE_MORE].into_iter()));
    let ours = |adds: bool| {
        [("held", &sides[0]), ("persistent", &sides[1])].map(|(name, side)| {
            contender(name, move || {
                let mut one = None;
                let add = timed(|| one = Some(side.forward.create(&side.host).unwrap()));
                let delete = timed(|| one.take().unwrap().delete().unwrap());
                if adds { add } else { delete }
            })
        })
    };
    let raw = |adds: bool| {
        let (socket, more, less) = (&socket, &more, &less);
        contender("raw replay", move || {
            let add = timed(|| more.run(socket));
            let delete = timed(|| less.run(socket));
            if adds { add } else { delete }
        })
    };
    for (word, adds) in [("more", true), ("less", false)] {
        let all = ours(adds).into_iter().chain([raw(adds)]).collect();
        compare(&format!("one {word} beside {size}"), 2_000, all);
    }
    for side in sides {
        Owned::delete_all(side.there).unwrap();
        drop(side.bridge);
    }
}

fn main() {
    many();
    first_of_all();
    SIZES.into_iter().for_each(one_more);
}
