//! Another program renames, moves, deletes and creates objects between any two of netloom's steps.
//! That program's objects stay, ours are deleted, and each failure is a netloom error.

use std::sync::{Arc, Mutex};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{Fault, arm, disarm, meanwhile, support};
use netloom::nft::{Family, Table};
use netloom::{
    Address, Bridge, Error, Link, Namespace, NatRule, NatRuleHandle, Netns, Owned, PortForward,
    PortForwardHandle, Route, VethEnd, VethPair,
};

/// A change of links by another program, in our namespace and in its own.
type Deed = fn(&Netns, &Netns) -> Result<Vec<Link>, Error>;

/// The links that the other program created, which must stay.
type Theirs = Arc<Mutex<Vec<Link>>>;

/// Runs `program` once for each of its steps, and `deed` before that step. Returns the number of
/// steps.
fn between_any_two_steps(
    deed: impl Fn() + Clone + Send + 'static,
    program: impl Fn() -> Result<(), Error>,
    afterwards: impl Fn(&str, Result<(), Error>),
) -> usize {
    for step in 0.. {
        meanwhile(step, deed.clone());
        let result = program();
        let happened = disarm();
        afterwards(&format!("step {step} ({})", happened.as_deref().unwrap_or("none")), result);
        if happened.is_none() {
            return step;
        }
    }
    unreachable!("a program has an end")
}

/// Builds two namespaces, a bridge and a cable, changes them, and deletes them.
fn a_network(host: &Netns) -> Result<(), Error> {
    let red = Namespace::anonymous().create()?;
    let bridge = Bridge::new("br0").address("10.0.0.1/24").no_ipv6_address().up().create(host)?;
    let near = VethEnd::new("port1").master(&bridge);
    let far = VethEnd::new("eth0").address("10.0.0.2/24").gateway("10.0.0.1").up();
    let cable = VethPair::new(near, far).create_between(host, &red)?;
    let address = Address::new("10.0.1.1/24").create(&bridge)?;
    let route = Route::new("10.7.0.0/16").dev(&bridge).create(host)?;
    // Kernels before 6.3 rename a link only while it is down.
    cable.near().rename("port2")?;
    cable.near().set_up()?;
    cable.peer().move_to(host)?;
    let _gone = bridge.ports()?;
    route.delete()?;
    address.delete()?;
    cable.delete()?;
    bridge.delete()?;
    Ok(())
}

const RTM_DELLINK: &str = "request of type 17";

/// Returns our port under its current name.
fn port(host: &Netns) -> Option<Link> {
    ["port1", "port2"].iter().find_map(|name| host.link(name).ok())
}

fn deleted(link: Option<Link>) {
    if let Some(link) = link {
        drop(Owned::adopt(link));
    }
}

/// Renames a link. Kernels before 6.3 rename a link only while it is down.
fn renamed(link: Option<Link>) -> Result<(), Error> {
    let Some(link) = link else { return Ok(()) };
    let is_up = link.info()?.is_up();
    link.set_down()?;
    link.rename("renamed")?;
    if is_up { link.set_up() } else { Ok(()) }
}

const DEEDS: [(&str, Deed); 7] = [
    ("the port is deleted", |host, _| {
        deleted(port(host));
        Ok(Vec::new())
    }),
    ("the port is renamed", |host, _| {
        renamed(port(host))?;
        Ok(Vec::new())
    }),
    ("the port is moved", |host, elsewhere| {
        port(host).map_or(Ok(()), |port| port.move_to(elsewhere))?;
        Ok(Vec::new())
    }),
    ("the bridge is deleted", |host, _| {
        deleted(host.link("br0").ok());
        Ok(Vec::new())
    }),
    ("the bridge is another's by now", |host, _| {
        deleted(host.link("br0").ok());
        Ok(vec![Bridge::new("br0").group(1).create(host)?.keep()])
    }),
    ("the port's name is another's by now", |host, _| {
        renamed(port(host))?;
        let theirs = ["port1", "port2"].map(|name| Bridge::new(name).group(1).create(host));
        theirs.into_iter().map(|link| Ok(link?.keep())).collect()
    }),
    ("the port's index is another's by now", |host, elsewhere| {
        let Some(ours) = port(host) else { return Ok(Vec::new()) };
        // A moved link keeps its index if the index is free in the new namespace.
        let (theirs, rest) = loop {
            let cable = VethPair::new(VethEnd::new("theirs").group(1), "rest").create(elsewhere)?;
            let ends = [cable.near().clone(), cable.peer().clone()];
            let last = ends.iter().map(Link::index).max();
            if last >= Some(ours.index()) {
                cable.keep();
                break ends.into_iter().partition::<Vec<_>, _>(|end| end.index() == ours.index());
            }
            cable.delete()?;
        };
        drop(Owned::adopt(ours));
        let moved = theirs.into_iter().map(|link| link.move_to(host).map(|()| link));
        moved.chain(rest.into_iter().map(Ok)).collect()
    }),
];

#[test]
fn links() {
    support::isolated(|| {
        let host = Netns::current().unwrap();
        a_network(&host).unwrap();
        for (what, deed) in DEEDS {
            let elsewhere = Namespace::anonymous().create().unwrap();
            let theirs = Theirs::default();
            let (place, other, made) =
                (host.clone(), elsewhere.handle().clone(), Arc::clone(&theirs));
            let done = move || made.lock().unwrap().extend(deed(&place, &other).unwrap());
            let steps = between_any_two_steps(
                done,
                || a_network(&host),
                |step, result| {
                    let theirs: Vec<Link> = theirs.lock().unwrap().drain(..).collect();
                    let at = format!("{what} before {step}: {result:?}");
                    // Either the kernel refused a request or a lookup failed. No answer was late or
                    // unreadable.
                    if let Err(error) = &result {
                        assert!(!step.ends_with("(none)"), "{at}");
                        let is_replaced = error.kind() == netloom::ErrorKind::Replaced;
                        assert!(error.raw_os_error().is_some() || is_replaced, "{at}");
                        assert!(!error.is_timed_out(), "{at}");
                        assert!(!error.is_permission_denied(), "{at}");
                    }
                    // rtnetlink cannot exclude a change between the lookup and the deletion.
                    let is_instant = what.contains("index") && step.contains(RTM_DELLINK);
                    for link in theirs.iter().filter(|_| !is_instant) {
                        assert!(link.namespace().link_at(link.index()).is_ok(), "{link}: {at}");
                    }
                    theirs
                        .into_iter()
                        .map(Owned::adopt)
                        .collect::<netloom::Together<Vec<_>>>()
                        .delete()
                        .unwrap();
                    // The kernel deletes a link that was moved away later, together with its peer.
                    support::eventually(&at, || {
                        let places: [&Netns; 2] = [&host, &elsewhere];
                        places.iter().all(|place| place.links().unwrap().len() == 1)
                    });
                },
            );
            assert!(steps > 20, "{steps}");
        }
    });
}

/// Deletes a name as `ip netns delete` does, without a lock.
fn delete_name(name: &str) {
    let path = format!("/run/netns/{name}");
    umount2(path.as_str(), MntFlags::MNT_DETACH).ok();
    std::fs::remove_file(&path).ok();
}

/// Adds a name as `ip netns add` does, without a lock. Returns false if the name exists.
fn add_name(name: &str, netns: &Netns) -> bool {
    use std::os::fd::{AsFd, AsRawFd};
    let path = format!("/run/netns/{name}");
    if std::fs::File::create_new(&path).is_err() {
        return false;
    }
    let source = format!("/proc/self/fd/{}", netns.as_fd().as_raw_fd());
    let bind = MsFlags::MS_BIND;
    mount(Some(source.as_str()), path.as_str(), None::<&str>, bind, None::<&str>).is_ok()
}

#[test]
fn names() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let program = || {
            let lab = Namespace::named("lab").create()?;
            lab.link("lo")?.set_up()?;
            Netns::list()?;
            lab.delete().map_err(Error::from)
        };
        between_any_two_steps(
            || delete_name("lab"),
            program,
            |step, result| {
                let left = Netns::list().unwrap();
                assert!(left.is_empty(), "{left:?} after {step}: {result:?}");
            },
        );
        let theirs = Namespace::anonymous().create().unwrap();
        let (netns, added) = (theirs.handle().clone(), Arc::new(Mutex::new(false)));
        let is_added = Arc::clone(&added);
        between_any_two_steps(
            move || {
                delete_name("lab");
                *is_added.lock().unwrap() = add_name("lab", &netns);
            },
            program,
            |step, result| {
                let left = Netns::list().unwrap();
                let is_theirs = left.iter().any(|name| name.id == Some(theirs.id()));
                let added = std::mem::take(&mut *added.lock().unwrap());
                assert_eq!(is_theirs, added, "{left:?} after {step}: {result:?}");
                assert_eq!(left.len(), usize::from(added), "{left:?} after {step}");
                delete_name("lab");
            },
        );
    });
}

/// netloom prepares a change again if another program changed the ruleset first.
#[test]
fn rulesets() {
    support::isolated(|| {
        let host = Netns::current().unwrap();
        let other = Netns::current().unwrap();
        let table = || Table::new(Family::Ip, "theirs").persistent("them");
        let of_ours = |netns: &Netns| -> Result<usize, Error> {
            Ok(netloom::persistent(netns)?.iter().filter(|one| one.tag() == "lab").count())
        };
        between_any_two_steps(
            move || drop(table().create(&other).unwrap().keep()),
            || {
                let first = NatRule::masquerade().persistent("lab").create(&host)?;
                let second = NatRule::masquerade().persistent("lab").create(&host)?;
                let held = NatRule::masquerade().create(&host)?;
                let _own = Table::new(Family::Ip, "ours").create(&host)?;
                assert_eq!(of_ours(&host)?, 2);
                first.delete()?;
                held.delete()?;
                second.delete().map_err(Error::from)
            },
            |step, result| {
                result.unwrap_or_else(|error| panic!("at {step}: {error}"));
                for table in host.nft_tables_with_tag("them").unwrap() {
                    Owned::adopt(table).delete().unwrap();
                }
                assert!(host.nft_ruleset().unwrap().is_empty(), "after {step}");
            },
        );
    });
}

fn listed_rules(host: &Netns) -> Vec<NatRuleHandle> {
    let listed = host.nat_rules_with_tag("lab").unwrap();
    listed.into_iter().map(NatRuleHandle::from).collect()
}

fn listed_ports(host: &Netns) -> Vec<PortForwardHandle> {
    host.port_forwards_with_tag("lab").unwrap()
}

/// netloom must not take another program's object with the same tag and values for its own. If
/// netloom's answer is lost, one more object in the list proves nothing.
#[test]
fn the_like_of_another_program_stays_where_our_answer_is_lost() {
    support::isolated(|| {
        let host = Netns::current().unwrap();
        let near = VethEnd::new("veth1").address("10.0.0.1/24").no_ipv6_address().up();
        let _cable = VethPair::new(near, "veth2").create(&host).unwrap();
        let rule = || NatRule::masquerade().persistent("lab");
        let port = || PortForward::new(80, "10.0.0.2").persistent("lab");
        for fault in [Fault::AnswerLost, Fault::AnswerShort, Fault::TimedOut] {
            let (rules, ports) = (Arc::default(), Arc::default());
            let theirs = |netns: &Netns| {
                let made: (Arc<Mutex<Vec<_>>>, Arc<Mutex<Vec<_>>>) =
                    (Arc::clone(&rules), Arc::clone(&ports));
                let netns = netns.clone();
                move || {
                    made.0.lock().unwrap().extend(rule().create(&netns).ok().map(Owned::keep));
                    // If our port exists already, the other program gets none.
                    made.1.lock().unwrap().extend(port().create(&netns).ok().map(Owned::keep));
                    arm(fault, 0);
                }
            };
            let afterwards = |step: &str, result: Result<(), Error>| {
                let (left, theirs) =
                    (listed_rules(&host), std::mem::take(&mut *rules.lock().unwrap()));
                assert_eq!(left, theirs, "{fault:?} at {step}: {result:?}");
                for rule in left {
                    Owned::adopt(rule).delete().unwrap();
                }
                let (left, theirs) =
                    (listed_ports(&host), std::mem::take(&mut *ports.lock().unwrap()));
                assert_eq!(left, theirs, "{fault:?} at {step}: {result:?}");
                for port in left {
                    Owned::adopt(port).delete().unwrap();
                }
                assert!(host.nft_ruleset().unwrap().is_empty(), "after {step}");
            };
            let other = Netns::current().unwrap();
            let a_rule = || rule().create(&Netns::current()?).map(drop);
            let a_port = || port().create(&Netns::current()?).map(drop);
            let steps = between_any_two_steps(theirs(&other), a_rule, afterwards)
                + between_any_two_steps(theirs(&other), a_port, afterwards);
            assert!(steps > 10, "{steps}");
        }
    });
}
