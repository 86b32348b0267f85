//! Bonds.

use std::net::Ipv4Addr;
use std::time::Duration;

use netloom::{
    Bond, BondAggregator, BondArpValidate, BondFailoverMac, BondHash, BondMode, BondReselect,
    Bridge, LinkKind, VethEnd, VethPair,
};
use serde_json::json;

use crate::support::features::supported_kind;
use crate::support::{self, reaches, refused, unchanged};
use crate::{lists, netns};

const TICK: Duration = Duration::from_millis(10);

#[test]
fn its_options_are_what_is_read_and_what_ip_lists() {
    support::isolated(|| {
        let host = netns();
        let bond = Bond::new("b0").mode(BondMode::Ieee8023Ad).mii_interval(TICK);
        let bond = bond
            .up_delay(2 * TICK)
            .down_delay(3 * TICK)
            .hash(BondHash::Layer34)
            .min_links(1)
            .announcements(3)
            .resend_igmp(2)
            .lacp_fast(true)
            .lacp_active(false)
            .lacp_priority(77)
            .lacp_system("02:00:00:00:00:77")
            .aggregator(BondAggregator::Count)
            .mac("02:00:00:00:00:07");
        let Some(bond) = supported_kind("bond", bond.create(&host)) else { return };
        let info = bond.bond_info().unwrap().unwrap();
        assert_eq!((info.mode, info.hash), (Some(BondMode::Ieee8023Ad), Some(BondHash::Layer34)));
        assert_eq!((info.mii_interval, info.up_delay, info.down_delay), (TICK, 2 * TICK, 3 * TICK));
        assert_eq!((info.min_links, info.announcements, info.resend_igmp), (1, 3, 2));
        assert!(info.lacp_fast && !info.lacp_active && !info.is_partial());
        assert_eq!((info.lacp_priority, info.aggregator), (77, Some(BondAggregator::Count)));
        assert_eq!(info.lacp_system, Some("02:00:00:00:00:77".parse().unwrap()));
        assert_eq!(bond.info().unwrap().mac, Some("02:00:00:00:00:07".parse().unwrap()));
        lists(
            &host,
            "b0",
            json!({
                "mode": "802.3ad", "miimon": 10, "updelay": 20, "downdelay": 30,
                "xmit_hash_policy": "layer3+4", "min_links": 1, "num_peer_notif": 3,
                "resend_igmp": 2, "ad_lacp_rate": "fast", "ad_lacp_active": "off",
                "ad_select": "count", "ad_actor_sys_prio": 77,
                "ad_actor_system": "02:00:00:00:00:77",
            }),
        );
        let target = Ipv4Addr::new(192, 0, 2, 1);
        let asking = Bond::new("b1").mode(BondMode::ActiveBackup).arp_interval(10 * TICK);
        let asking = asking
            .arp_target(target)
            .arp_validate(BondArpValidate::All)
            .missed_max(5)
            .primary_reselect(BondReselect::Failure)
            .failover_mac(BondFailoverMac::Active);
        let info = asking.create(&host).unwrap().keep().bond_info().unwrap().unwrap();
        assert_eq!((info.arp_interval, info.missed_max), (10 * TICK, 5));
        assert_eq!(info.arp_targets, [target]);
        assert_eq!(info.arp_validate, Some(BondArpValidate::All));
        assert_eq!(info.primary_reselect, Some(BondReselect::Failure));
        assert_eq!(info.failover_mac, Some(BondFailoverMac::Active));
        lists(
            &host,
            "b1",
            json!({
                "arp_interval": 100, "arp_validate": "all", "primary_reselect": "failure",
                "fail_over_mac": "active", "arp_missed_max": 5, "arp_ip_target": ["192.0.2.1"],
            }),
        );
        let turns = Bond::new("b2").packets_per_member(4).create(&host).unwrap();
        let info = turns.bond_info().unwrap().unwrap();
        assert_eq!((info.mode, info.packets_per_member), (Some(BondMode::BalanceRoundRobin), 4));
        lists(&host, "b2", json!({"mode": "balance-rr", "packets_per_slave": 4}));
        for mode in [
            BondMode::BalanceXor,
            BondMode::Broadcast,
            BondMode::BalanceTransmitLoad,
            BondMode::BalanceAdaptiveLoad,
        ] {
            let bond = Bond::new("b3").mode(mode).create(&host).unwrap();
            assert_eq!(bond.bond_info().unwrap().unwrap().mode, Some(mode));
            lists(&host, "b3", json!({"mode": mode.to_string()}));
        }
    });
}

/// The host has two cables to one switch, one of which fails.
#[test]
fn a_bond_goes_on_without_a_member() {
    support::isolated(|| {
        let (host, switch) = (netns(), netns());
        let bridge = Bridge::new("br0").address("192.0.2.1/24").up().create(&switch).unwrap();
        let cables = [1, 2].map(|n| {
            let port = VethEnd::new(format!("port{n}")).master(&bridge).up();
            VethPair::new(format!("eth{n}"), port).create_between(&host, &switch).unwrap()
        });
        let bond = Bond::new("bond0").mode(BondMode::ActiveBackup).mii_interval(TICK);
        let [one, two] = [&cables[0], &cables[1]].map(|cable| cable.near());
        let bond = bond.member(one).member(two).primary(one).address("192.0.2.7/24").up();
        let Some(bond) = supported_kind("bond", bond.create(&host)) else { return };
        let active = || bond.bond_info().unwrap().unwrap().active;
        support::eventually("the primary is active", || active() == Some(one.index()));
        let info = bond.bond_info().unwrap().unwrap();
        assert_eq!(info.primary, Some(one.index()));
        assert_eq!(one.info().unwrap().master, Some(bond.index()));
        reaches(&host, "192.0.2.1");
        cables[0].peer().set_down().unwrap();
        support::eventually("the other is active", || active() == Some(two.index()));
        reaches(&host, "192.0.2.1");
        cables[0].peer().set_up().unwrap();
        support::eventually("the primary is back", || active() == Some(one.index()));
        reaches(&host, "192.0.2.1");
        bond.delete().unwrap();
        assert_eq!(one.info().unwrap().master, None);
        assert_eq!(host.links().unwrap().len(), 3);
    });
}

#[test]
fn what_cannot_be_is_refused() {
    support::isolated(|| {
        let host = netns();
        let up = VethPair::new(VethEnd::new("eth1").up(), "peer1").create(&host).unwrap();
        let down = VethPair::new("eth2", "peer2").create(&host).unwrap();
        let probe = Bond::new("b0").create(&host);
        let Some(bond) = supported_kind("bond", probe) else { return };
        assert_eq!(bond.info().unwrap().kind, Some(LinkKind::Bond));
        let odd = Duration::from_micros(1500);
        for (refused_bond, words) in [
            (Bond::new("b").mii_interval(odd), ["mii_interval", "whole milliseconds"]),
            (Bond::new("b").down_delay(Duration::MAX), ["down_delay", "31 bits"]),
            (Bond::new("b").mac("01:00:5e:00:00:01"), ["mac", "unicast"]),
            (Bond::new("b").lacp_system("01:00:5e:00:00:01"), ["mac", "unicast"]),
        ] {
            let error = refused(refused_bond.create(&host), &words);
            assert!(error.is_invalid_input(), "{error}");
        }
        unchanged(&[&host], || {
            let missing = Bond::new("b").member("eth9").create(&host);
            assert!(refused(missing, &["no link `eth9`"]).is_not_found());
            let twice = Bond::new("b0").create(&host);
            assert!(refused(twice, &["a link named `b0`"]).is_already_exists());
            refused(Bond::new("b").lacp_fast(true).create(&host), &["create bond `b`"]);
            refused(bond.set_master(&bond), &["enslave `b0`"]);
        });
        let with_up = Bond::new("b").member(down.near()).member(up.near()).create(&host);
        refused(with_up, &["enslave `eth1`", "while it is down"]);
        refused(up.near().set_master(&bond), &["enslave `eth1`", "while it is down"]);
        assert_eq!(down.near().info().unwrap().master, None);
        assert!(host.link("b").is_err());
        let end = VethEnd::new("eth3").master(&bond).up();
        refused(VethPair::new(end, "peer3").create(&host), &["`eth3`", "while it is down"]);
    });
}
