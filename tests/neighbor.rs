//! Neighbours: each namespace has its own table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::net::IpAddr;

use netloom::{Namespace, NeighborInfo, NeighborState, Netns, Owned, Veth, VethEnd, VethPair};

use support::{by_hand, does_not_reach, json, reaches};

fn line() -> (Owned<Netns>, Owned<Netns>, Owned<Veth>) {
    let (red, blue) =
        (Namespace::anonymous().create().unwrap(), Namespace::anonymous().create().unwrap());
    let end = |v4: &str, v6: &str| VethEnd::new("eth0").address(v4).address(v6).up();
    let pair = VethPair::new(end("10.0.0.1/24", "fd00::1/64"), end("10.0.0.2/24", "fd00::2/64"));
    let cable = pair.create_between(&red, &blue).unwrap();
    (red, blue, cable)
}

fn entry(netns: &Netns, address: &str) -> Option<NeighborInfo> {
    let address: IpAddr = address.parse().unwrap();
    netns.neighbors().unwrap().into_iter().find(|neighbor| neighbor.address == address)
}

#[test]
fn who_was_talked_to_is_a_neighbour_with_its_hardware_address() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let (red, _blue, cable) = line();
        let mac = cable.peer().info().unwrap().mac;
        for address in ["10.0.0.2", "fd00::2"] {
            assert_eq!(entry(&red, address), None);
            reaches(&red, address);
            let known = entry(&red, address).unwrap();
            assert_eq!((known.mac, known.link), (mac, cable.near().index()));
            assert!(known.state == NeighborState::Reachable, "{known}");
            assert!(!known.router);
            assert_eq!(entry(&here, address), None, "it is nobody else's neighbour");
            let Some(listed) = json(&red, "ip", &format!("neighbour show to {address}")) else {
                continue;
            };
            assert_eq!(listed[0]["lladdr"], mac.unwrap().to_string());
            assert_eq!(listed[0]["dev"], "eth0");
            assert_eq!(listed[0]["state"][0], "REACHABLE");
        }
    });
}

#[test]
fn who_does_not_answer_has_no_hardware_address() {
    support::isolated(|| {
        let (red, _blue, _cable) = line();
        does_not_reach(&red, "10.0.0.77");
        let unknown = entry(&red, "10.0.0.77").unwrap();
        assert_eq!(unknown.mac, None);
        assert!(
            matches!(unknown.state, NeighborState::Incomplete | NeighborState::Failed),
            "{unknown}"
        );
    });
}

#[test]
fn entries_set_by_hand_are_listed_too() {
    support::isolated(|| {
        let (red, _blue, cable) = line();
        let add = "ip neighbour add 10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent";
        if !by_hand(&red, add) {
            return reaches(&red, "10.0.0.2");
        }
        let known = entry(&red, "10.0.0.9").unwrap();
        assert_eq!(known.state, NeighborState::Permanent);
        assert_eq!(
            known.to_string(),
            format!("10.0.0.9 dev if{} lladdr 02:00:00:00:00:09 PERMANENT", cable.near().index())
        );
    });
}
