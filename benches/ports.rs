//! Published ports: 10,000 in one transaction, and one more and less beside any number of them, held and
//! persistent. The raw replay sends the same elements, built beforehand, with bare system calls.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a bench is no library

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use netloom::{Bridge, Link, Netns, Owned, PortForward, PortForwardHandle};

#[path = "nft_raw/mod.rs"]
mod nft_raw;

use nft_raw::{ACK, CREATE, NFT, Replay, fresh, median, open, timed};

const MANY: u16 = 10_000;
const SIZES: [u16; 3] = [1, 1_000, 10_000];
const ONE_MORE: u16 = 60_000;

fn host() -> (Owned<Netns>, Owned<Link>) {
    let host = fresh();
    let bridge = Bridge::new("br0").address("10.0.0.1/16").up().create(&host).unwrap();
    (host, bridge)
}

fn port(number: u16) -> PortForward {
    PortForward::new(number, "10.0.0.2").target_port(80)
}

fn ports(count: u16, tag: Option<&str>) -> Vec<PortForward> {
    let of = |number| match tag {
        Some(tag) => port(number).tagged(format!("{tag} {}", number % 500)),
        None => port(number),
    };
    (1..=count).map(of).collect()
}

fn publish(ports: &[PortForward], host: &Netns) -> Vec<Owned<PortForwardHandle>> {
    ports.chunks(5_000).flat_map(|ports| PortForward::create_all(ports, host).unwrap()).collect()
}

/// The elements of a map as `PortForward` has them: protocol and port to address and port.
fn elements(batch: &mut Replay, kind: u16, ports: impl Iterator<Item = u16>) {
    let ports: Vec<_> = ports.collect();
    let mut chunks = ports.chunks(1_000).peekable();
    while let Some(chunk) = chunks.next() {
        let ack = if chunks.peek().is_none() { ACK } else { 0 };
        let flags = if kind == 12 { CREATE } else { 0 };
        batch.message(NFT | kind, flags | ack, 0, |message| {
            message.attribute(1, b"t\0");
            message.attribute(2, b"any\0");
            message.nested(3 | 0x8000, |list| {
                for port in chunk {
                    let [high, low] = port.to_be_bytes();
                    list.nested(1 | 0x8000, |element| {
                        let key = [6, 0, 0, 0, high, low, 0, 0];
                        element.nested(1 | 0x8000, |value| value.attribute(1, &key));
                        if kind == 12 {
                            let data = [10, 0, 0, 2, 0, 80, 0, 0];
                            element.nested(2 | 0x8000, |value| value.attribute(1, &data));
                        }
                    });
                }
            });
        });
    }
}

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
        elements(batch, 12, ports);
    })
}

/// In turns, so that the machine's noise hits all.
fn many() {
    const ROUNDS: usize = 11;
    let forwards = ports(MANY, None);
    let replay = raw_table(1..=MANY);
    let (mut ours, mut raws) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (host, _bridge) = host();
        host.nft_generation().unwrap(); // opens the socket
        let mut made = None;
        ours.push(timed(|| made = Some(black_box(PortForward::create_all(&forwards, &host)))));
        made.unwrap().unwrap().into_iter().for_each(|port| drop(port.keep()));
        let netns = fresh();
        let socket = open(&netns);
        raws.push(timed(|| replay.run(&socket)));
    }
    let (ours, raws) = (median(ours), median(raws));
    let ratio = ours.as_secs_f64() / raws.as_secs_f64();
    println!(
        "{MANY} ports, medians of {ROUNDS}: netloom {ours:?}, raw replay {raws:?}, ratio {ratio:.2}"
    );
}

/// One more and one less, a thousand times in turns with the replay: the medians of each.
fn one_more() {
    const ROUNDS: usize = 2_000;
    for size in SIZES {
        let (host, _bridge) = host();
        let _beside = publish(&ports(size, None), &host);
        let (tagged, _tagged_bridge) = self::host();
        let beside = publish(&ports(size, Some("tag")), &tagged);
        let raw = fresh();
        let socket = open(&raw);
        raw_table(1..=size).run(&socket);
        let more = Replay::batch(|batch| elements(batch, 12, [ONE_MORE].into_iter()));
        let less = Replay::batch(|batch| elements(batch, 14, [ONE_MORE].into_iter()));
        let (forward, kept) = (port(ONE_MORE), port(ONE_MORE).tagged("one more"));
        let mut times: [Vec<Duration>; 6] = Default::default();
        for _ in 0..ROUNDS {
            let [add, remove, raw_add, raw_remove, kept_add, kept_remove] = &mut times;
            let start = Instant::now();
            let one = forward.create(&host).unwrap();
            add.push(start.elapsed());
            remove.push(timed(|| one.delete().unwrap()));
            raw_add.push(timed(|| more.run(&socket)));
            raw_remove.push(timed(|| less.run(&socket)));
            let start = Instant::now();
            let one = kept.create(&tagged).unwrap();
            kept_add.push(start.elapsed());
            kept_remove.push(timed(|| one.delete().unwrap()));
        }
        let [add, remove, raw_add, raw_remove, kept_add, kept_remove] = times.map(median);
        let ratio = |ours: Duration, raw: Duration| ours.as_secs_f64() / raw.as_secs_f64();
        println!(
            "one more beside {size}: add {add:?} ({:.2} of raw {raw_add:?}), delete {remove:?} ({:.2} of raw \
             {raw_remove:?}); persistent: add {kept_add:?}, delete {kept_remove:?}",
            ratio(add, raw_add),
            ratio(remove, raw_remove),
        );
        Owned::delete_all(beside).unwrap();
    }
}

fn bench(_: &mut Criterion) {
    many();
    one_more();
}

criterion_group!(benches, bench);
criterion_main!(benches);
