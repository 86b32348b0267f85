//! Measures sets: 100,000 elements, compared with `nft -f` and a raw replay, and one element added
//! to and removed from a set of any size. The raw replay sends the same messages, built beforehand,
//! with bare system calls.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a bench is no library

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};

use netloom::nft::{Family, Set, Table, Type};
use netloom::{Netns, Owned};

mod harness;
#[path = "nft_raw/mod.rs"]
mod nft_raw;

use harness::{compare, contender, settle};
use nft_raw::{ACK, CREATE, NFT, Replay, fresh, open, timed};

const MANY: u32 = 100_000;
const SIZES: [u32; 3] = [0, 1_000, 10_000];

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 + number)
}

/// Creates a table with all elements, from values to the kernel's acknowledgement.
fn whole(netns: &Netns, addresses: &[Ipv4Addr]) -> Owned<netloom::nft::TableHandle> {
    let set = Set::new("s", Type::Ipv4).size(MANY).elements(addresses.iter().copied());
    Table::new(Family::Ip, "t").set(set).create(netns).unwrap()
}

/// Loads the same table by `nft -f -`, from a text written beforehand.
fn by_nft(netns: &Netns, ruleset: &str) {
    let path = format!("--net=/proc/{}/fd/{}", std::process::id(), netns.as_fd().as_raw_fd());
    let mut child = Command::new("nsenter")
        .args([&path, "--", "nft", "-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(ruleset.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn ruleset() -> String {
    let mut text = format!("table ip t {{\nset s {{\ntype ipv4_addr; size {MANY}\nelements = {{ ");
    for number in 0..MANY {
        write!(text, "{}, ", address(number)).unwrap();
    }
    text + "}\n}\n}\n"
}

trait Elements {
    fn elements(&mut self, kind: u16, addresses: &[Ipv4Addr], is_last: bool);
    fn whole(addresses: &[Ipv4Addr]) -> Self;
}

impl Elements for Replay {
    /// Appends elements. Each takes 16 bytes of headers, and the key.
    fn elements(&mut self, kind: u16, addresses: &[Ipv4Addr], is_last: bool) {
        let mut chunks = addresses.chunks(3200).peekable();
        while let Some(chunk) = chunks.next() {
            let ack = if is_last && chunks.peek().is_none() { ACK } else { 0 };
            self.message(NFT | kind, CREATE | ack, 0, |message| {
                message.attribute(1, b"t\0");
                message.attribute(2, b"s\0");
                message.nested(3 | 0x8000, |list| {
                    for address in chunk {
                        list.nested(1 | 0x8000, |element| {
                            element.nested(1 | 0x8000, |key| key.attribute(1, &address.octets()));
                        });
                    }
                });
            });
        }
    }

    fn whole(addresses: &[Ipv4Addr]) -> Self {
        Self::batch(|batch| {
            batch.message(NFT, CREATE, 0, |table| {
                table.attribute(1, b"t\0");
                table.attribute(2, &2_u32.to_be_bytes()); // the owner flag: deleted with the socket
            });
            batch.message(NFT | 9, CREATE, 0, |set| {
                set.attribute(1, b"t\0");
                set.attribute(2, b"s\0");
                set.attribute(3, &0_u32.to_be_bytes());
                set.attribute(4, &7_u32.to_be_bytes());
                set.attribute(5, &4_u32.to_be_bytes());
                set.nested(9 | 0x8000, |desc| desc.attribute(1, &MANY.to_be_bytes()));
                set.attribute(10, &1_u32.to_be_bytes());
            });
            batch.elements(12, addresses, true);
        })
    }
}

fn many() {
    let addresses: Vec<_> = (0..MANY).map(address).collect();
    let replay = Replay::whole(&addresses);
    let text = ruleset();
    let host = fresh();
    // The kernel frees the previous turn's elements asynchronously, which is not measured.
    let settled = || {
        settle(&host);
        fresh()
    };
    let mut contenders = vec![contender("netloom", || {
        let netns = settled();
        netns.nft_generation().unwrap(); // opens the socket
        let mut made = None;
        timed(|| made = Some(black_box(whole(&netns, &addresses))))
    })];
    if Command::new("nft").arg("--version").output().is_ok() {
        contenders.push(contender("nft -f", || {
            let netns = settled();
            timed(|| by_nft(&netns, &text))
        }));
    }
    contenders.push(contender("raw replay", || {
        let netns = settled();
        let socket = open(&netns);
        timed(|| replay.run(&socket))
    }));
    compare(&format!("{MANY} elements"), 15, contenders);
}

/// Measures adding and removing one element, in turns with the replay.
fn one_more(size: u32) {
    let netns = fresh();
    let table = Table::new(Family::Ip, "t").create(&netns).unwrap();
    let set = Set::new("s", Type::Ipv4).size(MANY).create(&table).unwrap();
    if size > 0 {
        set.add((0..size).map(address)).unwrap();
    }
    let one = address(MANY);
    let elsewhere = fresh();
    let socket = open(&elsewhere);
    let there: Vec<_> = (0..size).map(address).chain([address(MANY + 1)]).collect();
    Replay::whole(&there).run(&socket);
    let more = Replay::batch(|batch| batch.elements(12, &[one], true));
    let less = Replay::batch(|batch| batch.elements(14, &[one], true));
    let ours = || {
        timed(|| {
            set.add([one]).unwrap();
            set.remove([one]).unwrap();
        })
    };
    let raw = || {
        timed(|| {
            more.run(&socket);
            less.run(&socket);
        })
    };
    let contenders = vec![contender("netloom", ours), contender("raw replay", raw)];
    compare(&format!("one element more and less beside {size}"), 5_000, contenders);
}

fn main() {
    many();
    SIZES.into_iter().for_each(one_more);
}
