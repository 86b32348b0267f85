//! Measures published ports, held and persistent: 10,000 in one transaction, and one added to and
//! removed from any number. The raw replay sends the same elements, built beforehand, with bare
//! system calls. Persistent ports have two elements each, and comments, so they have another
//! replay.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a bench is no library

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use netloom::{Bridge, Link, Netns, Owned, PortForward, PortForwardHandle, Together};

#[path = "harness/mod.rs"]
mod harness;
#[path = "nft_raw/mod.rs"]
mod nft_raw;

use harness::{Contender, compare, contender, is_trial, settle, timed};
use nft_raw::{ACK, CREATE, NFT, Replay, fresh, open};

const MANY: u16 = 10_000;
const SIZES: [u16; 3] = [1, 1_000, 10_000];
const ONE_MORE: u16 = 60_000;
/// The port that creates the table before the first turn.
const FIRST: u16 = 50_000;

const HELD: Option<&str> = None;
const PERSISTENT: Option<&str> = Some("tag");

/// Creates a host whose socket is open, with a bridge that leads to the containers.
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
        Some(tag) => port.persistent(format!("{tag} {}", number % 500)),
        None => port,
    }
}

fn ports(count: u16, tag: Option<&str>) -> Vec<PortForward> {
    (1..=count).map(|number| port(number, tag)).collect()
}

/// Returns the address of the container that only this port leads to.
fn container(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [10, 0, high + 1, low]
}

/// Returns ports that each lead to another container.
fn ports_apart(count: u16) -> Vec<PortForward> {
    let one = |number| {
        PortForward::new(number, std::net::IpAddr::from(container(number))).target_port(80)
    };
    (1..=count).map(one).collect()
}

const NEW: u16 = 12;
const DELETE: u16 = 14;

/// Appends elements of a map, each written by `fill`, in as many messages as `PortForward` sends.
fn elements(
    batch: &mut Replay,
    kind: u16,
    set: &[u8],
    ports: impl Iterator<Item = u16>,
    fill: impl Fn(&mut Replay, u16),
) {
    let ports: Vec<_> = ports.collect();
    let mut chunks = ports.chunks(500).peekable();
    while let Some(chunk) = chunks.next() {
        let ack = if chunks.peek().is_none() { ACK } else { 0 };
        let flags = if kind == NEW { CREATE } else { 0 };
        batch.message(NFT | kind, flags | ack, 0, |message| {
            message.attribute(1, b"t\0");
            message.attribute(2, set);
            message.nested(3 | NESTED, |list| {
                for port in chunk {
                    list.nested(1 | NESTED, |element| fill(element, *port));
                }
            });
        });
    }
}

const NESTED: u16 = 0x8000;

fn comment(element: &mut Replay, text: &str) {
    let length = u8::try_from(text.len() + 1).unwrap();
    let parts: [&[u8]; 3] = [&[0, length], text.as_bytes(), &[0]];
    element.nested(6, |data| data.0.extend(parts.concat()));
}

/// Appends the elements that map a protocol and port to an address and port.
fn port_elements(
    batch: &mut Replay,
    kind: u16,
    ports: impl Iterator<Item = u16>,
    (target, tagged): (fn(u16) -> [u8; 4], bool),
) {
    elements(batch, kind, b"any\0", ports, |element, port| {
        let [high, low] = port.to_be_bytes();
        let key = [6, 0, 0, 0, high, low, 0, 0];
        element.nested(1 | NESTED, |value| value.attribute(1, &key));
        if kind == NEW {
            let [a, b, c, d] = target(port);
            let data = [a, b, c, d, 0, 80, 0, 0];
            element.nested(2 | NESTED, |value| value.attribute(1, &data));
            if tagged {
                comment(element, &format!("tag {}", port % 500));
            }
        }
    });
}

/// Appends the elements that list a tag's mappings.
fn tag_elements(batch: &mut Replay, kind: u16, ports: impl Iterator<Item = u16>) {
    elements(batch, kind, b"tags\0", ports, |element, port| {
        let mut key = [0x5a; 20];
        key[..2].copy_from_slice(&(port % 500).to_be_bytes());
        key[16..18].copy_from_slice(&(port / 500 + 1).to_be_bytes());
        key[18..].fill(0);
        element.nested(1 | NESTED, |value| value.attribute(1, &key));
        if kind == NEW {
            element.attribute(9, b"local-2\0"); // the object that the element refers to
            comment(element, &format!("0.0.0.0:{port}->10.0.0.2:80/tcp%2#9e3779b1"));
        }
    });
}

fn change_persistent(kind: u16, ports: std::ops::RangeInclusive<u16>) -> Replay {
    Replay::batch(|batch| {
        port_elements(batch, kind, ports.clone(), (lone, true));
        tag_elements(batch, kind, ports);
    })
}

/// Returns the address of the one container of most benches.
fn lone(_: u16) -> [u8; 4] {
    [10, 0, 0, 2]
}

fn change(kind: u16, ports: impl Iterator<Item = u16>, target: fn(u16) -> [u8; 4]) -> Replay {
    Replay::batch(|batch| port_elements(batch, kind, ports, (target, false)))
}

/// Builds the change of a port at one address.
fn change_addressed(kind: u16, port: u16) -> Replay {
    Replay::batch(|batch| {
        elements(batch, kind, b"addressed\0", [port].into_iter(), |element, port| {
            let [high, low] = port.to_be_bytes();
            let key = [6, 0, 0, 0, 10, 0, 0, 1, high, low, 0, 0];
            element.nested(1 | NESTED, |value| value.attribute(1, &key));
            if kind == NEW {
                let data = [10, 0, 0, 2, 0, 80, 0, 0];
                element.nested(2 | NESTED, |value| value.attribute(1, &data));
            }
        });
    })
}

/// Appends a set with this number, name and flags, whose keys have this type and length.
fn raw_set(
    batch: &mut Replay,
    (id, name, flags): (u32, &[u8], u32),
    (key, length): (u32, u32),
    size: u32,
    data: impl FnOnce(&mut Replay),
) {
    batch.message(NFT | 9, CREATE, 0, |set| {
        set.attribute(1, b"t\0");
        set.attribute(2, name);
        set.attribute(3, &flags.to_be_bytes());
        set.attribute(4, &key.to_be_bytes());
        set.attribute(5, &length.to_be_bytes());
        data(set);
        set.nested(9 | NESTED, |desc| desc.attribute(1, &size.to_be_bytes()));
        set.attribute(10, &id.to_be_bytes());
    });
}

/// Builds a table with maps of these ports.
fn raw_table(ports: impl Iterator<Item = u16>) -> Replay {
    Replay::batch(|batch| {
        batch.message(NFT, CREATE, 0, |table| {
            table.attribute(1, b"t\0");
            table.attribute(2, &2_u32.to_be_bytes()); // the owner flag: deleted with the socket
        });
        let map = 8;
        let target = |set: &mut Replay| {
            set.attribute(6, &((7_u32 << 6) + 13).to_be_bytes());
            set.attribute(7, &8_u32.to_be_bytes());
        };
        raw_set(batch, (1, b"any\0", map), ((12 << 6) + 13, 8), 65_536, target);
        // The map of ports that are published at one address.
        let key = ((12 << 12) + (7 << 6) + 13, 12);
        raw_set(batch, (3, b"addressed\0", map), key, 65_536, target);
        // The counter that a tag's elements refer to, and the map of these elements.
        batch.message(NFT | 0x12, CREATE, 0, |object| {
            object.attribute(1, b"t\0");
            object.attribute(2, b"local-2\0");
            object.attribute(3, &1_u32.to_be_bytes()); // a counter
            object.nested(4 | NESTED, |_| ());
        });
        let objects = 0x40;
        let counters = |set: &mut Replay| set.attribute(15, &1_u32.to_be_bytes());
        raw_set(batch, (2, b"tags\0", objects), ((8 << 6) + 13, 20), 196_608, counters);
        port_elements(batch, NEW, ports, (lone, false));
    })
}

/// Returns the contender that adds or deletes many ports beside one. Each turn starts after the
/// kernel has freed the previous turn's ports.
fn changing_many(
    name: &'static str,
    tag: Option<&'static str>,
    forwards: Vec<PortForward>,
    adds: bool,
) -> Contender<'static> {
    let (host, bridge) = host();
    let first = port(FIRST, tag).create(&host).unwrap();
    contender(name, move || {
        let _there = (&first, &bridge);
        let mut made = Vec::new();
        settle(&host);
        let add = timed(|| made = black_box(PortForward::create_all(&forwards, &host)).unwrap());
        let delete = timed(|| Together::new(made).delete().unwrap());
        if adds { add } else { delete }
    })
}

/// The name of the work, the contender, the tag, the ports, and the ports' raw replay.
type Kind<'a> =
    (String, &'static str, Option<&'static str>, Vec<PortForward>, &'a dyn Fn(u16) -> Replay);

fn many() {
    let raw = fresh();
    let socket = open(&raw);
    raw_table([FIRST].into_iter()).run(&socket);
    let apart = |kind| change(kind, 1..=MANY, container);
    let together = |kind| change(kind, 1..=MANY, lone);
    let persistent = |kind| change_persistent(kind, 1..=MANY);
    let kinds: [Kind<'_>; 3] = [
        (format!("{MANY} ports"), "held", HELD, ports(MANY, HELD), &together),
        (format!("{MANY} ports to as many containers"), "held", HELD, ports_apart(MANY), &apart),
        (
            format!("{MANY} persistent ports"),
            "persistent",
            PERSISTENT,
            ports(MANY, PERSISTENT),
            &persistent,
        ),
    ];
    for (work, name, tag, forwards, changes) in kinds {
        for (at_once, adds) in [("at once", true), ("less at once", false)] {
            let (raw, socket, more, less) = (&raw, &socket, changes(NEW), changes(DELETE));
            let replay = contender("raw replay", move || {
                settle(raw);
                let add = timed(|| more.run(socket));
                let delete = timed(|| less.run(socket));
                if adds { add } else { delete }
            });
            let ours = changing_many(name, tag, forwards.clone(), adds);
            compare(&format!("{work} {at_once}"), 21, vec![ours, replay]);
        }
    }
}

/// Measures the first port of a namespace, which also creates and deletes the table, its chains and
/// `route_localnet`. So "beside none" is more work than the other cases, which are compared with
/// "beside 1".
fn first_of_all() {
    for (name, tag) in [("held", HELD), ("persistent", PERSISTENT)] {
        let (host, _bridge) = host();
        let forward = port(ONE_MORE, tag);
        let (mut adds, mut deletes) = (Vec::new(), Vec::new());
        for _ in 0..if is_trial() { 1 } else { 51 } {
            let mut made = None;
            adds.push(timed(|| made = Some(forward.create(&host).unwrap())));
            deletes.push(timed(|| made.take().unwrap().delete().unwrap()));
        }
        let [add, delete] = [adds, deletes].map(nft_raw::median);
        println!("the first of all, {name}: add {add:.1?}, delete {delete:.1?} (medians)");
    }
}

/// A host with many ports, to which one is added and from which it is removed.
struct Beside {
    host: Owned<Netns>,
    bridge: Owned<Link>,
    there: Vec<Owned<PortForwardHandle>>,
    forward: PortForward,
    /// The same port with its link named, so that netloom does not look the link up.
    by_link: PortForward,
    /// The same port at one address, so that no loopback address is covered.
    addressed: PortForward,
}

impl Beside {
    fn new(size: u16, tag: Option<&str>) -> Self {
        let (host, bridge) = host();
        let forwards = ports(size, tag);
        let made = forwards.chunks(5_000);
        let there = made.flat_map(|ports| PortForward::create_all(ports, &host).unwrap()).collect();
        let forward = port(ONE_MORE, tag);
        let by_link = forward.clone().link(&bridge);
        let addressed = by_link.clone().host_address("10.0.0.1");
        Self { host, bridge, there, forward, by_link, addressed }
    }
}

/// Measures adding and removing one port beside this many.
fn one_more(size: u16, costs: &mut Costs) {
    let sides = [Beside::new(size, HELD), Beside::new(size, PERSISTENT)];
    let raw = fresh();
    let socket = open(&raw);
    raw_table(1..=size).run(&socket);
    let [held, persistent] = &sides;
    let any: [Replay; 2] = [NEW, DELETE].map(|kind| change(kind, [ONE_MORE].into_iter(), lone));
    let at_one: [Replay; 2] = [NEW, DELETE].map(|kind| change_addressed(kind, ONE_MORE));
    let kinds = [
        (
            "",
            vec![
                ("held", held, &held.forward),
                ("held, its link named", held, &held.by_link),
                ("persistent", persistent, &persistent.forward),
            ],
            &any,
        ),
        (
            " at one address",
            vec![
                ("held, no loopback", held, &held.addressed),
                ("persistent, no loopback", persistent, &persistent.addressed),
            ],
            &at_one,
        ),
    ];
    for (kind, ours, [more, less]) in &kinds {
        for (word, adds) in [("more", true), ("less", false)] {
            let ours = ours.iter().map(|(name, side, forward)| {
                contender(name, move || {
                    let mut one = None;
                    let add = timed(|| one = Some(forward.create(&side.host).unwrap()));
                    let delete = timed(|| one.take().unwrap().delete().unwrap());
                    if adds { add } else { delete }
                })
            });
            let socket = &socket;
            let raw = contender("raw replay", move || {
                let add = timed(|| more.run(socket));
                let delete = timed(|| less.run(socket));
                if adds { add } else { delete }
            });
            let all = ours.chain([raw]).collect();
            for (name, spread) in compare(&format!("one {word}{kind} beside {size}"), 2_000, all) {
                costs.entry((word, *kind, name)).or_default().push(spread.median);
            }
        }
    }
    for side in sides {
        Together::new(side.there).delete().unwrap();
        drop(side.bridge);
    }
}

/// The times beside each number of ports, by change, kind of port and contender.
type Costs = BTreeMap<(&'static str, &'static str, &'static str), Vec<Duration>>;

/// Prints whether adding and removing a port costs the same beside any number.
fn judge(costs: &Costs) {
    for ((word, kind, name), medians) in costs {
        let micros: Vec<_> = medians.iter().map(|time| time.as_secs_f64() * 1e6).collect();
        let worst = micros.iter().map(|one| one / micros[0] - 1.0).fold(0.0, f64::max);
        let verdict = if worst <= 0.25 { "flat" } else { "NOT flat" };
        println!(
            "one {word}{kind}, {name}: {micros:.2?} µs beside {SIZES:?}: {:+.0} % at most, so {verdict} within 25 %",
            worst * 100.0
        );
    }
}

fn main() {
    many();
    first_of_all();
    let mut costs = Costs::new();
    for size in SIZES {
        one_more(size, &mut costs);
    }
    judge(&costs);
}
