//! Ipvlans.

use netloom::{
    Ipvlan, IpvlanForwarding, IpvlanMode, LinkKind, Netns, Owned, Route, Veth, VethEnd, VethPair,
};
use serde_json::json;

use crate::support::features::supported_kind;
use crate::support::{self, does_not_reach, reaches, refused, unchanged};
use crate::{lists, netns};

fn uplink(host: &Netns, outside: &Netns) -> Owned<Veth> {
    let far = VethEnd::new("eth0").address("192.0.2.1/24").up();
    VethPair::new(VethEnd::new("eth0").up(), far).create_between(host, outside).unwrap()
}

#[test]
fn its_options_are_what_is_read_and_what_ip_lists() {
    support::isolated(|| {
        let (host, outside) = (netns(), netns());
        let uplink = uplink(&host, &outside);
        for mode in [IpvlanMode::L2, IpvlanMode::L3, IpvlanMode::L3S] {
            for (forwarding, word) in [
                (IpvlanForwarding::Bridge, "bridge"),
                (IpvlanForwarding::Private, "private"),
                (IpvlanForwarding::Vepa, "vepa"),
            ] {
                let link = Ipvlan::new("i0", uplink.near()).mode(mode).forwarding(forwarding);
                let link = link.mtu(1400).create(&host);
                let Some(link) = supported_kind("ipvlan", link) else { return };
                let info = link.ipvlan_info().unwrap().unwrap();
                assert_eq!((info.mode, info.forwarding), (mode, forwarding));
                let info = link.info().unwrap();
                assert_eq!((info.kind, info.mtu), (Some(LinkKind::Ipvlan), 1400));
                assert_eq!(info.mac, uplink.near().info().unwrap().mac);
                lists(&host, "i0", json!({"mode": mode.to_string()}));
                let Some(listed) = crate::listed(&host, "i0") else { continue };
                assert!(listed.to_string().contains(word), "{word}: {listed}");
                let listed = support::json(&host, "ip", "-d link show i0").unwrap();
                assert_eq!(listed[0]["txqlen"], 1000);
            }
        }
        let plain = Ipvlan::new("i0", uplink.near()).create(&host).unwrap();
        assert_eq!(plain.ipvlan_info().unwrap().unwrap().mode, IpvlanMode::L3);
    });
}

#[test]
fn its_packets_have_the_address_of_the_parent() {
    support::isolated(|| {
        for (mode, forwarding, exchange) in [
            (IpvlanMode::L2, IpvlanForwarding::Bridge, true),
            (IpvlanMode::L2, IpvlanForwarding::Private, false),
            (IpvlanMode::L3, IpvlanForwarding::Bridge, true),
            (IpvlanMode::L3S, IpvlanForwarding::Private, false),
        ] {
            let (host, outside, red, blue) = (netns(), netns(), netns(), netns());
            let uplink = uplink(&host, &outside);
            // In L3 mode, the host routes packets to the containers' network.
            let (network, is_l2) = ("10.7.0", mode == IpvlanMode::L2);
            uplink.near().set_up().unwrap();
            let address = netloom::Address::new("192.0.2.2/24").create(uplink.near()).unwrap();
            let out = Route::new(format!("{network}.0/24").as_str());
            let out = if is_l2 { out.dev("eth0") } else { out.via("192.0.2.2") };
            let _back = out.create(&outside).unwrap();
            let container = |netns: &Netns, last: u8| {
                let eth0 = Ipvlan::new("eth0", uplink.near()).mode(mode).forwarding(forwarding);
                eth0.address(format!("{network}.{last}/24").as_str())
                    .up()
                    .create_between(&host, netns)
            };
            let first = container(&red, 7);
            let Some(first) = supported_kind("ipvlan", first) else { return };
            let second = container(&blue, 8).unwrap();
            let _outside = [(&red, &first), (&blue, &second)].map(|(netns, eth0)| {
                Route::new("192.0.2.0/24").dev(&**eth0).create(netns).unwrap()
            });
            reaches(&red, "192.0.2.1");
            if exchange {
                reaches(&red, "10.7.0.8");
            } else {
                does_not_reach(&red, "10.7.0.8");
            }
            drop(address);
        }
    });
}

#[test]
fn what_cannot_be_is_refused() {
    support::isolated(|| {
        let (host, outside) = (netns(), netns());
        let uplink = uplink(&host, &outside);
        let probe = Ipvlan::new("i0", uplink.near()).create(&host);
        let Some(_first) = supported_kind("ipvlan", probe) else { return };
        unchanged(&[&host], || {
            let missing = refused(Ipvlan::new("i", "eth9").create(&host), &["no link `eth9`"]);
            assert!(missing.is_not_found());
            refused(Ipvlan::new("i", "lo").create(&host), &["create ipvlan `i`"]);
            let taken = refused(Ipvlan::new("i0", "eth0").create(&host), &["a link named `i0`"]);
            assert!(taken.is_already_exists());
            let macvlan = netloom::Macvlan::new("m", "eth0").create(&host);
            refused(macvlan, &["`eth0` serves another purpose"]);
        });
    });
}
