//! Namespaces, their names, and lists of objects.

use nix::errno::Errno;

use super::{Fault, every_step, ground, here, nothing_left, support};
use crate::fault::{arm, disarm};
use support::snapshot::Snapshot;

use netloom::{Bridge, Error, Namespace, Netns, Setting};

#[test]
fn namespaces() {
    support::isolated(|| {
        every_step(&["create a namespace"], || Namespace::anonymous().create().map(drop));
    });
}

#[test]
fn names() {
    support::isolated(|| {
        // The directory `/run/netns` stays after its first use, as with `ip netns`.
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
        // An explicit deletion returns an error together with the owner.
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

/// Reads the properties of links, and lists objects.
#[test]
fn looking_at_links() {
    support::isolated(|| {
        let host = here();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        let cable = ground(&host);
        let veth1 = cable.near();
        every_step(
            &[
                "find link N",
                "look at link `veth1`",
                "list addresses",
                "look at bridge port `veth1`",
                "read sysctl net/ipv4/conf/veth1/forwarding",
                "list ports of `br0`",
                "list bridge ports",
                "list links",
                "list routes",
            ],
            || {
                assert_eq!(host.link_at(veth1.index())?, *veth1);
                veth1.info()?;
                veth1.addresses()?;
                veth1.address("10.0.0.1/24")?;
                assert_eq!(veth1.port()?, None);
                Setting::ipv4_forwarding(veth1).read(&host)?;
                assert_eq!(bridge.ports()?.len(), 0);
                let links = host.fold_links(|| 0, |count, _| *count += 1)?;
                assert_eq!(links, 4);
                let routes = host.fold_routes(|| 0, |count, _| *count += 1)?;
                assert!(routes > 0);
                Ok::<_, Error>(())
            },
        );
    });
}

/// Opens a namespace by path, process and descriptor, finds its holders, and gives it an id.
#[test]
fn looking_at_namespaces() {
    support::isolated(|| {
        let host = here();
        let red = Namespace::named("red").create().unwrap();
        every_step(
            &[
                "open namespace /run/netns/red",
                "open namespace of process N",
                "open namespace of a file descriptor",
            ],
            || {
                assert_eq!(Netns::from_path("/run/netns/red")?, *red);
                assert_eq!(Netns::from_pid(std::process::id())?, host);
                let file = std::fs::File::open("/run/netns/red").unwrap();
                assert_eq!(Netns::from_fd(file.into())?, *red);
                assert_eq!(Netns::list()?.len(), 1);
                Ok::<_, Error>(())
            },
        );
        every_step(&["look for holders of namespace `red`"], || {
            assert_eq!(red.holders()?[0].pid, std::process::id());
            Ok::<_, Error>(())
        });
        every_step(&["delete stale name `stale`"], || {
            std::fs::write("/run/netns/stale", "").unwrap();
            let done = Netns::delete_stale("stale");
            std::fs::remove_file("/run/netns/stale").ok();
            done
        });
        every_step(
            &[
                "create a namespace",
                "give a namespace id to namespace `red`",
                "look up the id of namespace `red`",
                "list namespace ids",
            ],
            || {
                let blue = Namespace::anonymous().create()?;
                blue.assign_peer_id(&red, 7)?;
                assert_eq!(blue.peer_id(&red)?, Some(7));
                assert_eq!(blue.peer_ids()?[0].name.as_deref(), Some("red"));
                Ok::<_, Error>(())
            },
        );
    });
}

/// Creates three links and two names that bear the numbers of no living process, like those of a
/// dead one.
fn leave_five(host: &Netns) {
    let number = |netns: &Netns| netns.fresh_tag().unwrap().number();
    let dead = number(host);
    for name in ["dead0", "dead1", "dead2"] {
        drop(Bridge::new(name).group(dead).create(host).unwrap().abandoned());
    }
    for name in ["lab0", "lab1"] {
        let lab = Namespace::named(name).create().unwrap();
        lab.release_name();
        drop(lab.keep());
    }
}

/// A failure does not prevent the removal of the other objects. The failure is reported with its
/// reason, and the next call removes that object.
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
            // A refused return to the home namespace is retried without a report.
            let is_told = failed.as_deref().is_some_and(|step| step != "return");
            let removed = match first {
                // The refused step read this namespace or the directory of names.
                Err(_) => 0,
                Ok(done) => {
                    let are_told = is_told != done.failures.is_empty();
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
