//! VLANs of other links.

use netloom::{LinkKind, Netns, VethEnd, VethPair, Vlan, VlanProtocol};
use serde_json::json;

use crate::support::features::supported_kind;
use crate::support::{self, does_not_reach, reaches, refused, unchanged};
use crate::{cable, lists, netns};

#[test]
fn its_options_are_what_is_read_and_what_ip_lists() {
    support::isolated(|| {
        let host = netns();
        let cable = VethPair::new("eth0", "switch").create(&host).unwrap();
        let vlan = Vlan::new("v7", cable.near(), 7)
            .protocol(VlanProtocol::Dot1Ad)
            .reorder_header(false)
            .gvrp(true)
            .mvrp(true)
            .loose_binding(true)
            .ingress_priority(3, 17)
            .ingress_priority(5, 1)
            .egress_priority(16, 7);
        let Some(vlan) = supported_kind("vlan", vlan.create(&host)) else { return };
        let info = vlan.vlan_info().unwrap().unwrap();
        assert_eq!((info.id, info.protocol), (7, VlanProtocol::Dot1Ad));
        assert!(!info.reorder_header && info.gvrp && info.mvrp && info.loose_binding);
        assert!(!info.bridge_binding && !info.is_partial());
        assert_eq!(info.ingress_priorities, [(3, 17), (5, 1)].into());
        assert_eq!(info.egress_priorities, [(16, 7)].into());
        assert_eq!(cable.near().vlan_info().unwrap(), None);
        lists(
            &host,
            "v7",
            json!({
                "id": 7, "protocol": "802.1ad", "flags": ["GVRP", "MVRP", "LOOSE_BINDING"],
                "ingress_qos": [{"from": 3, "to": 17}, {"from": 5, "to": 1}],
                "egress_qos": [{"from": 16, "to": 7}],
            }),
        );
        let plain = Vlan::new("v8", "eth0", 8).create(&host).unwrap();
        let info = plain.vlan_info().unwrap().unwrap();
        assert!(info.reorder_header && info.protocol == VlanProtocol::Dot1Q);
        // A VLAN has its parent's MAC address and the default queue length.
        let links = host.links().unwrap();
        let mac = |name: &str| links.iter().find(|link| link.name == name).unwrap().mac;
        assert_eq!(mac("v8"), mac("eth0"));
        let Some(listed) = support::json(&host, "ip", "-d link show v8") else { return };
        assert_eq!(listed[0]["txqlen"], 1000);
        lists(&host, "v8", json!({"id": 8, "protocol": "802.1Q", "flags": ["REORDER_HDR"]}));
        let other = Vlan::new("v9", "eth0", 9).mac("02:00:00:00:00:09").create(&host).unwrap();
        assert_eq!(other.info().unwrap().mac, Some("02:00:00:00:00:09".parse().unwrap()));
    });
}

#[test]
fn packets_stay_in_their_vlan() {
    support::isolated(|| {
        let (red, blue) = (netns(), netns());
        let _cable = cable(&red, &blue);
        let vlan = |netns: &Netns, id: u16, address: &str| {
            let vlan = Vlan::new(format!("eth0.{id}"), "eth0", id).address(address).up();
            vlan.create(netns)
        };
        let Some(_red) = supported_kind("vlan", vlan(&red, 10, "10.0.0.1/24")) else { return };
        let same = vlan(&blue, 10, "10.0.0.2/24").unwrap();
        reaches(&red, "10.0.0.2");
        same.delete().unwrap();
        let _other = vlan(&blue, 20, "10.0.0.2/24").unwrap();
        does_not_reach(&red, "10.0.0.2");
        reaches(&red, "192.0.2.2");
        // QinQ: an 802.1ad tag outside an 802.1Q tag.
        let tagged = |netns: &Netns, address: &str| {
            let outer = Vlan::new("outer", "eth0", 10).protocol(VlanProtocol::Dot1Ad).up();
            let outer = outer.create(netns).unwrap();
            let inner = Vlan::new("inner", &outer, 10).address(address).up();
            (inner.create(netns).unwrap(), outer)
        };
        let (_near, _far) = (tagged(&red, "10.1.0.1/24"), tagged(&blue, "10.1.0.2/24"));
        reaches(&red, "10.1.0.2");
    });
}

#[test]
fn its_parent_may_be_in_another_namespace() {
    support::isolated(|| {
        let (red, blue, container) = (netns(), netns(), netns());
        let cable = cable(&red, &blue);
        let near = Vlan::new("eth0", cable.near(), 10).address("10.0.0.1/24").up();
        let near = near.create_between(&red, &container);
        let Some(near) = supported_kind("vlan", near) else { return };
        let _far = Vlan::new("v10", cable.peer(), 10).address("10.0.0.2/24").up().create(&blue);
        assert_eq!(near.namespace(), *container);
        reaches(&container, "10.0.0.2");
        assert_eq!(container.links().unwrap().len(), 2);
        near.delete().unwrap();
        assert_eq!(container.links().unwrap().len(), 1);
    });
}

#[test]
fn what_cannot_be_is_refused() {
    support::isolated(|| {
        let host = netns();
        let cable = VethPair::new(VethEnd::new("eth0"), "switch").create(&host).unwrap();
        let probe = Vlan::new("v7", cable.near(), 7).create(&host);
        let Some(first) = supported_kind("vlan", probe) else { return };
        unchanged(&[&host], || {
            for id in [0, 4095, u16::MAX] {
                let error = refused(Vlan::new("v", "eth0", id).create(&host), &["id", "4,094"]);
                assert!(error.is_invalid_input());
            }
            let error = refused(
                Vlan::new("v", "eth0", 8).ingress_priority(8, 1).create(&host),
                &["ingress_priority", "from 0 to 7"],
            );
            assert!(error.is_invalid_input());
            let odd = Vlan::new("v", "eth0", 8).protocol(VlanProtocol::Other(0x9100));
            refused(odd.create(&host), &["protocol", "0x9100"]);
            let mac = Vlan::new("v", "eth0", 8).mac("01:00:5e:00:00:01").create(&host);
            assert!(refused(mac, &["mac", "unicast"]).is_invalid_input());
            let missing = refused(Vlan::new("v", "eth9", 8).create(&host), &["no link `eth9`"]);
            assert!(missing.is_not_found());
            refused(Vlan::new("v", "lo", 8).create(&host), &["create VLAN `v`"]);
            let again = refused(Vlan::new("v", "eth0", 7).create(&host), &["create VLAN `v`"]);
            assert!(again.is_already_exists(), "{again}");
            assert!(!again.to_string().contains("a link named"), "{again}");
            let error = refused(Vlan::new("v7", "eth0", 8).create(&host), &["a link named `v7`"]);
            assert!(error.is_already_exists());
            let down = Vlan::new("v", "eth0", 8).up().create(&host);
            refused(down, &["the parent is down"]);
        });
        assert_eq!(first.info().unwrap().kind, Some(LinkKind::Vlan));
    });
}
