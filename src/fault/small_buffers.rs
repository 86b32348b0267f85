//! Sockets with the smallest possible buffers: data that does not fit is an error that says so, and
//! leaves nothing behind.
//!
//! The test requests 2 KiB. The kernel gives at least 2,304 bytes to receive and 4,608 to send,
//! including the kernel's overhead (`SOCK_MIN_RCVBUF`, `SOCK_MIN_SNDBUF`).

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use super::every_step::examples::walkthrough;
use super::support;
use netloom::nft::{Chain, Family, Rule, Set, Table, Type};
use netloom::{Address, Bridge, Error, Namespace, NatRule, Netns, Owned, VethEnd, VethPair};

static SIZE: AtomicU8 = AtomicU8::new(AS_IT_IS);
const AS_IT_IS: u8 = 0;
/// The buffers of a low `net.core.rmem_default` and `wmem_default`, which a program may enlarge.
const SMALL_AT_FIRST: u8 = 1;
/// The buffers of a low `rmem_max` and `wmem_max` as well, so that no program can enlarge them.
const SMALL_FOR_GOOD: u8 = 2;

/// Shrinks the buffers of a new socket, while a test asks for that.
pub(crate) fn apply(socket: impl AsFd) {
    if SIZE.load(Ordering::Relaxed) != AS_IT_IS {
        // The kernel doubles the requested size.
        setsockopt(&socket, sockopt::RcvBuf, &1024).unwrap();
        setsockopt(&socket, sockopt::SndBuf, &1024).unwrap();
    }
}

pub(crate) fn stay() -> bool {
    SIZE.load(Ordering::Relaxed) == SMALL_FOR_GOOD
}

fn with_buffers<T>(size: u8, work: impl FnOnce() -> T) -> T {
    SIZE.store(size, Ordering::Relaxed);
    let started = Instant::now();
    let outcome = work();
    // No call waited for an answer that never came.
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
    SIZE.store(AS_IT_IS, Ordering::Relaxed);
    outcome
}

/// Returns the value, or `None` if the buffers were too small. Any other error is a panic.
fn told<T>(result: Result<T, Error>, said: &mut BTreeSet<String>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            let errno = error.errno();
            assert!(matches!(errno, Some(Errno::ENOBUFS | Errno::EMSGSIZE)), "{error}");
            said.insert(error.to_string());
            None
        }
    }
}

#[test]
fn what_fits_no_default_gets_room() {
    support::isolated(|| {
        with_buffers(SMALL_AT_FIRST, || {
            let host = Namespace::anonymous().create().unwrap();
            let red = Namespace::named("red").create().unwrap();
            let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host).unwrap();
            let port = VethEnd::new("port1").master(&bridge).up();
            let eth0 = VethEnd::new("eth0").address("10.0.0.2/24").gateway("10.0.0.1").up();
            let cable = VethPair::new(port, eth0).create_between(&host, &red).unwrap();
            let nat = NatRule::masquerade().source("10.0.0.0/24").create(&host).unwrap();
            assert_eq!(host.links().unwrap().len(), 3);
            assert_eq!(cable.peer().addresses().unwrap().len(), 2, "fe80:: and its own");
            support::reaches(&red, "10.0.0.1");
            nat.counter().unwrap();
        });
    });
}

#[test]
fn the_walkthrough_runs_to_its_end() {
    support::isolated(|| with_buffers(SMALL_AT_FIRST, || walkthrough::main().unwrap()));
}

#[test]
fn long_lists_and_large_transactions_are_whole_or_refused() {
    support::isolated(|| {
        let mut said = BTreeSet::new();
        with_buffers(SMALL_AT_FIRST, || {
            let host = Namespace::anonymous().create().unwrap();
            let bridge = Bridge::new("br0").up().create(&host).unwrap();
            let address = |n: u32| format!("10.{}.{}.1/32", n / 250, n % 250);
            for n in 0..600 {
                Address::new(address(n)).create(&bridge).unwrap().keep();
            }
            if let Some(list) = told(host.addresses(), &mut said) {
                assert_eq!(list.iter().filter(|one| one.prefix.prefix_len() == 32).count(), 600);
            }
            let elements = (0..5000).map(|n| format!("10.0.{}.{}", n / 250, n % 250));
            let set = Set::new("many", Type::Ipv4).elements(elements);
            let rules = (0..500).fold(Chain::new("ports"), |chain, port| {
                chain.rule(Rule::new().tcp().dport(port + 1_u16).accept())
            });
            let table = Table::new(Family::Inet, "t").set(set).chain(rules);
            if let Some(table) = told(table.create(&host), &mut said)
                && let Some(read) = told(table.read(), &mut said)
            {
                assert_eq!(read.chains[0].rules.len(), 500);
                assert_eq!(read.sets[0].elements.len(), 5000);
            }
        });
    });
}

/// The refusals of one datagram exceed the buffer. None of them must count as a success.
#[test]
fn many_links_are_deleted_and_many_refusals_told() {
    support::isolated(|| {
        with_buffers(SMALL_AT_FIRST, || {
            let host: Owned<Netns> = Namespace::anonymous().create().unwrap();
            let cable =
                |n: u32| VethPair::new(format!("a{n}"), format!("b{n}")).create(&host).unwrap();
            let cables: Vec<_> = (0..60).map(cable).collect();
            let copies: Vec<_> =
                cables.iter().map(|cable| Owned::adopt((**cable).clone())).collect();
            netloom::Together::new(cables).delete().unwrap();
            assert_eq!(host.links().unwrap().len(), 1, "only lo is left");
            // A missing object is no failure, however the kernel reports it.
            netloom::Together::new(copies).delete().unwrap();
            let twice = (0..40).fold(Bridge::new("br0"), |bridge, n| {
                bridge.address(format!("10.0.{n}.1/24")).address(format!("10.0.{n}.1/24"))
            });
            let error = twice.up().create(&host).unwrap_err();
            let errno = error.errno();
            assert!(
                matches!(errno, Some(Errno::ENOBUFS | Errno::EMSGSIZE | Errno::EEXIST)),
                "{error}"
            );
            assert_eq!(host.links().unwrap().len(), 1, "{error}");
        });
    });
}

type Program = fn() -> Result<(), Error>;

/// Each program succeeds, or fails with an error that names the step. A failed program leaves
/// nothing that the next one could see.
#[test]
fn where_no_more_is_to_be_had_it_is_told_and_nothing_is_left() {
    support::isolated(|| {
        let mut said = BTreeSet::new();
        let programs: [(&str, Program); 8] = [
            ("bridge here", || {
                let bridge = Bridge::new("br0").address("10.0.0.1/24").up();
                bridge.create(&Netns::current()?).map(drop)
            }),
            ("veth pair here", || {
                VethPair::new("veth1", "veth2").create(&Netns::current()?).map(drop)
            }),
            ("lists", || {
                let host = Netns::current()?;
                drop((host.links()?, host.addresses()?, host.routes()?, host.nft_ruleset()?));
                host.neighbors().map(drop)
            }),
            ("namespace", || Namespace::named("red").create().map(drop)),
            ("bridge", || {
                let host = Namespace::anonymous().create()?;
                Bridge::new("br0").address("10.0.0.1/24").up().create(&host).map(drop)
            }),
            ("veth pair", || {
                let (host, red) =
                    (Namespace::anonymous().create()?, Namespace::anonymous().create()?);
                VethPair::new("veth1", "veth2").create_between(&host, &red).map(drop)
            }),
            ("nat", || NatRule::masquerade().create(&Netns::current()?).map(drop)),
            ("rules", || {
                let rules = (0..200).fold(Chain::new("ports"), |chain, port| {
                    chain.rule(Rule::new().tcp().dport(port + 1_u16).accept())
                });
                let table = Table::new(Family::Inet, "t").chain(rules);
                table.create(&Netns::current()?).map(drop)
            }),
        ];
        for (name, program) in programs {
            for _ in 0..3 {
                println!("{name}");
                support::leaves_nothing(|| {
                    with_buffers(SMALL_FOR_GOOD, || told(program(), &mut said));
                });
            }
        }
        // The capacity of the smallest buffers differs between kernels, but 200 rules never fit.
        assert!(!said.is_empty(), "nothing was refused");
    });
}
