//! A fault at every step of every `create` and of every example: the error says so, and nothing is left.
//!
//! `NETLOOM_TEST_LONG=1` takes every step of the examples; otherwise every fifteenth is taken, from one
//! that differs from run to run.
#![allow(clippy::print_stdout, clippy::map_err_ignore)] // as in an example

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::net::IpAddr;

use nix::errno::Errno;

use super::{Fault, arm, disarm};
use netloom::{
    Address, Bridge, Error, Forwarding, Link, Namespace, NatRule, Netns, Owned, Ping, Route,
    Sysctl, Veth, VethEnd, VethPair,
};

#[path = "../../tests/support/mod.rs"]
pub(super) mod support;
#[path = "../../examples/walkthrough.rs"]
pub(super) mod walkthrough;

const FAULTS: [Fault; 5] = [
    Fault::Refused(Errno::ENOMEM),
    Fault::TimedOut,
    Fault::AnswerLost,
    Fault::AnswerShort,
    Fault::AnswerForeign,
];

/// Runs `program` once for each of its steps, which fails.
fn every_step<E: Into<Box<dyn StdError>>>(stride: usize, program: impl Fn() -> Result<(), E>) {
    support::leaves_nothing(&program).map_err(Into::into).unwrap();
    for fault in FAULTS {
        let mut said = BTreeSet::new();
        let mut step = if stride == 1 { 0 } else { offset() % stride };
        loop {
            let ended = support::leaves_nothing(|| {
                arm(fault, step);
                let result = program().map_err(Into::into);
                (result, disarm())
            });
            let (result, Some(failed)) = ended else { break };
            if let Err(error) = result {
                checked(fault, step, &failed, &*error);
                said.insert(error.to_string());
            }
            step += stride;
        }
        println!("{fault:?}: {step} steps");
        for error in said {
            println!("    {error}");
        }
        // Making a namespace is system calls alone, of which no answer is lost.
        assert!(step > 0 || fault != FAULTS[0], "no step at all");
    }
}

/// Whether the error says what happened, and to what.
fn checked(fault: Fault, step: usize, failed: &str, error: &(dyn StdError + 'static)) {
    let text = error.to_string();
    let words = match fault {
        Fault::Refused(_) => "ENOMEM",
        Fault::AnswerShort => "ends within a message",
        _ => "no answer within 10s",
    };
    // An example has claims of its own: what it says then is not of the library's making.
    if let Some(error) = error.downcast_ref::<Error>() {
        assert!(text.contains(words), "{fault:?} at {step} ({failed}): {text}");
        assert!(!error.action().is_empty() && !error.object().is_empty(), "{text}");
    }
}

fn offset() -> usize {
    usize::from(netloom::MacAddr::random().octets()[5])
}

fn stride(of_an_example: usize) -> usize {
    if std::env::var_os("NETLOOM_TEST_LONG").is_some() { 1 } else { of_an_example }
}

fn here() -> Netns {
    Netns::current().unwrap()
}

/// Two cables' worth of ground: `veth1` with an address and up, its peer `veth2`.
fn ground(host: &Netns) -> Owned<Veth> {
    let near = VethEnd::new("veth1").address("10.0.0.1/24").no_ipv6_address().up();
    VethPair::new(near, VethEnd::new("veth2").no_ipv6_address().up()).create(host).unwrap()
}

#[test]
fn namespaces() {
    support::isolated(|| {
        every_step(1, || Namespace::anonymous().create().map(drop));
        // The directory stays, as with `ip netns`.
        drop(Namespace::named("first").create().unwrap());
        every_step(1, || Namespace::named("red").create().map(drop));
        every_step(1, || {
            let red = Namespace::named("red").create()?;
            assert_eq!(Netns::open("red")?, *red);
            red.link("lo").map(drop)
        });
    });
}

#[test]
fn bridges() {
    support::isolated(|| {
        every_step(1, || {
            let host = Netns::current()?;
            let bridge = Bridge::new("br0").address("10.0.0.1/24").address("fd00::1/64").up();
            let bridge = bridge.stp(true).create(&host)?;
            bridge.set_mtu(1400)?;
            bridge.ports().map(drop)
        });
    });
}

#[test]
fn veth_pairs_in_one_namespace() {
    support::isolated(|| {
        every_step(1, || {
            let host = Netns::current()?;
            let _bridge = Bridge::new("br0").no_ipv6_address().up().create(&host)?;
            let near = VethEnd::new("veth1").address("10.0.0.1/24").up().gateway("10.0.0.254");
            let far = VethEnd::new("veth2").master("br0").no_ipv6_address().up();
            VethPair::new(near, far).create(&host).map(drop)
        });
    });
}

#[test]
fn veth_pairs_between_two_namespaces() {
    support::isolated(|| {
        every_step(1, || {
            let host = Netns::current()?;
            let red = Namespace::anonymous().create()?;
            let near = VethEnd::new("veth1").address("10.0.0.1/24");
            let far = VethEnd::new("eth0").address("10.0.0.2/24").gateway("10.0.0.1").loopback_up();
            let mut cable = VethPair::new(near, far.up()).create_between(&host, &red)?;
            // While it is down: kernels before 6.3 do it only then.
            cable.near_mut().rename("veth3")?;
            cable.near().set_up()?;
            cable.peer().info().map(drop)
        });
    });
}

#[test]
fn moves() {
    support::isolated(|| {
        every_step(1, || {
            let host = Netns::current()?;
            let red = Namespace::anonymous().create()?;
            let mut cable = VethPair::new("veth1", "veth2").create(&red)?;
            cable.peer_mut().move_to(&host)?;
            cable.near_mut().move_to(&host)?;
            cable.near().set_up()
        });
    });
}

#[test]
fn addresses_and_routes() {
    support::isolated(|| {
        let host = here();
        let cable = ground(&host);
        for address in ["10.9.0.1/24", "fd00::9/64"] {
            every_step(1, || Address::new(address).create(cable.near()).map(drop));
        }
        every_step(1, || Route::new("10.8.0.0/16").via("10.0.0.2").create(&host).map(drop));
        every_step(1, || Route::new("10.8.0.0/16").dev("veth1").metric(7).create(&host).map(drop));
        every_step(1, || {
            host.links()?;
            host.addresses()?;
            host.neighbors()?;
            host.routes().map(drop)
        });
    });
}

#[test]
fn what_was_there_before_stays() {
    support::isolated(|| {
        let host = here();
        let cable = ground(&host);
        let _first: Owned<Link> = Bridge::new("br0").create(&host).unwrap();
        drop(Address::new("10.0.0.9/24").create(cable.near()).unwrap());
        // All of these are taken: a lost answer is one that says so.
        every_step_of_refused(|| Bridge::new("br0").create(&host).map(drop));
        every_step_of_refused(|| VethPair::new("veth9", "veth1").create(&host).map(drop));
        every_step_of_refused(|| VethPair::new("veth1", "veth9").create(&host).map(drop));
    });
}

/// A program that fails anyway: whatever happens to it besides, nothing changes.
fn every_step_of_refused(program: impl Fn() -> Result<(), Error>) {
    every_step(1, || match program() {
        Err(error) if error.is_already_exists() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => panic!("not refused"),
    });
}

#[test]
fn sysctls_and_forwarding() {
    support::isolated(|| {
        let host = here();
        let cable = ground(&host);
        every_step(1, || Sysctl::new("net.ipv4.conf.all.rp_filter", 1).create(&host).map(drop));
        every_step(1, || Forwarding::ipv4().dev(cable.near()).create(&host).map(drop));
        every_step(1, || Forwarding::ipv4().create(&host).map(drop));
        every_step(1, || Forwarding::ipv6().create(&host).map(drop));
    });
}

#[test]
fn nat_rules() {
    support::isolated(|| {
        every_step(1, || {
            let host = Netns::current()?;
            let first = NatRule::masquerade().source("10.0.0.0/24").create(&host)?;
            let _second = NatRule::masquerade().source("10.1.0.0/24").create(&host)?;
            drop(first);
            NatRule::masquerade().source("10.2.0.0/24").create(&host).map(drop)
        });
        // Those that outlive the program, but for their owners.
        every_step(1, || {
            let host = Netns::current()?;
            let first = NatRule::masquerade().tagged("lab").create(&host)?;
            let _second = NatRule::masquerade().tagged("lab").create(&host)?;
            drop(first);
            Ok::<_, Error>(())
        });
        // The namespace goes on with the same socket after a fault.
        let host = here();
        drop(NatRule::masquerade().create(&host).unwrap());
        every_step(1, || {
            let rule = NatRule::masquerade().create(&host)?;
            let _second = NatRule::masquerade().create(&host)?;
            drop(rule);
            Ok::<_, Error>(())
        });
    });
}

#[test]
fn pings() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        red.link("lo").unwrap().set_up().unwrap();
        let _cable = ground(&red);
        every_step(1, || Ping::new(IpAddr::from([10, 0, 0, 1])).send(&red).map(drop));
    });
}

#[test]
fn the_walkthrough() {
    support::isolated(|| every_step(stride(15), walkthrough::main));
}
