//! VRFs.

use netloom::{Forwarding, LinkKind, Netns, Owned, Veth, VethEnd, VethPair, Vrf};
use serde_json::json;

use crate::support::features::supported_kind;
use crate::support::{self, does_not_reach, reaches, refused, unchanged};
use crate::{lists, netns};

#[test]
fn its_table_is_what_is_read_and_what_ip_lists() {
    support::isolated(|| {
        let host = netns();
        let vrf = Vrf::new("red", 1234).mac("02:00:00:00:00:07").up().create(&host);
        let Some(vrf) = supported_kind("vrf", vrf) else { return };
        assert_eq!(vrf.vrf_info().unwrap().map(|info| info.table), Some(1234));
        let info = vrf.info().unwrap();
        assert_eq!((info.kind, info.mtu), (Some(LinkKind::Vrf), 65_575));
        assert_eq!(info.mac, Some("02:00:00:00:00:07".parse().unwrap()));
        lists(&host, "red", json!({"table": 1234}));
        let cable = VethPair::new("veth1", "veth2").create(&host).unwrap();
        cable.near().set_master(&vrf).unwrap();
        assert_eq!(cable.near().info().unwrap().master, Some(vrf.index()));
        cable.near().release().unwrap();
        assert_eq!(cable.near().vrf_info().unwrap(), None);
    });
}

/// A router has three networks, two of them in one VRF.
#[test]
fn packets_are_routed_inside_a_vrf_only() {
    support::isolated(|| {
        let router = netns();
        let red = Vrf::new("red", 10).up().create(&router);
        let Some(red) = supported_kind("vrf", red) else { return };
        let blue = Vrf::new("blue", 20).up().create(&router).unwrap();
        let _forwarding = Forwarding::ipv4().create(&router).unwrap();
        let network = |n: u8, vrf: &Owned<netloom::Link>| -> (Owned<Netns>, Owned<Veth>) {
            let there = netns();
            let port = VethEnd::new(format!("port{n}")).master(vrf);
            let port = port.address(format!("10.0.{n}.254/24").as_str()).up();
            let eth0 = VethEnd::new("eth0").address(format!("10.0.{n}.1/24").as_str()).up();
            let eth0 = eth0.gateway(format!("10.0.{n}.254"));
            let cable = VethPair::new(port, eth0).create_between(&router, &there).unwrap();
            (there, cable)
        };
        let (one, _cable1) = network(1, &red);
        let (_two, _cable2) = network(2, &red);
        let (three, cable3) = network(3, &blue);
        reaches(&one, "10.0.1.254");
        reaches(&one, "10.0.2.1");
        does_not_reach(&one, "10.0.3.1");
        does_not_reach(&three, "10.0.1.1");
        // After the move into VRF `red`, the third network is reached.
        cable3.near().set_master(&red).unwrap();
        reaches(&one, "10.0.3.1");
    });
}

#[test]
fn what_cannot_be_is_refused() {
    support::isolated(|| {
        let host = netns();
        let probe = Vrf::new("red", 10).create(&host);
        let Some(red) = supported_kind("vrf", probe) else { return };
        unchanged(&[&host], || {
            let zero = refused(Vrf::new("v", 0).create(&host), &["table(0)", "from 1"]);
            assert!(zero.is_invalid_input());
            let taken = refused(Vrf::new("red", 11).create(&host), &["a link named `red`"]);
            assert!(taken.is_already_exists());
            refused(red.set_master(&red), &["enslave `red`"]);
        });
    });
}
