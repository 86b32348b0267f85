//! The kernel's refusals: its message, and the attribute that it points at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use netloom::{Address, Bridge, Namespace, Netns, Owned, Route, VethEnd, VethPair};

use support::refused;

fn netns() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

#[test]
fn the_kernels_own_words_are_part_of_the_error() {
    support::isolated(|| {
        let host = netns();
        let end = VethEnd::new("eth0").address("10.0.0.1/24").up();
        let cable = VethPair::new(end, VethEnd::new("eth1").up()).create(&host).unwrap();
        let error = refused(cable.near().set_mtu(67), &["EINVAL"]);
        let words = error.kernel_message().unwrap();
        assert!(words.contains("mtu less than device minimum"), "{words}");
        assert!(error.to_string().contains(words));
        let route = Route::new("10.9.0.0/16").via("10.8.0.1");
        let error = refused(route.create(&host), &["ENETUNREACH"]);
        assert!(error.kernel_message().unwrap().contains("invalid gateway"), "{error}");
    });
}

#[test]
fn an_error_says_what_was_done_to_what_and_where() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        let error = refused(Bridge::new("br0").create(&host), &["EEXIST"]);
        assert_eq!(error.action(), "create bridge");
        assert_eq!(error.object(), "br0");
        assert_eq!(error.namespace(), Some(&*host.to_string()));
        assert_eq!(error.raw_os_error(), Some(nix::libc::EEXIST));
        assert_eq!(error.remedy().unwrap(), format!("a link named `br0` is already in {}", *host));
        assert_eq!(format!("{error:?}"), error.to_string());
        let io = std::io::Error::from(error);
        assert_eq!(io.kind(), std::io::ErrorKind::AlreadyExists);
        let _first = Address::new("10.0.0.1/24").create(&bridge).unwrap();
        let error = refused(Address::new("10.0.0.1/24").create(&bridge), &[]);
        assert_eq!((error.action(), error.object()), ("add address", "10.0.0.1/24"));
    });
}

/// The error names the refused request of a datagram with several.
#[test]
fn of_a_datagram_of_requests_the_first_refused_one_is_named() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").address("10.0.0.1/24").address("10.0.0.2/24");
        let bridge = bridge.address("10.0.0.1/24").address("10.0.0.2/24").up();
        let error = refused(bridge.create(&host), &["EEXIST"]);
        assert_eq!((error.action(), error.object()), ("add address", "10.0.0.1/24"));
        let end = VethEnd::new("a").address("10.0.0.1/24").gateway("10.9.0.1").up();
        let error = refused(VethPair::new(end, "b").create(&host), &["ENETUNREACH"]);
        assert_eq!((error.action(), error.object()), ("add route", "default via 10.9.0.1"));
    });
}

/// After any refusal the socket is as good as new: the next answer is the next request's.
#[test]
fn a_refusal_never_gets_into_the_next_answer() {
    support::isolated(|| {
        let host = netns();
        for round in 0..50 {
            refused(host.link("nobody"), &["`nobody`"]);
            let bridge = Bridge::new("br0").create(&host).unwrap();
            refused(Bridge::new("br0").create(&host), &["already"]);
            assert_eq!(host.links().unwrap().len(), 2, "{round}");
            refused(Route::new("10.0.0.0/8").dev(&bridge).create(&host), &["down"]);
            assert_eq!(bridge.info().unwrap().name, "br0");
        }
    });
}

/// Far more than one datagram, and longer than any first buffer.
#[test]
fn long_lists_are_whole() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").up().create(&host).unwrap();
        let count = 1500;
        let prefix = |n: u32| format!("10.{}.{}.1/32", n / 250, n % 250);
        let addresses: Vec<_> =
            (0..count).map(|n| Address::new(prefix(n)).create(&bridge).unwrap().keep()).collect();
        let mut listed: Vec<_> =
            bridge.addresses().unwrap().iter().map(|a| a.prefix.to_string()).collect();
        listed.retain(|text| text.starts_with("10."));
        let mut made: Vec<_> =
            addresses.iter().map(|address| address.prefix().to_string()).collect();
        listed.sort();
        made.sort();
        assert_eq!(listed, made);
        // A local route each, in the table 255.
        let local = host.routes().unwrap().iter().filter(|route| route.table == 255).count();
        assert!(local >= 1500, "{local}");
    });
}

/// Lists stay whole while they change: read again, or an error, never a part.
#[test]
fn a_list_that_changes_is_never_partial() {
    support::isolated(|| {
        let host = netns();
        let steady = Bridge::new("steady").up().create(&host).unwrap();
        for n in 0..200 {
            Address::new(format!("10.0.{n}.1/24")).create(&steady).unwrap().keep();
        }
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let busy = Bridge::new("busy").create(&host).unwrap();
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    drop(Address::new("192.0.2.1/24").create(&busy).unwrap());
                    std::thread::sleep(Duration::from_micros(200));
                }
            });
            for _ in 0..100 {
                match host.addresses() {
                    Ok(list) => {
                        let mine =
                            list.iter().filter(|one| one.prefix.to_string().starts_with("10.0."));
                        assert_eq!(mine.count(), 200);
                    }
                    Err(error) => assert!(error.to_string().contains("NLM_F_DUMP_INTR"), "{error}"),
                }
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    });
}
