//! Dummy links.

use netloom::{Dummy, LinkKind};

use crate::netns;
use crate::support::features::supported_kind;
use crate::support::{self, json, reaches};

#[test]
fn its_settings_are_what_ip_lists_and_its_address_answers() {
    support::isolated(|| {
        let host = netns();
        let dummy = Dummy::new("dummy0").mac("02:00:00:00:00:01").mtu(9000).queues(2).group(7);
        let dummy = dummy.address("10.96.0.10/32").up().create(&host);
        let Some(dummy) = supported_kind("dummy", dummy) else { return };
        let info = dummy.info().unwrap();
        assert!(info.is_up());
        assert_eq!((info.kind, info.mtu, info.group), (Some(LinkKind::Dummy), 9000, 7));
        assert_eq!(info.mac, Some("02:00:00:00:00:01".parse().unwrap()));
        host.link("lo").unwrap().set_up().unwrap();
        reaches(&host, "10.96.0.10");
        let Some(listed) = json(&host, "ip", "-d link show dummy0") else { return };
        assert_eq!(listed[0]["linkinfo"]["info_kind"], "dummy");
        assert_eq!(listed[0]["address"], "02:00:00:00:00:01");
        assert_eq!((&listed[0]["mtu"], &listed[0]["num_tx_queues"]), (&9000.into(), &2.into()));
        assert_eq!(listed[0]["txqlen"], 1000);
        dummy.delete().unwrap();
    });
}
