//! Namespaces, names, and looking around.

use nix::errno::Errno;

use super::{Fault, every_step, here, nothing_left, support};
use crate::fault::{arm, disarm};
use crate::netlink::Tag;
use support::snapshot::Snapshot;

use netloom::{Bridge, Error, Namespace, Netns};

#[test]
fn namespaces() {
    support::isolated(|| {
        every_step(&["create a namespace"], || Namespace::anonymous().create().map(drop));
    });
}

#[test]
fn names() {
    support::isolated(|| {
        // The directory stays, as with `ip netns`.
        drop(Namespace::named("first").create().unwrap());
        every_step(&["create namespace `red`"], || Namespace::named("red").create().map(drop));
        every_step(&["create namespace `red`", "open namespace `red`", "find link `lo`"], || {
            let red = Namespace::named("red").create()?;
            assert_eq!(Netns::open("red")?, *red);
            red.link("lo").map(drop)
        });
        let here = here();
        every_step(&["attach namespace name `red`"], || {
            Namespace::named("red").attach(&here).map(drop)
        });
        // Deleted by hand: an error comes with the ownership.
        every_step(&["create namespace `red`"], || {
            Namespace::named("red").create()?.delete().map_err(Error::from)
        });
        every_step(&["create namespace `red`"], || {
            let kept = Namespace::named("red").create()?.keep();
            netloom::Owned::adopt(kept).delete().map_err(Error::from)
        });
        let _name = Namespace::named("blue").create().unwrap();
        every_step(&["create namespace `blue`"], || match Namespace::named("blue").create() {
            Err(error) if error.is_already_exists() => Ok(()),
            other => other.map(|_| panic!("not refused")),
        });
    });
}

#[test]
fn looking_around() {
    support::isolated(|| {
        let host = here();
        every_step(
            &[
                "list links",
                "list addresses",
                "list neighbours",
                "list bridge ports",
                "list listening sockets",
                "list routes",
            ],
            || {
                host.links()?;
                host.addresses()?;
                host.neighbors()?;
                host.bridge_ports()?;
                host.listeners()?;
                host.routes().map(drop)
            },
        );
    });
}

/// Three links and two names that carry a number which nobody holds, as those of a dead process do.
fn leave_five(host: &Netns) {
    let number = |netns: &Netns| netns.run(|| Tag::open_here().unwrap().number()).unwrap();
    let dead = number(host);
    for name in ["dead0", "dead1", "dead2"] {
        drop(Bridge::new(name).group(dead).create(host).unwrap().abandoned());
    }
    for name in ["lab0", "lab1"] {
        let lab = Namespace::named(name).create().unwrap();
        lab.let_go_of_name();
        drop(lab.keep());
    }
}

/// Whatever fails, the rest is removed; what is not comes with its reason, and goes the next time.
#[test]
fn what_dead_processes_left() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let host = here();
        leave_five(&host);
        assert_eq!(netloom::reap().unwrap().removed.len(), 5);
        let before = Snapshot::take_quick();
        for step in 0.. {
            leave_five(&host);
            arm(Fault::Refused(Errno::EPERM), step);
            let first = netloom::reap();
            let failed = disarm();
            let at = format!("step {step}, {failed:?}: {first:?}");
            let removed = match first {
                // Where this namespace can't be looked at, or the directory.
                Err(_) => 0,
                Ok(done) => {
                    let are_told = failed.is_some() != done.failures.is_empty();
                    assert!(are_told && done.removed.len() >= 2, "{at}");
                    done.removed.len()
                }
            };
            let rest = netloom::reap().unwrap();
            assert!(rest.failures.is_empty(), "{at}: {rest:?}");
            assert_eq!(removed + rest.removed.len(), 5, "{at}: {rest:?}");
            drop(rest);
            nothing_left(&before, &at);
            if failed.is_none() {
                break;
            }
        }
    });
}

#[test]
fn looking_for_what_dead_processes_left() {
    support::isolated(|| {
        let _name = Namespace::named("red").create().unwrap();
        every_step(&["open the current namespace"], || {
            let left = netloom::leftovers()?;
            assert!(left.found().is_empty(), "{:?}", left.found());
            Ok::<_, Error>(())
        });
    });
}
