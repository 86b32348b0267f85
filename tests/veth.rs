//! Veth pairs: created in their namespaces, moved, deleted as a pair, and leaving nothing after a
//! failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::net::IpAddr;

use netloom::{Bridge, MacAddr, Namespace, Netns, Owned, Route, VethEnd, VethPair};

use support::{by_hand, does_not_reach, eventually, json, reaches, refused, tcp, udp, unchanged};

fn two() -> (Owned<Netns>, Owned<Netns>) {
    (Namespace::anonymous().create().unwrap(), Namespace::anonymous().create().unwrap())
}

fn end(name: &str, addresses: &[&str]) -> VethEnd {
    addresses.iter().fold(VethEnd::new(name).up(), |end, address| end.address(*address))
}

#[test]
fn both_ends_are_born_in_their_own_namespaces() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let (red, blue) = two();
        let pair = VethPair::new(
            end("eth0", &["10.0.0.1/24", "fd00::1/64"]),
            end("eth0", &["10.0.0.2/24", "fd00::2/64"]),
        );
        let cable = unchanged(&[&here], || pair.create_between(&red, &blue).unwrap());
        assert_eq!(
            (cable.near().namespace(), cable.peer().namespace()),
            ((*red).clone(), (*blue).clone())
        );
        for (from, to) in [(&red, ["10.0.0.2", "fd00::2"]), (&blue, ["10.0.0.1", "fd00::1"])] {
            for to in to {
                reaches(from, to);
            }
        }
        tcp(&red, &blue, "10.0.0.2:80").unwrap();
        udp(&blue, &red, "[fd00::1]:53").unwrap();

        let info = cable.near().info().unwrap();
        assert_eq!(info.kind, Some(netloom::LinkKind::Veth));
        assert_eq!(info.link, Some(cable.peer().index()));
        assert!(info.link_namespace.is_some(), "its peer is elsewhere");
        for (netns, link) in [(&red, cable.near()), (&blue, cable.peer())] {
            let Some(listed) = json(netns, "ip", "-details link show eth0") else { continue };
            assert_eq!(listed[0]["linkinfo"]["info_kind"], "veth");
            assert_eq!(listed[0]["ifindex"], link.index().get());
            // The kernel reports the state UP a little later.
            eventually("it is up", || {
                json(netns, "ip", "link show eth0").unwrap()[0]["operstate"] == "UP"
            });
        }
    });
}

#[test]
fn both_ends_are_born_here_and_moved_later() {
    support::isolated(|| {
        let (red, blue) = two();
        let cable = VethPair::new("veth1", "veth2").create(&red).unwrap();
        assert_eq!(red.links().unwrap().len(), 3);
        // The peer's index is taken in `blue`, so the move changes it.
        let _taken = VethPair::new("other1", "other2").create(&blue).unwrap();
        let before = cable.peer().index();
        cable.peer().move_to(&blue).unwrap();
        assert_eq!(cable.peer().namespace(), *blue);
        assert_ne!(cable.peer().index(), before);
        assert_eq!(cable.peer().info().unwrap().name, "veth2");
        assert!(red.link("veth2").unwrap_err().is_not_found());

        let _address1 = netloom::Address::new("10.0.0.1/24").create(cable.near()).unwrap();
        let _address2 = netloom::Address::new("10.0.0.2/24").create(cable.peer()).unwrap();
        cable.near().set_up().unwrap();
        cable.peer().set_up().unwrap();
        reaches(&red, "10.0.0.2");
        reaches(&blue, "10.0.0.1");

        cable.near().move_to(&blue).unwrap();
        assert_eq!(red.links().unwrap().len(), 1);
        cable.delete().unwrap();
        assert!(blue.link("veth1").is_err() && blue.link("veth2").is_err());
        assert!(blue.link("other1").is_ok(), "an index of another namespace hits nothing");
    });
}

#[test]
fn a_move_to_where_the_name_is_taken_is_refused_and_the_link_stays() {
    support::isolated(|| {
        let (red, blue) = two();
        let _there = Bridge::new("veth2").create(&blue).unwrap();
        let cable = VethPair::new("veth1", "veth2").create(&red).unwrap();
        let error = unchanged(&[&red, &blue], || {
            refused(cable.peer().move_to(&blue), &["move `veth2`", "already in"])
        });
        assert!(error.is_already_exists());
        assert_eq!(cable.peer().namespace(), *red);
        assert!(cable.peer().info().is_ok());
    });
}

#[test]
fn deleting_either_end_deletes_both() {
    support::isolated(|| {
        let (red, blue) = two();
        let pair = VethPair::new("veth1", "veth2");
        let gone = || red.link("veth1").is_err() && blue.link("veth2").is_err();

        pair.create_between(&red, &blue).unwrap().delete().unwrap();
        assert!(gone());
        drop(pair.create_between(&red, &blue).unwrap());
        assert!(gone());
        let cable = pair.create_between(&red, &blue).unwrap();
        Owned::adopt(cable.near().clone()).delete().unwrap();
        assert!(gone());
        cable.delete().unwrap();
        let cable = pair.create_between(&red, &blue).unwrap();
        Owned::adopt(cable.peer().clone()).delete().unwrap();
        assert!(gone());
        cable.delete().unwrap();
        let kept = pair.create_between(&red, &blue).unwrap().keep();
        assert!(!gone());
        drop(Owned::adopt(kept));
        assert!(gone());
    });
}

#[test]
fn a_cable_whose_near_end_somebody_moved_goes_by_its_other_end() {
    support::isolated(|| {
        let (red, blue) = two();
        let elsewhere = Namespace::anonymous().create().unwrap();
        let cable = VethPair::new("veth1", "veth2").create_between(&red, &blue).unwrap();
        cable.near().clone().move_to(&elsewhere).unwrap();
        drop(cable);
        assert!(blue.link("veth2").is_err());
        assert!(elsewhere.link("veth1").is_err());
    });
}

#[test]
fn an_end_is_born_with_all_its_settings() {
    support::isolated(|| {
        let (host, container) = two();
        let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host).unwrap();
        let mac: MacAddr = "02:00:00:00:00:07".parse().unwrap();
        let common = |name: &str| VethEnd::new(name).mtu(1400).group(7).queues(2).no_ipv6_address();
        let port = common("port1").master(&bridge).up();
        let eth0 = common("eth0").mac(mac).address("10.0.0.2/24").gateway("10.0.0.1");
        let pair = VethPair::new(port, eth0.loopback_up().up());
        let cable = pair.create_between(&host, &container).unwrap();

        reaches(&container, "10.0.0.1");
        reaches(&container, "127.0.0.1");
        let (near, peer) = (cable.near().info().unwrap(), cable.peer().info().unwrap());
        assert_eq!((near.mtu, near.group, near.master), (1400, 7, Some(bridge.index())));
        assert_eq!((peer.mtu, peer.group, peer.mac), (1400, 7, Some(mac)));
        assert!(near.is_up() && peer.is_up());
        let default = container.routes().unwrap().into_iter().find(netloom::RouteInfo::is_default);
        assert_eq!(default.unwrap().gateway(), Some("10.0.0.1".parse::<IpAddr>().unwrap()));
        let link_local = |netns: &Netns, name: &str| {
            let link = netns.link(name).unwrap();
            link.addresses().unwrap().iter().any(|one| one.prefix.addr().is_ipv6())
        };
        assert!(!link_local(&host, "port1") && !link_local(&container, "eth0"));
        assert!(link_local(&host, "br0"), "only where it was asked for");
        for (netns, name) in [(&host, "port1"), (&container, "eth0")] {
            let Some(list) = json(netns, "ip", &format!("-details link show {name}")) else {
                return;
            };
            assert_eq!(
                (&list[0]["num_tx_queues"], &list[0]["num_rx_queues"]),
                (&2.into(), &2.into())
            );
            assert_eq!(list[0]["inet6_addr_gen_mode"], "none");
            assert_eq!((&list[0]["mtu"], &list[0]["group"]), (&1400.into(), &"7".into()));
        }
    });
}

#[test]
fn the_peer_can_be_the_bridge_port_too() {
    support::isolated(|| {
        let (container, host) = two();
        let _bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host).unwrap();
        let pair = VethPair::new(end("eth0", &["10.0.0.2/24"]), end("port1", &[]).master("br0"));
        let _cable = pair.create_between(&container, &host).unwrap();
        reaches(&container, "10.0.0.1");
        reaches(&host, "10.0.0.2");
    });
}

#[test]
fn gateways_of_both_families_work_on_either_end() {
    support::isolated(|| {
        let (red, blue) = two();
        for red_is_near in [true, false] {
            let client = end("eth0", &["10.0.0.2/24", "fd00::2/64"]);
            let client = client.gateway("10.0.0.1").gateway("fd00::1");
            let server = end("eth0", &["10.0.0.1/24", "fd00::1/64", "10.9.0.1/32", "fd09::1/128"]);
            let _cable = if red_is_near {
                VethPair::new(client, server).create_between(&red, &blue).unwrap()
            } else {
                VethPair::new(server, client).create_between(&blue, &red).unwrap()
            };
            reaches(&red, "10.9.0.1");
            reaches(&red, "fd09::1");
            does_not_reach(&blue, "10.8.0.1");
        }
    });
}

/// Each attempt fails at another step, the last ones after the cable was created.
#[test]
fn a_cable_that_fails_half_way_leaves_nothing() {
    support::isolated(|| {
        let (red, blue) = two();
        let _taken = Bridge::new("taken").up().create(&blue).unwrap();
        let _other = VethPair::new("plain", "plain2").create(&blue).unwrap();
        let near = || end("veth1", &["10.0.0.1/24"]);
        let far = || end("veth2", &["10.0.0.2/24"]);
        let create = |near: VethEnd, far: VethEnd| {
            let pair = VethPair::new(near, far);
            unchanged(&[&red, &blue], || pair.create_between(&red, &blue))
        };
        let error = refused(create(near(), end("taken", &[])), &["`taken` is already in"]);
        assert!(error.is_already_exists());
        let error = refused(create(near(), far().master("nobody")), &["`nobody`"]);
        assert!(error.is_not_found());
        let error = refused(create(near(), far().master("plain")), &["`plain` is not a bridge"]);
        assert!(!error.is_unsupported());
        let error = refused(create(near(), far().gateway("192.0.2.1")), &["192.0.2.1", "gateway"]);
        assert_eq!(error.raw_os_error(), Some(nix::libc::ENETUNREACH));
        let error = refused(create(near().gateway("192.0.2.1"), far()), &["192.0.2.1", "gateway"]);
        assert_eq!(error.raw_os_error(), Some(nix::libc::ENETUNREACH));
        let twice = far().address("10.0.0.2/24");
        let error = refused(create(near(), twice), &["add address 10.0.0.2/24", "already"]);
        assert!(error.is_already_exists());
        assert!(!error.to_string().contains("route"), "{error}");
        VethPair::new(near(), far()).create_between(&red, &blue).unwrap().delete().unwrap();
    });
}

#[test]
fn creating_twice_is_refused_and_the_first_one_stays() {
    support::isolated(|| {
        let (red, blue) = two();
        let pair = VethPair::new(end("a", &["10.0.0.1/24"]), end("b", &["10.0.0.2/24"]));
        let _cable = pair.create_between(&red, &blue).unwrap();
        let again = unchanged(&[&red, &blue], || pair.create_between(&red, &blue));
        assert!(refused(again, &["a link named `a` is already in"]).is_already_exists());
        reaches(&red, "10.0.0.2");
    });
}

#[test]
fn what_ip_deleted_is_gone_without_complaint() {
    support::isolated(|| {
        let (red, blue) = two();
        let cable = VethPair::new("veth1", "veth2").create_between(&red, &blue).unwrap();
        if !by_hand(&blue, "ip link delete veth2") {
            Owned::adopt(blue.link("veth2").unwrap()).delete().unwrap();
        }
        cable.delete().unwrap();
    });
}

/// A gateway outside the end's network is marked on-link, and the second default route has a
/// metric.
#[test]
fn two_networks_of_a_container_have_a_gateway_each() {
    support::isolated(|| {
        let [host, red] = [(); 2].map(|()| Namespace::anonymous().create().unwrap());
        let cable = |number: u8| {
            let gateway = format!("169.254.{number}.1");
            let near = VethEnd::new(format!("port{number}")).address(format!("{gateway}/32"));
            let near = near.route(Route::new(format!("10.0.{number}.2/32"))).up();
            let out = Route::default_via(&*gateway).on_link().metric(100 * u32::from(number));
            let eth = VethEnd::new(format!("eth{number}"));
            let eth = eth.address(format!("10.0.{number}.2/32")).route(out).up();
            VethPair::new(near, eth).create_between(&host, &red).unwrap()
        };
        let cables = [1, 2].map(cable);
        let via = |red: &Netns| {
            let routes = red.routes().unwrap().into_iter();
            routes.filter_map(|route| Some(route.gateway()?.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(via(&red), ["169.254.1.1", "169.254.2.1"]);
        reaches(&red, "169.254.1.1");
        let [first, _second] = cables;
        drop(first);
        assert_eq!(via(&red), ["169.254.2.1"]);
        reaches(&red, "169.254.2.1");
    });
}
