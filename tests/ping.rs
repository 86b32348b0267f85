//! Echo requests from a namespace: the reply, or the reason for its absence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use netloom::{Address, Forwarding, Namespace, Netns, Owned, Ping, Route, VethEnd, VethPair};

use support::refused;

fn netns() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

fn end(v4: &str, v6: &str) -> VethEnd {
    VethEnd::new("eth0").address(v4).address(v6).up().loopback_up()
}

#[test]
fn an_answer_tells_who_and_how_long() {
    support::isolated(|| {
        let (red, blue) = (netns(), netns());
        let pair =
            VethPair::new(end("10.0.0.1/24", "fd00::1/64"), end("10.0.0.2/24", "fd00::2/64"));
        let _cable = pair.create_between(&red, &blue).unwrap();
        for target in ["10.0.0.2", "fd00::2", "10.0.0.1", "fd00::1", "127.0.0.1", "::1"] {
            let reply = Ping::new(target).send(&red).unwrap();
            assert_eq!(reply.from.to_string(), target);
            assert!(reply.time > Duration::ZERO && reply.time < Duration::from_secs(2));
            assert!(red.ping(target).unwrap() > Duration::ZERO);
        }
    });
}

#[test]
fn no_route_no_neighbour_and_no_answer_are_told_apart() {
    support::isolated(|| {
        let (red, blue) = (netns(), netns());
        let pair =
            VethPair::new(end("10.0.0.1/24", "fd00::1/64"), end("10.0.0.2/24", "fd00::2/64"));
        let _cable = pair.create_between(&red, &blue).unwrap();
        for target in ["192.0.2.1", "fd99::1"] {
            let error = refused(red.ping(target), &[&format!("ping {target}"), "unreachable"]);
            assert_eq!(error.raw_os_error(), Some(nix::libc::ENETUNREACH));
            assert_eq!(error.namespace(), Some(&*red.to_string()));
        }
        // No host has the address. The kernel reports that after one to three seconds.
        let error = refused(
            Ping::new("10.0.0.9").timeout(Duration::from_secs(20)).send(&red),
            &["10.0.0.9"],
        );
        assert_eq!(error.raw_os_error(), Some(nix::libc::EHOSTUNREACH));
        // The kernel asks for the hardware address for longer than this timeout.
        let brief = Ping::new("10.0.0.10").timeout(Duration::from_millis(50)).send(&red);
        assert!(refused(brief, &["no answer within 50ms"]).is_timed_out());
        // The request arrives, but the host does not reply.
        let silent =
            netloom::Sysctl::new("net.ipv4.icmp_echo_ignore_all", 1).create(&blue).unwrap();
        let brief = Ping::new("10.0.0.2").timeout(Duration::from_millis(50));
        assert!(refused(brief.send(&red), &["no answer"]).is_timed_out());
        // A host's own request on the loopback link is no reply.
        for own in ["10.0.0.2", "127.0.0.1"] {
            let own = Ping::new(own).timeout(Duration::from_millis(50));
            assert!(refused(own.send(&blue), &["no answer"]).is_timed_out());
        }
        drop(silent);
        red.ping("10.0.0.2").unwrap();
    });
}

#[test]
fn a_router_that_says_unreachable_is_heard() {
    support::isolated(|| {
        let (red, router) = (netns(), netns());
        let pair = VethPair::new(
            end("10.0.0.2/24", "fd00::2/64").gateway("10.0.0.1").gateway("fd00::1"),
            end("10.0.0.1/24", "fd00::1/64"),
        );
        let _cable = pair.create_between(&red, &router).unwrap();
        let _on = [
            Forwarding::ipv4().create(&router).unwrap(),
            Forwarding::ipv6().create(&router).unwrap(),
        ];
        let errno = |target: &str| {
            refused(Ping::new(target).timeout(Duration::from_secs(5)).send(&red), &[target])
                .raw_os_error()
        };
        assert_eq!(errno("192.0.2.1"), Some(nix::libc::ENETUNREACH));
        assert_eq!(errno("fd99::1"), Some(nix::libc::ENETUNREACH));
        // An earlier ICMP error for this target does not fail a later request.
        let _route = Route::new("192.0.2.0/24").dev("eth0").create(&router).unwrap();
        let _there = Address::new("192.0.2.1/32").create(&router.link("lo").unwrap()).unwrap();
        red.ping("192.0.2.1").unwrap();
    });
}

#[test]
fn many_at_once_get_each_its_own_answer() {
    support::isolated(|| {
        let (red, blue) = (netns(), netns());
        let pair =
            VethPair::new(end("10.0.0.1/24", "fd00::1/64"), end("10.0.0.2/24", "fd00::2/64"));
        let _cable = pair.create_between(&red, &blue).unwrap();
        std::thread::scope(|scope| {
            for number in 0..16 {
                let target = if number % 2 == 0 { "10.0.0.2" } else { "fd00::2" };
                let red = &red;
                scope.spawn(move || {
                    let timeout = Duration::from_secs(10);
                    assert_eq!(
                        Ping::new(target).timeout(timeout).send(red).unwrap().from.to_string(),
                        target
                    );
                });
            }
        });
    });
}

#[test]
fn what_is_no_address_is_never_sent() {
    support::isolated(|| {
        let red = netns();
        for bad in ["", "10.0.0", "10.0.0.2/24", "host.example"] {
            let error = refused(red.ping(bad), &["ping", bad]);
            assert!(error.is_invalid_input());
        }
    });
}

#[test]
fn a_link_local_address_is_one_of_each_link() {
    support::isolated(|| {
        let (red, blue) = (netns(), netns());
        let pair =
            VethPair::new(end("10.0.0.1/24", "fe80::1/64"), end("10.0.0.2/24", "fe80::2/64"));
        let _cable = pair.create_between(&red, &blue).unwrap();
        for refusal in [
            red.ping("fe80::2"),
            red.wait_reachable("fe80::2", Duration::from_secs(1)),
            Ping::new("fe80::2").run(&red).map(|summary| summary.time),
        ] {
            let error = refused(refusal, &["fe80::2", "link-local"]);
            assert!(error.is_invalid_input());
        }
    });
}
