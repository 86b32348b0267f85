//! Bridge ports: hairpin mode, isolation, VLANs, and announcements of a new address.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::ops::RangeInclusive;
use std::time::Duration;

use netloom::{
    Bridge, BridgeVlan, BridgeVlanInfo, Link, LinkFlags, MacAddr, Namespace, Netns,
    OperationalState, Owned, Veth, VethEnd, VethPair,
};

use support::features::supported;
use support::{does_not_reach, json, reaches, refused, unchanged};

const PATIENCE: Duration = Duration::from_secs(10);

fn netns() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

fn attach(
    host: &Netns,
    bridge: &Link,
    port: &str,
    container: &Netns,
    address: &str,
) -> Owned<Veth> {
    let port = VethEnd::new(port).master(bridge).up();
    let eth0 = VethEnd::new("eth0").address(address).up();
    VethPair::new(port, eth0).create_between(host, container).unwrap()
}

#[test]
fn isolated_ports_are_apart_and_settings_read_back() {
    support::isolated(|| {
        let (host, red, blue) = (netns(), netns(), netns());
        let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host).unwrap();
        let one = attach(&host, &bridge, "port1", &red, "10.0.0.2/24");
        let two = attach(&host, &bridge, "port2", &blue, "10.0.0.3/24");
        reaches(&red, "10.0.0.3");
        for port in [one.near(), two.near()] {
            port.set_isolated(true).unwrap();
        }
        does_not_reach(&red, "10.0.0.3");
        reaches(&red, "10.0.0.1");
        one.near().set_hairpin(true).unwrap();
        let port = one.near().port().unwrap().unwrap();
        assert_eq!((port.hairpin, port.isolated, port.master), (true, true, bridge.index()));
        assert_eq!(port, bridge.ports().unwrap()[0]);
        if let Some(listed) = json(&host, "bridge", "-d link show dev port1") {
            assert_eq!(
                (&listed[0]["hairpin"], &listed[0]["isolated"]),
                (&true.into(), &true.into())
            );
        }
        one.near().set_isolated(false).unwrap();
        one.near().set_hairpin(false).unwrap();
        let port = one.near().port().unwrap().unwrap();
        assert_eq!((port.hairpin, port.isolated), (false, false));
        reaches(&red, "10.0.0.3");

        assert_eq!(bridge.port().unwrap(), None);
        unchanged(&[&host], || {
            refused(
                bridge.set_hairpin(true),
                &["set hairpin mode of `br0`", "is not a bridge port"],
            );
        });
    });
}

#[test]
fn promiscuous_mode_goes_on_and_off() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        let is_on = || bridge.info().unwrap().flags.contains(LinkFlags::PROMISC);
        bridge.set_promiscuous(true).unwrap();
        assert!(is_on());
        bridge.set_promiscuous(false).unwrap();
        assert!(!is_on());
    });
}

#[test]
fn a_port_joins_vlans_where_the_kernel_filters() {
    support::isolated(|| {
        let host = netns();
        let [red, blue, green] = [(); 3].map(|()| netns());
        let filtering = Bridge::new("br0").vlan_filtering(true).up().create(&host);
        let bridge = match filtering {
            // The kernel accepts the option, but was built without bridge VLANs.
            Err(error) if error.is_unsupported() => {
                support::features::unsupported("bridge-vlan-filtering", error);
                return;
            }
            bridge => bridge.unwrap(),
        };
        let one = attach(&host, &bridge, "port1", &red, "10.0.0.2/24");
        let two = attach(&host, &bridge, "port2", &blue, "10.0.0.3/24");
        let _three = attach(&host, &bridge, "port3", &green, "10.0.0.4/24");
        let vlan = BridgeVlan::new(100).pvid().untagged();
        let first = match unchanged_if_refused(&host, || vlan.create(one.near())) {
            Err(error) => {
                assert!(error.is_unsupported(), "{error}");
                assert!(error.to_string().contains("CONFIG_BRIDGE_VLAN_FILTERING"), "{error}");
                support::features::unsupported("bridge-vlan-filtering", error);
                return;
            }
            Ok(vlan) => vlan,
        };
        does_not_reach(&red, "10.0.0.3");
        let _second = vlan.create(two.near()).unwrap();
        reaches(&red, "10.0.0.3");
        does_not_reach(&red, "10.0.0.4");
        assert_eq!(vlans(one.near()), ["1 Egress Untagged", "100 PVID Egress Untagged"]);
        two.near().leave_vlan(1).unwrap();
        two.near().leave_vlan(1).unwrap();
        assert_eq!(vlans(two.near()), ["100 PVID Egress Untagged"]);
        assert_eq!(vlans(&bridge), ["1 PVID Egress Untagged"]);
        first.delete().unwrap();
        does_not_reach(&red, "10.0.0.3");
        assert_eq!(vlans(one.near()), ["1 Egress Untagged"]);
        // The port remains in the VLANs that it was in before, inside the deleted range.
        BridgeVlan::new(3).create(one.near()).unwrap().keep();
        BridgeVlan::range(1..=5).create(one.near()).unwrap().delete().unwrap();
        assert_eq!(vlans(one.near()), ["1", "3"]);
    });
}

fn vlans(link: &Link) -> Vec<String> {
    link.vlans().unwrap().iter().map(BridgeVlanInfo::to_string).collect()
}

/// A trunk passes frames with the VLAN tags of its range, and no others.
#[test]
fn a_trunk_carries_its_range_and_every_vlan_of_it_is_listed() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").vlan_filtering(true).up().create(&host);
        let Some(bridge) = supported("bridge-vlan-filtering", bridge) else { return };
        let [red, blue] = [(); 2].map(|()| netns());
        let one = attach(&host, &bridge, "port1", &red, "10.0.0.2/24");
        let two = attach(&host, &bridge, "port2", &blue, "10.0.0.3/24");
        for (netns, last) in [(&red, 2), (&blue, 3)] {
            for vlan in [200, 299, 300] {
                let address = format!("10.1.{}.{last}/24", vlan - 100);
                for line in [
                    format!("link add link eth0 name tag{vlan} type vlan id {vlan}"),
                    format!("address add {address} dev tag{vlan}"),
                    format!("link set tag{vlan} up"),
                ] {
                    let ip = netns.command("ip").args(line.split(' ')).output().unwrap();
                    assert!(ip.status.success(), "{line}: {ip:?}");
                }
            }
        }
        does_not_reach(&red, "10.1.100.3");
        let trunk = BridgeVlan::range(200..=299);
        let _one = trunk.create(one.near()).unwrap();
        let second = trunk.create(two.near()).unwrap();
        assert_eq!(second.ids(), 200..=299);
        for (address, is_reached) in
            [("10.1.100.3", true), ("10.1.199.3", true), ("10.1.200.3", false)]
        {
            if is_reached { reaches(&red, address) } else { does_not_reach(&red, address) }
        }
        reaches(&red, "10.0.0.3");
        let listed = vlans(two.near());
        let numbers: Vec<_> = (200..=299).map(|id| id.to_string()).collect();
        assert_eq!((&*listed[0], &listed[1..]), ("1 PVID Egress Untagged", &*numbers));
        if let Some(theirs) = json(&host, "bridge", "-d vlan show dev port2") {
            let ranges = theirs[0]["vlans"].as_array().unwrap();
            let last = ranges.last().unwrap();
            assert_eq!((&last["vlan"], &last["vlanEnd"]), (&200.into(), &299.into()));
        }
        second.delete().unwrap();
        assert_eq!(vlans(two.near()), ["1 PVID Egress Untagged"]);
        does_not_reach(&red, "10.1.100.3");
        // This list is larger than one netlink message.
        for id in (2..=4094).step_by(2) {
            BridgeVlan::new(id).untagged().create(two.near()).unwrap().keep();
        }
        assert_eq!(two.near().vlans().unwrap().len(), 2048);
    });
}

#[test]
fn filtering_goes_on_and_off_on_a_bridge_that_is_there() {
    support::isolated(|| {
        let host = netns();
        let [red, blue] = [(); 2].map(|()| netns());
        let bridge = Bridge::new("br0").up().create(&host).unwrap();
        assert!(!bridge.bridge_info().unwrap().unwrap().vlan_filtering);
        let one = attach(&host, &bridge, "port1", &red, "10.0.0.2/24");
        let _two = attach(&host, &bridge, "port2", &blue, "10.0.0.3/24");
        unchanged(&[&host], || {
            let no_bridge = one.near().set_vlan_filtering(true);
            refused(no_bridge, &["set VLAN filtering of `port1`", "is not a bridge"]);
        });
        let on = unchanged_if_refused(&host, || bridge.set_vlan_filtering(true));
        if let Err(error) = &on {
            assert!(error.to_string().contains("CONFIG_BRIDGE_VLAN_FILTERING"), "{error}");
            let vlans = refused(one.near().vlans(), &["list VLANs of `port1`"]);
            assert!(vlans.is_unsupported(), "{vlans}");
            assert!(vlans.to_string().contains("CONFIG_BRIDGE_VLAN_FILTERING"), "{vlans}");
        }
        let Some(()) = supported("bridge-vlan-filtering", on) else { return };
        let info = bridge.bridge_info().unwrap().unwrap();
        assert!(info.vlan_filtering && info.default_vlan == Some(1), "{info}");
        reaches(&red, "10.0.0.3");
        let _apart = BridgeVlan::new(100).pvid().untagged().create(one.near()).unwrap();
        does_not_reach(&red, "10.0.0.3");
        bridge.set_vlan_filtering(false).unwrap();
        assert!(!bridge.bridge_info().unwrap().unwrap().vlan_filtering);
        reaches(&red, "10.0.0.3");
        let alone = VethPair::new("alone1", "alone2").create(&host).unwrap();
        refused(alone.near().vlans(), &["`alone1`", "neither a bridge nor a bridge port"]);
    });
}

/// A kernel without bridge VLANs reports success for the deletion of a VLAN.
#[test]
fn a_port_leaves_no_vlan_where_there_are_none() {
    support::isolated(|| {
        let (host, red) = (netns(), netns());
        let bridge = Bridge::new("br0").up().create(&host).unwrap();
        let one = attach(&host, &bridge, "port1", &red, "10.0.0.2/24");
        if one.near().vlans().is_ok() {
            one.near().leave_vlan(1).unwrap();
            assert_eq!(one.near().vlans().unwrap(), []);
            one.near().leave_vlan(1).unwrap();
        } else {
            let left = unchanged(&[&host], || one.near().leave_vlan(1));
            let error = refused(left, &["VLAN", "`port1`", "CONFIG_BRIDGE_VLAN_FILTERING"]);
            assert!(error.is_unsupported(), "{error}");
        }
        let alone = VethPair::new("alone1", "alone2").create(&host).unwrap();
        let left = unchanged(&[&host], || alone.near().leave_vlan(1));
        refused(left, &["`alone1`"]);
    });
}

fn unchanged_if_refused<T>(
    host: &Netns,
    work: impl Fn() -> Result<T, netloom::Error>,
) -> Result<T, netloom::Error> {
    work().inspect_err(|_| unchanged(&[host], || drop(work())))
}

#[test]
fn a_number_that_no_vlan_has_is_refused() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        for id in [0, 4095, u16::MAX] {
            let joined = unchanged(&[&host], || BridgeVlan::new(id).create(&bridge));
            let error = refused(joined, &["join VLAN", "from 1 to 4094"]);
            assert!(error.is_invalid_input());
            let left = unchanged(&[&host], || bridge.leave_vlan(id));
            assert!(refused(left, &["leave VLAN", "from 1 to 4094"]).is_invalid_input());
        }
        for (vlan, words) in [
            (BridgeVlan::range(1..=4095), "from 1 to 4094"),
            (BridgeVlan::range(RangeInclusive::new(9, 5)), "the first number is above the last"),
            (BridgeVlan::range(5..=9).pvid(), "belong to one VLAN only"),
        ] {
            let joined = unchanged(&[&host], || vlan.create(&bridge));
            assert!(refused(joined, &["join VLAN", words]).is_invalid_input());
        }
    });
}

/// Another station has taken the address. Without an announcement, neighbours would use the old
/// hardware address.
#[test]
fn an_announcement_replaces_what_neighbours_know() {
    support::isolated(|| {
        let (host, blue) = (netns(), netns());
        let bridge = Bridge::new("br0").up().create(&host).unwrap();
        let addresses = |end: VethEnd| end.address("10.0.0.2/24").address("fd00::2/64");
        let watcher = VethEnd::new("eth0").address("10.0.0.9/24").address("fd00::9/64").up();
        let port = |name: String| VethEnd::new(name).master(&bridge).up().no_ipv6_address();
        let _blue =
            VethPair::new(port("port9".into()), watcher).create_between(&host, &blue).unwrap();
        let known = |address: &str| -> Option<MacAddr> {
            let address: std::net::IpAddr = address.parse().unwrap();
            let all = blue.neighbors().unwrap();
            all.into_iter().find(|neighbor| neighbor.address == address)?.mac
        };
        for number in 1..=3 {
            let red = netns();
            let end = addresses(VethEnd::new("eth0")).up().loopback_up();
            let port = port(format!("port{number}"));
            let red_cable = VethPair::new(port, end).create_between(&host, &red).unwrap();
            let near = red_cable.near();
            let is_up = || Ok(near.info()?.state == OperationalState::Up);
            host.wait_for(is_up, PATIENCE).unwrap();
            let own = red_cable.peer().info().unwrap().mac;
            red_cable.peer().announce().unwrap();
            if number == 1 {
                reaches(&blue, "10.0.0.2");
                reaches(&blue, "fd00::2");
            }
            let is_known = || Ok(known("10.0.0.2") == own && known("fd00::2") == own);
            blue.wait_for(is_known, PATIENCE).unwrap();
            assert_eq!(red.sysctl("net.ipv4.conf.eth0.arp_notify").unwrap(), "0");
            assert_eq!(red.sysctl("net.ipv6.conf.eth0.ndisc_notify").unwrap(), "0");
        }
    });
}
