//! Intermediate functional blocks.

use netloom::{Ifb, LinkKind};

use crate::netns;
use crate::support::features::supported_kind;
use crate::support::{self, json, refused, unchanged};

#[test]
fn its_settings_are_what_ip_lists() {
    support::isolated(|| {
        let host = netns();
        let ifb = Ifb::new("ifb0").mtu(9000).queues(2).group(7).up();
        let Some(ifb) = supported_kind("ifb", ifb.create(&host)) else { return };
        let info = ifb.info().unwrap();
        assert!(info.is_up());
        assert_eq!((info.kind, info.mtu, info.group), (Some(LinkKind::Ifb), 9000, 7));
        let Some(listed) = json(&host, "ip", "-d link show ifb0") else { return };
        assert_eq!(listed[0]["linkinfo"]["info_kind"], "ifb");
        assert_eq!((&listed[0]["mtu"], &listed[0]["num_tx_queues"]), (&9000.into(), &2.into()));
    });
}

#[test]
fn a_name_that_is_taken_is_refused() {
    support::isolated(|| {
        let host = netns();
        let Some(_first) = supported_kind("ifb", Ifb::new("ifb0").create(&host)) else { return };
        let again = unchanged(&[&host], || Ifb::new("ifb0").create(&host));
        let error = refused(again, &["create ifb `ifb0`", "a link named `ifb0` is already in"]);
        assert!(error.is_already_exists());
    });
}
