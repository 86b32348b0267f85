//! Macvlans and macvtaps.

use netloom::{
    Bridge, LinkKind, Macvlan, MacvlanMode, Macvtap, Netns, Owned, Veth, VethEnd, VethPair,
};
use serde_json::json;

use crate::support::features::supported_kind;
use crate::support::{self, does_not_reach, reaches, refused, unchanged};
use crate::{lists, netns};

const MODES: [MacvlanMode; 4] =
    [MacvlanMode::Private, MacvlanMode::Vepa, MacvlanMode::Bridge, MacvlanMode::Source];

fn uplink(host: &Netns) -> Owned<Veth> {
    VethPair::new(VethEnd::new("eth0").up(), VethEnd::new("switch").up()).create(host).unwrap()
}

#[test]
fn its_options_are_what_is_read_and_what_ip_lists() {
    support::isolated(|| {
        let host = netns();
        let uplink = uplink(&host);
        for mode in MODES {
            let link = Macvlan::new("m0", uplink.near()).mode(mode).broadcast_queue_length(2000);
            let Some(link) = supported_kind("macvlan", link.create(&host)) else { return };
            let info = link.macvlan_info().unwrap().unwrap();
            assert_eq!((info.mode, info.broadcast_queue_length), (mode, 2000));
            assert!(info.source_macs.is_empty() && !info.no_promiscuous && !info.is_partial());
            lists(&host, "m0", json!({"mode": mode.to_string(), "bcqueuelen": 2000}));
            link.delete().unwrap();
        }
        let macs = ["02:00:00:00:00:07", "02:00:00:00:00:08"];
        let link = macs.into_iter().fold(Macvlan::new("m0", "eth0"), Macvlan::source_mac);
        let link = link.mode(MacvlanMode::Source).create(&host).unwrap();
        let info = link.macvlan_info().unwrap().unwrap();
        assert_eq!(info.source_macs, macs.map(|mac| mac.parse().unwrap()));
        if let Some(listed) = crate::listed(&host, "m0") {
            let mut listed: Vec<_> = listed["macaddr_data"].as_array().unwrap().clone();
            listed.sort_by_key(ToString::to_string);
            assert_eq!(listed, macs);
        }
        link.delete().unwrap();
        let alone = Macvlan::new("m0", "eth0").mode(MacvlanMode::Passthrough).no_promiscuous();
        let alone = alone.create(&host).unwrap();
        let info = alone.macvlan_info().unwrap().unwrap();
        assert!(info.no_promiscuous && info.mode == MacvlanMode::Passthrough);
        assert_eq!(alone.info().unwrap().mac, uplink.near().info().unwrap().mac);
        lists(&host, "m0", json!({"mode": "passthru", "nopromisc": true}));
        let Some(listed) = support::json(&host, "ip", "-d link show m0") else { return };
        assert_eq!(listed[0]["txqlen"], 1000);
        assert_eq!(host.link("lo").unwrap().macvlan_info().unwrap(), None);
    });
}

#[test]
fn a_macvtap_has_the_same_options() {
    support::isolated(|| {
        let host = netns();
        let uplink = uplink(&host);
        let tap = Macvtap::new("tap0", uplink.near()).mode(MacvlanMode::Bridge);
        let tap = tap.mac("02:00:00:00:00:07").broadcast_queue_length(500).up().create(&host);
        let Some(tap) = supported_kind("macvtap", tap) else { return };
        let info = tap.macvlan_info().unwrap().unwrap();
        assert_eq!((info.mode, info.broadcast_queue_length), (MacvlanMode::Bridge, 500));
        let info = tap.info().unwrap();
        assert_eq!(info.kind, Some(LinkKind::Macvtap));
        assert_eq!(info.mac, Some("02:00:00:00:00:07".parse().unwrap()));
        lists(&host, "tap0", json!({"mode": "bridge", "bcqueuelen": 500}));
        tap.delete().unwrap();
        // In passthrough mode the link has its parent's MAC address. Its queue has the default
        // length.
        let alone = Macvtap::new("tap0", "eth0").mode(MacvlanMode::Passthrough).create(&host);
        let mac = alone.unwrap().keep().info().unwrap().mac;
        assert_eq!(mac, uplink.near().info().unwrap().mac);
        let Some(listed) = support::json(&host, "ip", "-d link show tap0") else { return };
        assert_eq!(listed[0]["txqlen"], 500);
    });
}

/// Two containers with macvlans on one uplink, and a host behind it.
#[test]
fn the_mode_decides_which_links_exchange_packets() {
    support::isolated(|| {
        for (mode, exchange) in
            [(MacvlanMode::Private, false), (MacvlanMode::Vepa, false), (MacvlanMode::Bridge, true)]
        {
            let (host, outside, red, blue) = (netns(), netns(), netns(), netns());
            let far = VethEnd::new("eth0").address("192.0.2.1/24").up();
            let uplink = VethPair::new(VethEnd::new("eth0").up(), far);
            let uplink = uplink.create_between(&host, &outside).unwrap();
            let container = |netns: &Netns, address: &str| {
                let eth0 = Macvlan::new("eth0", uplink.near()).mode(mode).address(address).up();
                eth0.create_between(&host, netns)
            };
            let first = container(&red, "192.0.2.7/24");
            let Some(first) = supported_kind("macvlan", first) else { return };
            let second = container(&blue, "192.0.2.8/24").unwrap();
            assert_eq!(first.namespace(), *red);
            assert_ne!(first.info().unwrap().mac, second.info().unwrap().mac);
            reaches(&red, "192.0.2.1");
            reaches(&blue, "192.0.2.1");
            if exchange {
                reaches(&red, "192.0.2.8");
            } else {
                does_not_reach(&red, "192.0.2.8");
            }
        }
    });
}

#[test]
fn a_source_link_receives_from_its_list_only() {
    support::isolated(|| {
        for (listed, is_reached) in [("02:00:00:00:00:01", true), ("02:00:00:00:00:02", false)] {
            let (host, outside, red) = (netns(), netns(), netns());
            let far = VethEnd::new("eth0").mac("02:00:00:00:00:01").address("192.0.2.1/24").up();
            let uplink = VethPair::new(VethEnd::new("eth0").up(), far);
            let uplink = uplink.create_between(&host, &outside).unwrap();
            let eth0 = Macvlan::new("eth0", uplink.near()).mode(MacvlanMode::Source);
            let eth0 = eth0.source_mac(listed).address("192.0.2.7/24").up();
            let eth0 = eth0.create_between(&host, &red);
            let Some(_eth0) = supported_kind("macvlan", eth0) else { return };
            if is_reached {
                reaches(&red, "192.0.2.1");
            } else {
                does_not_reach(&red, "192.0.2.1");
            }
        }
    });
}

#[test]
fn what_cannot_be_is_refused() {
    support::isolated(|| {
        let host = netns();
        let uplink = uplink(&host);
        let probe = Macvlan::new("m0", uplink.near()).create(&host);
        let Some(_first) = supported_kind("macvlan", probe) else { return };
        let bridge = Bridge::new("br0").create(&host).unwrap();
        uplink.peer().set_master(&bridge).unwrap();
        unchanged(&[&host], || {
            let new = |parent: &str| Macvlan::new("m", parent);
            for error in [
                refused(new("eth0").mac("01:00:5e:00:00:01").create(&host), &["unicast"]),
                refused(
                    new("eth0").source_mac("02:00:00:00:00:01").create(&host),
                    &["source_mac() needs mode"],
                ),
                refused(
                    new("eth0")
                        .mode(MacvlanMode::Source)
                        .source_mac("ff:ff:ff:ff:ff:ff")
                        .create(&host),
                    &["source_mac", "one station"],
                ),
                refused(new("eth0").no_promiscuous().create(&host), &["no_promiscuous() needs"]),
            ] {
                assert!(error.is_invalid_input(), "{error}");
            }
            let missing = refused(new("eth9").create(&host), &["no link `eth9`"]);
            assert!(missing.is_not_found());
            refused(new("lo").create(&host), &["create macvlan `m`", "`lo` may be no parent"]);
            let port = refused(new("switch").create(&host), &["`switch` serves another purpose"]);
            assert_eq!(port.kind(), netloom::ErrorKind::Busy);
            let alone = new("eth0").mode(MacvlanMode::Passthrough).create(&host);
            refused(alone, &["create macvlan `m`"]);
            let elsewhere = netns();
            let error = refused(
                Macvlan::new("m", uplink.near()).create(&elsewhere),
                &["`eth0` is in another namespace"],
            );
            assert!(error.is_invalid_input());
        });
    });
}
