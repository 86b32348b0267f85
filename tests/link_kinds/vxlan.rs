//! VXLAN links.

use std::time::Duration;

use netloom::{Netns, Owned, Veth, VethEnd, VethPair, Vxlan, VxlanFragment};
use serde_json::json;

use crate::support::features::supported_kind;
use crate::support::{self, does_not_reach, reaches, refused, unchanged};
use crate::{lists, netns};

#[test]
fn its_options_are_what_is_read_and_what_ip_lists() {
    support::isolated(|| {
        let host = netns();
        let cable = VethPair::new("eth0", "switch").create(&host).unwrap();
        let vxlan = Vxlan::new("v0", 0x00ff_ffff)
            .parent(cable.near())
            .remote("239.1.1.1")
            .local("192.0.2.1")
            .port(5000)
            .source_ports(40_000..=50_000)
            .ttl(9)
            .tos(4)
            .fragment(VxlanFragment::Forbid)
            .learning(false)
            .ageing_time(Duration::from_secs(77))
            .max_addresses(1000)
            .proxy(true)
            .route_short_circuit(true)
            .report_link_misses(true)
            .report_network_misses(true)
            .udp_checksum(false)
            .udp6_zero_checksum_tx(true)
            .udp6_zero_checksum_rx(true)
            .group_policy();
        let Some(vxlan) = supported_kind("vxlan", vxlan.create(&host)) else { return };
        let info = vxlan.vxlan_info().unwrap().unwrap();
        assert_eq!((info.vni, info.port, info.source_ports), (0x00ff_ffff, 5000, (40_000, 50_000)));
        assert_eq!(info.remote, Some("239.1.1.1".parse().unwrap()));
        assert_eq!(info.local, Some("192.0.2.1".parse().unwrap()));
        assert_eq!(info.parent, Some(cable.near().index()));
        assert_eq!((info.ttl, info.tos, info.fragment), (9, 4, VxlanFragment::Forbid));
        assert_eq!((info.ageing_time, info.max_addresses), (Duration::from_secs(77), 1000));
        assert!(info.proxy && info.route_short_circuit && info.group_policy);
        assert!(info.report_link_misses && info.report_network_misses);
        assert!(info.udp6_zero_checksum_tx && info.udp6_zero_checksum_rx);
        assert!(!info.learning && !info.udp_checksum && !info.external && !info.is_partial());
        lists(
            &host,
            "v0",
            json!({
                "id": 0x00ff_ffff, "group": "239.1.1.1", "local": "192.0.2.1", "link": "eth0",
                "port": 5000, "port_range": {"low": 40_000, "high": 50_000}, "ttl": 9, "tos": "0x4",
                "df": "set", "learning": false, "ageing": 77, "limit": 1000, "proxy": true,
                "rsc": true, "l2miss": true, "l3miss": true, "udp_csum": false,
                "udp_zero_csum6_tx": true, "udp_zero_csum6_rx": true, "gbp": true,
            }),
        );
        let plain = Vxlan::new("v1", 0).remote("fd00::2").local("fd00::1").ttl_inherit();
        let info = plain.create(&host).unwrap().vxlan_info().unwrap().unwrap();
        assert_eq!((info.vni, info.port, info.parent), (0, 4789, None));
        assert_eq!(info.remote, Some("fd00::2".parse().unwrap()));
        assert_eq!(info.local, Some("fd00::1".parse().unwrap()));
        assert!(info.learning && info.ttl_inherit && info.udp_checksum);
    });
}

#[test]
fn an_external_link_has_no_vni_of_its_own() {
    support::isolated(|| {
        let host = netns();
        let external = Vxlan::external("v0").create(&host);
        let Some(external) = supported_kind("vxlan", external) else { return };
        let info = external.vxlan_info().unwrap().unwrap();
        assert!(info.external && !info.vni_filter);
        lists(&host, "v0", json!({"external": true, "port": 4789}));
        external.delete().unwrap();
        let filtering = Vxlan::external("v0").vni_filter(true).create(&host).unwrap();
        let info = filtering.vxlan_info().unwrap().unwrap();
        assert!(info.external && info.vni_filter);
        lists(&host, "v0", json!({"external": true, "vnifilter": true}));
    });
}

/// Two hosts, each with a container. The overlay's packets use the hosts' routes.
struct Underlay {
    hosts: [Owned<Netns>; 2],
    containers: [Owned<Netns>; 2],
    cable: Owned<Veth>,
}

fn underlay() -> Underlay {
    let (hosts, containers) = ([netns(), netns()], [netns(), netns()]);
    let end = |last: u8| {
        let end = VethEnd::new("eth0").address(format!("192.0.2.{last}/24").as_str()).up();
        end.address(format!("fd00::{last}/64").as_str())
    };
    let cable = VethPair::new(end(1), end(2)).create_between(&hosts[0], &hosts[1]).unwrap();
    Underlay { hosts, containers, cable }
}

#[test]
fn two_hosts_share_an_ethernet_over_each_family() {
    support::isolated(|| {
        let Underlay { hosts, containers, .. } = &underlay();
        for prefix in ["192.0.2.", "fd00::"] {
            let overlay = |at: usize, vni: u32| {
                let remote = format!("{prefix}{}", 2 - at);
                let eth0 =
                    Vxlan::new("eth0", vni).remote(remote).local(format!("{prefix}{}", at + 1));
                let eth0 = eth0.address(format!("10.0.0.{}/24", at + 1).as_str()).up();
                eth0.create_between(&hosts[at], &containers[at])
            };
            let Some(near) = supported_kind("vxlan", overlay(0, 42)) else { return };
            let far = overlay(1, 42).unwrap();
            assert_eq!(near.namespace(), *containers[0]);
            reaches(&containers[0], "10.0.0.2");
            far.delete().unwrap();
            let _another_network = overlay(1, 43).unwrap();
            does_not_reach(&containers[0], "10.0.0.2");
        }
    });
}

#[test]
fn a_multicast_group_carries_frames_to_unknown_stations() {
    support::isolated(|| {
        let Underlay { hosts, containers, cable } = &underlay();
        for group in ["239.1.1.1", "ff05::100"] {
            let overlay = |at: usize| {
                let parent = if at == 0 { cable.near() } else { cable.peer() };
                let eth0 = Vxlan::new("eth0", 42).parent(parent).remote(group);
                let eth0 = eth0.address(format!("10.0.0.{}/24", at + 1).as_str()).up();
                eth0.create_between(&hosts[at], &containers[at])
            };
            let Some(_near) = supported_kind("vxlan", overlay(0)) else { return };
            let _far = overlay(1).unwrap();
            reaches(&containers[0], "10.0.0.2");
        }
    });
}

#[test]
fn what_cannot_be_is_refused() {
    support::isolated(|| {
        let host = netns();
        let probe = Vxlan::new("v0", 42).create(&host);
        let Some(_first) = supported_kind("vxlan", probe) else { return };
        unchanged(&[&host], || {
            let new = || Vxlan::new("v", 7);
            for (vxlan, words) in [
                (Vxlan::new("v", 1 << 24), ["vni(16777216)", "24 bits"]),
                (new().remote("192.0.2.1").local("fd00::1"), ["192.0.2.1", "two families"]),
                (new().remote("239.1.1.1"), ["239.1.1.1", "needs parent()"]),
                (new().remote("0.0.0.0"), ["0.0.0.0", "no host's address"]),
                (new().local("239.1.1.1"), ["239.1.1.1", "no host's address"]),
                (new().remote("nowhere"), ["remote", "nowhere"]),
                (new().vni_filter(true), ["vni_filter()", "external()"]),
                (new().ageing_time(Duration::from_millis(1500)), ["ageing_time", "whole seconds"]),
                (new().mac("01:00:5e:00:00:01"), ["mac", "unicast"]),
                #[allow(clippy::reversed_empty_ranges)]
                (new().source_ports(9..=8), ["source_ports", "not empty"]),
            ] {
                let error = refused(vxlan.create(&host), &words);
                assert!(error.is_invalid_input(), "{error}");
            }
            let missing = refused(new().parent("eth9").create(&host), &["no link `eth9`"]);
            assert!(missing.is_not_found());
            let again = refused(Vxlan::new("v", 42).create(&host), &["create VXLAN `v`"]);
            assert!(again.is_already_exists(), "{again}");
            let taken = refused(Vxlan::new("v0", 7).create(&host), &["a link named `v0`"]);
            assert!(taken.is_already_exists());
        });
    });
}
