//! Bridges: ports that join at creation or later, up to the kernel's limit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use netloom::{Bridge, BridgePortState, Link, Namespace, Netns, Owned, Veth, VethEnd, VethPair};

use support::{does_not_reach, json, reaches, refused, unchanged};

fn netns() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

fn cable(host: &Netns, port: VethEnd, container: &Netns, address: &str) -> Owned<Veth> {
    let eth0 = VethEnd::new("eth0").address(address).up();
    VethPair::new(port.up(), eth0).create_between(host, container).unwrap()
}

#[test]
fn ports_of_birth_and_later_ones_carry_packets_until_they_are_released() {
    support::isolated(|| {
        let (host, red, blue) = (netns(), netns(), netns());
        let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host).unwrap();
        let _red = cable(&host, VethEnd::new("port1").master(&bridge), &red, "10.0.0.2/24");
        let later = cable(&host, VethEnd::new("port2"), &blue, "10.0.0.3/24");
        does_not_reach(&red, "10.0.0.3");
        later.near().set_master("br0").unwrap();
        reaches(&red, "10.0.0.3");
        reaches(&blue, "10.0.0.2");
        reaches(&host, "10.0.0.3");
        reaches(&red, "10.0.0.1");
        later.near().release().unwrap();
        later.near().release().unwrap();
        does_not_reach(&red, "10.0.0.3");
        assert_eq!(later.near().info().unwrap().master, None);
    });
}

#[test]
fn the_ports_are_what_bridge_lists() {
    support::isolated(|| {
        let host = netns();
        let one = Bridge::new("br1").up().create(&host).unwrap();
        let two = Bridge::new("br2").up().create(&host).unwrap();
        let end = |name: &str, bridge: &Link| VethEnd::new(name).master(bridge).up();
        let _a = VethPair::new(end("a1", &one), end("a2", &one)).create(&host).unwrap();
        let _b = VethPair::new(end("b1", &two), VethEnd::new("b2").up()).create(&host).unwrap();
        let ports = host.bridge_ports().unwrap();
        let names: Vec<_> = ports.iter().map(|port| (port.name.as_str(), port.master)).collect();
        assert_eq!(names, [("a2", one.index()), ("a1", one.index()), ("b1", two.index())]);
        assert_eq!(one.ports().unwrap(), ports[..2]);
        let forward = || {
            let ports = host.bridge_ports()?;
            Ok(ports.iter().all(|port| port.state == BridgePortState::Forwarding))
        };
        host.wait_for(forward, Duration::from_secs(10)).unwrap();
        let Some(listed) = json(&host, "bridge", "link show") else { return };
        let ports = host.bridge_ports().unwrap();
        assert_eq!(listed.len(), ports.len());
        for (theirs, ours) in listed.iter().zip(ports) {
            assert_eq!(theirs["ifindex"], ours.index.get());
            assert_eq!(theirs["ifname"], ours.name.as_str());
            assert_eq!(theirs["master"], host.link_at(ours.master).unwrap().name());
            assert_eq!(theirs["state"], ours.state.to_string());
            assert_eq!(theirs["priority"], ours.priority);
            assert_eq!(theirs["cost"], ours.cost);
        }
    });
}

#[test]
fn its_options_are_set_at_birth() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0")
            .stp(true)
            .forward_delay(Duration::from_secs(4))
            .ageing_time(Duration::from_secs(60))
            .multicast_snooping(false)
            .mac("02:00:00:00:00:09")
            .mtu(1300);
        let bridge = bridge.create(&host).unwrap();
        let info = bridge.info().unwrap();
        assert_eq!((info.mtu, info.mac.unwrap().to_string()), (1300, "02:00:00:00:00:09".into()));
        let read = |name: &str| {
            let path = format!("/sys/class/net/br0/bridge/{name}");
            let mut cat = host.command("cat");
            let output = cat.arg(path).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(read("stp_state"), "1");
        assert_eq!(read("forward_delay"), "400");
        assert_eq!(read("ageing_time"), "6000");
        assert_eq!(read("multicast_snooping"), "0");
        let set = bridge.bridge_info().unwrap().unwrap();
        assert!(set.stp && !set.multicast_snooping && !set.vlan_filtering);
        assert_eq!((set.forward_delay.as_secs(), set.ageing_time.as_secs()), (4, 60));
        assert_eq!(set.priority.to_string(), read("priority"));
        if let Some(list) = json(&host, "ip", "-details link show br0") {
            let data = &list[0]["linkinfo"]["info_data"];
            assert_eq!((&data["stp_state"], &data["forward_delay"]), (&1.into(), &400.into()));
            assert_eq!((&data["ageing_time"], &data["mcast_snooping"]), (&6000.into(), &0.into()));
        }
    });
}

#[test]
fn its_hardware_address_stays_as_ports_come_and_go() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").up().create(&host).unwrap();
        let mac = bridge.info().unwrap().mac.unwrap();
        // A bridge without a MAC address set by the user takes the lowest MAC address of its ports.
        let port = VethEnd::new("port").mac("00:00:00:00:00:01").master(&bridge).up();
        let cable = VethPair::new(port, "peer").create(&host).unwrap();
        assert_eq!(bridge.info().unwrap().mac, Some(mac));
        cable.delete().unwrap();
        assert_eq!(bridge.info().unwrap().mac, Some(mac));
    });
}

#[test]
fn what_is_no_bridge_takes_no_ports_and_nobody_says_unsupported() {
    support::isolated(|| {
        let host = netns();
        let cable = VethPair::new("veth1", "veth2").create(&host).unwrap();
        let lo = host.link("lo").unwrap();
        unchanged(&[&host], || {
            let refusals = [
                (refused(
                    cable.near().set_master("lo"),
                    &["enslave `veth1`", "`lo` is not a bridge"],
                )),
                (refused(
                    cable.near().set_master(&lo),
                    &["enslave `veth1`", "`lo` is not a bridge"],
                )),
                (refused(
                    cable.near().set_master("veth2"),
                    &["`veth2` is not a bridge, bond or VRF but veth"],
                )),
                (refused(
                    VethPair::new(VethEnd::new("a").master("veth2"), "b").create(&host),
                    &["`a`", "`veth2` is not a bridge, bond or VRF but veth"],
                )),
                (refused(
                    VethPair::new("a", VethEnd::new("b").master("veth2")).create(&host),
                    &["`b`", "`veth2` is not a bridge, bond or VRF but veth"],
                )),
                (refused(Bridge::new("br0").master("lo").create(&host), &["`lo` is not a bridge"])),
            ];
            for error in refusals {
                assert!(!error.is_unsupported() && !error.is_not_found(), "{error}");
            }
        });
    });
}

#[test]
fn a_bridge_that_is_gone_elsewhere_or_itself_is_no_master() {
    support::isolated(|| {
        let (host, elsewhere) = (netns(), netns());
        let cable = VethPair::new("veth1", "veth2").create(&host).unwrap();
        let there = Bridge::new("br0").create(&elsewhere).unwrap();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        let gone = (*bridge).clone();
        bridge.delete().unwrap();
        let bridge = Bridge::new("br1").create(&host).unwrap();
        unchanged(&[&host, &elsewhere], || {
            let error = refused(cable.near().set_master(&there), &["`br0`", "another namespace"]);
            assert!(error.is_invalid_input());
            let error =
                refused(cable.near().set_master(&gone), &["enslave `veth1`", "`br0` is gone"]);
            assert!(error.is_not_found(), "{error}");
            let pair = VethPair::new(VethEnd::new("a").master(&gone), "b");
            let error = refused(pair.create(&host), &["`a`", "`br0` is gone"]);
            assert!(error.is_not_found(), "{error}");
            let pair = VethPair::new("a", VethEnd::new("b").master(&gone));
            let error = refused(pair.create(&host), &["`b`", "`br0` is gone"]);
            assert!(error.is_not_found(), "{error}");
            let error = refused(cable.near().set_master("nobody"), &["`nobody`"]);
            assert!(error.is_not_found(), "{error}");
            let error = refused(bridge.set_master(&bridge), &["enslave `br1`"]);
            assert_eq!(error.raw_os_error(), Some(nix::libc::ELOOP));
        });
    });
}

#[test]
fn creating_twice_is_refused_and_the_first_one_stays() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").address("10.0.0.1/24").up();
        let _first = bridge.create(&host).unwrap();
        let again = unchanged(&[&host], || bridge.create(&host));
        let error = refused(again, &["create bridge `br0`", "a link named `br0` is already in"]);
        assert!(error.is_already_exists());
        assert_eq!(host.links().unwrap().len(), 2);
    });
}

#[test]
fn a_bridge_that_fails_half_way_is_gone() {
    support::isolated(|| {
        let host = netns();
        let twice = Bridge::new("br0").address("10.0.0.1/24").address("10.0.0.1/24").up();
        let error =
            unchanged(&[&host], || refused(twice.create(&host), &["add address 10.0.0.1/24"]));
        assert!(error.is_already_exists());
    });
}

/// A bridge takes at most 1,023 ports. Both ends of each cable are ports of this bridge.
#[test]
fn the_1024th_port_is_refused_by_its_reason_and_leaves_nothing() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        let end = |name: String| VethEnd::new(name).queues(1).no_ipv6_address();
        let pair = |number: u32| (end(format!("a{number}")), end(format!("b{number}")));
        for number in 0..511 {
            let (a, b) = pair(number);
            let pair = VethPair::new(a.master(&bridge), b.master(&bridge));
            // The pairs are deleted with the namespace.
            pair.create(&host).unwrap().keep();
        }
        let (a, b) = pair(511);
        let last = VethPair::new(a.master(&bridge), b).create(&host).unwrap().keep();
        assert_eq!(bridge.ports().unwrap().len(), 1023);
        let full = "`br0` has 1,023 ports, as many as a bridge takes";
        let (a, b) = pair(512);
        let answers = unchanged(&[&host], || {
            [
                last.peer().set_master(&bridge),
                VethPair::new(a.clone().master(&bridge), b.clone()).create(&host).map(drop),
                VethPair::new(a, b.master("br0")).create(&host).map(drop),
            ]
        });
        for answer in answers {
            let error = refused(answer, &[full]);
            assert_eq!(error.raw_os_error(), Some(nix::libc::EXFULL));
            assert!(!error.is_unsupported());
        }
        assert_eq!(bridge.ports().unwrap().len(), 1023);
        bridge.keep();
    });
}
