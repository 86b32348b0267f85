//! Owners that are deleted together, whatever holds them and in whatever order it drops them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use netloom::{
    Bridge, Error, Forwarding, Link, Namespace, NatRule, Netns, Owned, Together, Veth, VethEnd,
    VethPair, on_drop_failure,
};

fn netns() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

fn names(netns: &Netns) -> Vec<String> {
    netns.links().unwrap().into_iter().map(|link| link.name).collect()
}

fn cable(host: &Netns, n: usize) -> Result<Owned<Veth>, Error> {
    VethPair::new(VethEnd::new(format!("a{n}")).queues(1), format!("b{n}")).create(host)
}

fn cables(host: &Netns) -> Vec<Owned<Veth>> {
    (0..3).map(|n| cable(host, n).unwrap()).collect()
}

/// After each way of dropping the owners, their names are free for the next round.
#[test]
fn whatever_holds_them_they_are_gone_with_it() {
    struct Network {
        bridge: Owned<Link>,
        containers: Vec<(Owned<Netns>, Owned<Veth>)>,
        inner: Together<Vec<Owned<Veth>>>,
    }
    support::isolated(|| {
        let host = netns();
        let network = || {
            let bridge = Bridge::new("br0").up().create(&host).unwrap();
            let container = |n| {
                let netns = netns();
                let port = VethEnd::new(format!("port{n}")).master(&bridge).up();
                let cable = VethPair::new(port, "eth0").create_between(&host, &netns).unwrap();
                (netns, cable)
            };
            let containers = (0..4).map(container).collect();
            Network { bridge, containers, inner: cables(&host).into() }
        };
        for turn in 0..6 {
            let network = network();
            assert_eq!(names(&host).len(), 1 + 1 + 4 + 6);
            let Network { bridge, containers, inner } = network;
            match turn {
                0 => drop(Together::new(Network { bridge, containers, inner })),
                1 => Together::new(Network { bridge, containers, inner }).delete().unwrap(),
                2 => drop(Together::new((bridge, containers, inner))),
                3 => drop(Together::new(Some(Box::new((containers, inner, bridge))))),
                // The containers' namespaces are dropped first.
                4 => {
                    let (namespaces, cables): (Vec<_>, Vec<_>) = containers.into_iter().unzip();
                    drop(namespaces);
                    drop(Together::new((cables, bridge, inner)));
                }
                _ => {
                    drop(Network { bridge, containers, inner });
                }
            }
            assert_eq!(names(&host), ["lo"], "{turn}");
        }
    });
}

#[test]
fn the_far_ends_of_a_bridge_are_one_group_too() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        let containers: Vec<_> = (0..5).map(|_| netns()).collect();
        let cable = |(n, container): (usize, &Owned<Netns>)| {
            let port = VethEnd::new(format!("port{n}")).master(&bridge);
            VethPair::new("eth0", port).create_between(container, &host)
        };
        let cables: Together<Vec<_>> =
            containers.iter().enumerate().map(cable).collect::<Result<_, _>>().unwrap();
        // One link was moved, and one was deleted.
        host.link("port1").unwrap().move_to(&containers[0]).unwrap();
        Owned::adopt(containers[2].link("eth0").unwrap()).delete().unwrap();
        drop(cables);
        assert_eq!(names(&host), ["lo", "br0"]);
        assert!(containers.iter().all(|container| names(container) == ["lo"]));
    });
}

#[test]
fn a_collection_that_fails_half_way_leaves_nothing() {
    support::isolated(|| {
        let host = netns();
        let one = |n| cable(&host, if n == 3 { 0 } else { n });
        let failed = (0..5).map(one).collect::<Result<Together<Vec<_>>, Error>>();
        assert!(failed.unwrap_err().is_already_exists());
        assert_eq!(names(&host), ["lo"]);
    });
}

#[test]
fn it_grows_and_it_lets_go() {
    support::isolated(|| {
        let host = netns();
        let mut held = Together::<Vec<_>>::default();
        held.extend(cables(&host));
        held.push(cable(&host, 7).unwrap());
        assert_eq!((held.len(), names(&host).len()), (4, 9));
        let mut alone = held.into_inner();
        assert_eq!(names(&host).len(), 9);
        drop(alone.pop());
        assert_eq!(names(&host).len(), 7);
        let kept = alone.pop().unwrap().keep();
        drop(Together::new(alone));
        assert_eq!(names(&host).len(), 3);
        Owned::adopt(kept).delete().unwrap();
    });
}

#[test]
fn everything_else_of_a_network_goes_as_well() {
    support::isolated(|| {
        let host = netns();
        let before = host.sysctl("net.ipv4.ip_forward").unwrap();
        let network = || -> Result<_, Error> {
            let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host)?;
            let forwarding = Forwarding::ipv4().create(&host)?;
            let nat = NatRule::masquerade().source("10.0.0.0/24").create(&host)?;
            let lab = Namespace::named("lab").create()?;
            Ok((cables(&host), forwarding, bridge, nat, lab))
        };
        support::unchanged(&[&host], || drop(Together::new(network().unwrap())));
        assert_eq!(host.sysctl("net.ipv4.ip_forward").unwrap(), before);
        assert!(Netns::list().unwrap().is_empty());
    });
}

static TOLD: AtomicUsize = AtomicUsize::new(0);

#[test]
fn each_failure_is_returned_or_told() {
    support::isolated(|| {
        assert!(on_drop_failure(|_| {
            TOLD.fetch_add(1, Ordering::Relaxed);
        }));
        let host = netns();
        let with_lo = || {
            let lo = || Owned::adopt(host.link("lo").unwrap());
            let inner = Together::new([lo()]);
            (lo(), cables(&host), inner)
        };
        let failures = Together::new(with_lo()).delete().unwrap_err();
        assert_eq!(failures.errors().len(), 2);
        assert!(failures.errors().iter().all(Error::is_unsupported), "{failures}");
        assert!(Error::from(failures).to_string().contains("`lo`"));
        assert_eq!((names(&host), TOLD.load(Ordering::Relaxed)), (vec!["lo".into()], 0));
        drop(Together::new(with_lo()));
        assert_eq!((names(&host), TOLD.load(Ordering::Relaxed)), (vec!["lo".into()], 2));
    });
}

/// An explicit deletion is complete on return, even within the drop of a `Together`.
#[test]
fn a_call_within_a_drop_is_carried_out_at_once() {
    struct Careful(Option<Together<Vec<Owned<Veth>>>>, Owned<Netns>);
    impl Drop for Careful {
        fn drop(&mut self) {
            if let Some(cables) = self.0.take() {
                cables.delete().unwrap();
            }
            assert_eq!(names(&self.1), ["lo", "br0"]);
        }
    }
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        let careful = Careful(Some(cables(&host).into()), Owned::adopt((*host).clone()));
        drop(Together::new((bridge, careful)));
        assert_eq!(names(&host), ["lo"]);
    });
}

struct Panics;

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("in a drop");
    }
}

#[test]
fn a_panic_in_a_drop_stops_neither_it_nor_what_comes_after() {
    support::isolated(|| {
        let host = netns();
        let network = || (cable(&host, 0).unwrap(), Panics, cable(&host, 1).unwrap());
        let held = Together::new(network());
        catch_unwind(AssertUnwindSafe(|| drop(held))).unwrap_err();
        assert_eq!(names(&host), ["lo"]);
        let held = Together::new(network());
        catch_unwind(AssertUnwindSafe(|| held.delete())).unwrap_err().downcast::<&str>().unwrap();
        assert_eq!(names(&host), ["lo"]);
        // The scope of the failed `Together` does not affect the next drop.
        let alone = cable(&host, 2).unwrap();
        drop(alone);
        assert_eq!(names(&host), ["lo"]);
    });
}

#[test]
fn one_that_is_dropped_as_its_thread_ends_works_as_well() {
    thread_local! {
        static HELD: std::cell::RefCell<Option<Together<Vec<Owned<Veth>>>>> = const { std::cell::RefCell::new(None) };
    }
    support::isolated(|| {
        let host = netns();
        std::thread::scope(|scope| {
            let held = Together::new(cables(&host));
            scope.spawn(|| HELD.set(Some(held))).join().unwrap();
        });
        assert_eq!(names(&host), ["lo"]);
    });
}
