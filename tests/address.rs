//! Addresses: set and listed as by `ip address`, and deleted with their owner.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::net::{IpAddr, Ipv4Addr};

use netloom::{
    Address, AddressInfo, Bridge, Link, Namespace, Netns, Owned, Sysctl, Veth, VethEnd, VethPair,
};

use support::{by_hand, does_not_reach, json, reaches, refused, unchanged};

fn netns() -> Owned<Netns> {
    let netns = Namespace::anonymous().create().unwrap();
    // Packets to the namespace's own addresses use the loopback link.
    netns.link("lo").unwrap().set_up().unwrap();
    netns
}

/// Creates a veth pair whose near end `br0` has a carrier from the start. Without a carrier, the
/// kernel removes IPv6 addresses, and a bridge without ports gets one late.
fn cable(netns: &Netns) -> Owned<Veth> {
    VethPair::new(VethEnd::new("br0").up(), VethEnd::new("other").up()).create(netns).unwrap()
}

/// Waits until the namespace owns an IPv6 address. The kernel adds the address to table 255 later,
/// on a worker (net/ipv6/addrconf.c, `addrconf_dad_work`).
fn is_in_use(netns: &Netns, address: &str) {
    let address: IpAddr = address.parse().unwrap();
    support::eventually("it has a local route", || {
        let routes = netns.routes().unwrap();
        routes.iter().any(|route| route.table == 255 && route.destination.addr() == address)
    });
}

/// Returns the link's addresses without those that the kernel generates.
fn addresses(link: &Link) -> Vec<AddressInfo> {
    let mut list = link.addresses().unwrap();
    list.retain(|address| !address.prefix.to_string().starts_with("fe80:"));
    list
}

fn texts(link: &Link) -> Vec<String> {
    addresses(link).iter().map(|address| address.prefix.to_string()).collect()
}

#[test]
fn an_address_is_there_until_its_owner_goes() {
    support::isolated(|| {
        let host = netns();
        let cable = cable(&host);
        let bridge = cable.near();
        for (literal, ip) in [("10.0.0.1/24", "10.0.0.1"), ("fd00::1/64", "fd00::1")] {
            let address = Address::new(literal).create(bridge).unwrap();
            assert_eq!((address.ip().to_string(), address.link()), (ip.to_owned(), bridge));
            is_in_use(&host, ip);
            reaches(&host, ip);
            assert_eq!(texts(bridge), [literal]);
            address.delete().unwrap();
            assert_eq!(texts(bridge), [""; 0]);
            does_not_reach(&host, ip);

            drop(Address::new(literal).create(bridge).unwrap());
            assert_eq!(texts(bridge), [""; 0]);

            let kept = Address::new(literal).create(bridge).unwrap().keep();
            assert_eq!(texts(bridge), [literal]);
            let again = Owned::adopt(kept.clone());
            drop(Owned::adopt(kept));
            assert_eq!(texts(bridge), [""; 0]);
            again.delete().unwrap();
        }
    });
}

#[test]
fn broadcast_is_what_ip_makes_of_brd_plus() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").up().create(&host).unwrap();
        let theirs = Bridge::new("br1").up().create(&host).unwrap();
        for (number, length) in [8, 20, 24, 30, 31, 32].into_iter().enumerate() {
            let literal = format!("10.{number}.7.5/{length}");
            let _ours = Address::new(&literal).broadcast_auto().create(&bridge).unwrap();
            let ours = addresses(&bridge)[0].broadcast;
            let right: Option<Ipv4Addr> = match length {
                8 => Some(Ipv4Addr::new(10, 255, 255, 255)),
                20 => Some(Ipv4Addr::new(10, 1, 15, 255)),
                24 => Some(Ipv4Addr::new(10, 2, 7, 255)),
                30 => Some(Ipv4Addr::new(10, 3, 7, 7)),
                _ => None,
            };
            assert_eq!(ours, right, "{literal}");
            if by_hand(&host, &format!("ip address add {literal} brd + dev br1")) {
                assert_eq!(addresses(&theirs)[0].broadcast, right, "{literal}");
                by_hand(&host, "ip address flush dev br1");
            }
        }
        let given = Address::new("10.0.0.1/24").broadcast(Ipv4Addr::new(10, 0, 0, 127));
        let _given = given.create(&bridge).unwrap();
        assert_eq!(addresses(&bridge)[0].broadcast, Some(Ipv4Addr::new(10, 0, 0, 127)));
        let _none = Address::new("10.1.0.1/24").create(&bridge).unwrap();
        assert_eq!(addresses(&bridge)[1].broadcast, None);
    });
}

#[test]
fn the_list_is_what_ip_lists() {
    support::isolated(|| {
        let host = netns();
        let first = Address::new("10.0.0.1/24").broadcast_auto();
        let bridge = Bridge::new("br0").address(first).address("10.0.0.2/24").address("fd00::1/64");
        let bridge = bridge.up().create(&host).unwrap();
        let ours = addresses(&bridge);
        assert_eq!(ours.len(), 3);
        assert!(
            ours.iter().all(|one| one.permanent && !one.tentative && one.link == bridge.index())
        );
        assert_eq!(ours[0].label.as_deref(), Some("br0"));
        assert_eq!(
            ours[0].to_string(),
            format!("10.0.0.1/24 brd 10.0.0.255 scope global dev if{} label br0", bridge.index())
        );
        // The namespace's list also holds the addresses of `lo`.
        let all = host.addresses().unwrap();
        assert!(ours.iter().all(|address| all.contains(address)));
        assert!(all.iter().any(|address| address.link == 1));
        let Some(links) = json(&host, "ip", "address show dev br0 scope global") else { return };
        let theirs = links[0]["addr_info"].as_array().unwrap();
        assert_eq!(theirs.len(), ours.len());
        for (theirs, ours) in theirs.iter().zip(ours) {
            assert_eq!(theirs["local"], ours.prefix.addr().to_string());
            assert_eq!(theirs["prefixlen"], ours.prefix.prefix_len());
            assert_eq!(
                theirs["broadcast"].as_str().map(str::to_owned),
                ours.broadcast.map(|b| b.to_string())
            );
            assert_eq!(theirs["label"].as_str().map(str::to_owned), ours.label);
        }
    });
}

#[test]
fn a_second_address_is_refused_only_where_it_is_the_same() {
    support::isolated(|| {
        let host = netns();
        let cable = cable(&host);
        let bridge = cable.near();
        for literal in ["10.0.0.1/24", "fd00::1/64"] {
            let _first = Address::new(literal).create(bridge).unwrap();
            is_in_use(&host, literal.split('/').next().unwrap());
            let words = [&format!("add address {literal}"), "`br0` has this address already"];
            let again = unchanged(&[&host], || Address::new(literal).create(bridge));
            assert!(refused(again, &words).is_already_exists());
            let _other = Address::new(literal.replace("1/", "2/")).create(bridge).unwrap();
            assert_eq!(texts(bridge).len(), 2);
        }
    });
}

#[test]
fn no_address_comes_to_a_link_that_is_gone_or_has_no_ipv6() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        let off = Sysctl::new("net.ipv6.conf.br0.disable_ipv6", 1).create(&host).unwrap();
        let create = || Address::new("fd00::1/64").create(&bridge);
        let error =
            unchanged(&[&host], || refused(create(), &["fd00::1/64", "IPv6 is off on `br0`"]));
        assert!(error.is_permission_denied());
        assert!(!error.to_string().contains("CAP_NET_ADMIN"), "{error}");
        drop(off);
        create().unwrap().delete().unwrap();
        let gone = (*bridge).clone();
        bridge.delete().unwrap();
        let error =
            refused(Address::new("10.0.0.1/24").create(&gone), &["add address 10.0.0.1/24"]);
        assert!(error.is_not_found());
    });
}

/// Without duplicate address detection, an address is usable at once; with detection, the kernel
/// probes for duplicates first.
#[test]
fn duplicates_are_looked_for_where_it_is_asked_for() {
    support::isolated(|| {
        let (red, blue) = (netns(), netns());
        let pair = VethPair::new(VethEnd::new("eth0").up(), VethEnd::new("eth0").up());
        let cable = pair.create_between(&red, &blue).unwrap();
        let _at_once = Address::new("fd00::1/64").create(cable.near()).unwrap();
        let _checked = Address::new("fd00::2/64").detect_duplicates().create(cable.near()).unwrap();
        let tentative = |text: &str| {
            let list = addresses(cable.near());
            list.iter().find(|one| one.prefix.to_string() == text).unwrap().tentative
        };
        assert!(!tentative("fd00::1/64") && tentative("fd00::2/64"));
        let _peer = Address::new("fd00::3/64").create(cable.peer()).unwrap();
        reaches(&blue, "fd00::1");
    });
}

#[test]
fn an_address_that_another_host_has_is_listed_as_a_duplicate() {
    support::isolated(|| {
        let (red, blue) = (netns(), netns());
        let pair = VethPair::new(VethEnd::new("eth0").up(), VethEnd::new("eth0").up());
        let cable = pair.create_between(&red, &blue).unwrap();
        let _theirs = Address::new("fd00::1/64").create(cable.peer()).unwrap();
        let _ours = Address::new("fd00::1/64").detect_duplicates().create(cable.near()).unwrap();
        support::eventually("the duplicate is found", || addresses(cable.near())[0].dad_failed);
        let listed = &addresses(cable.near())[0];
        assert!(!listed.tentative && listed.to_string().contains(" dadfailed "), "{listed}");
    });
}

/// The kernel compares the peer of an IPv4 address when it deletes the address.
#[test]
fn a_point_to_point_address_is_found_adopted_and_deleted() {
    support::isolated(|| {
        let host = netns();
        let cable = cable(&host);
        let link = cable.near();
        let network = |text: &str| -> String {
            let list = addresses(link);
            list.iter().find(|one| one.prefix.to_string() == text).unwrap().network().to_string()
        };
        for (ours, peer, network_of_peer) in [
            ("10.5.0.1/32", "10.5.0.2/32", "10.5.0.2/32"),
            ("10.6.0.1/24", "10.7.0.2/24", "10.7.0.0/24"),
            ("fd05::1/128", "fd05::2/128", "fd05::2/128"),
        ] {
            let own = ours.split('/').next().unwrap();
            if !by_hand(&host, &format!("ip address add {own} peer {peer} dev br0")) {
                return;
            }
            assert_eq!(network(ours), network_of_peer);
            Owned::adopt(link.address(ours).unwrap()).delete().unwrap();
            assert_eq!(texts(link), [""; 0], "{ours} peer {peer}");
        }
        // Two addresses differ in the peer alone: only the address that was looked up is deleted.
        by_hand(&host, "ip address add 10.5.0.1 peer 10.5.0.2/32 dev br0");
        let first = link.address("10.5.0.1/32").unwrap();
        by_hand(&host, "ip address add 10.5.0.1 peer 10.5.0.3/32 dev br0");
        Owned::adopt(first).delete().unwrap();
        let left: Vec<_> = addresses(link).into_iter().map(|one| one.peer.unwrap()).collect();
        assert_eq!(left, [IpAddr::from([10, 5, 0, 3])]);
    });
}

#[test]
fn an_address_that_no_link_can_have_is_refused_before_any_call() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        for bad in ["0.0.0.0/24", "::/64", "224.0.0.1/24"] {
            let error = refused(Address::new(bad).create(&bridge), &[bad, "no link can have"]);
            assert!(error.is_invalid_input());
        }
    });
}
