//! The owners of links of each kind, after a rename, after a move, if another link has the index,
//! and after the deletion of the parent.

use netloom::{
    Bond, Dummy, Error, Ifb, Ipvlan, Link, Macvlan, MacvlanMode, Macvtap, Netns, Owned, VethPair,
    Vlan, Vrf, Vxlan,
};

use crate::netns;
use crate::support::features::supported_kind;
use crate::support::{self, by_hand};

type Make = fn(&Netns, &str) -> Result<Owned<Link>, Error>;

/// The kinds without a parent, and whether the kernel can move a link of the kind to another
/// namespace.
const ALONE: [(&str, Make, bool); 5] = [
    ("ifb", |netns, name| Ifb::new(name).create(netns), true),
    ("dummy", |netns, name| Dummy::new(name).create(netns), true),
    ("vxlan", |netns, name| Vxlan::new(name, 42).create(netns), true),
    ("vrf", |netns, name| Vrf::new(name, 42).create(netns), false),
    ("bond", |netns, name| Bond::new(name).create(netns), false),
];

/// The kinds of links on a parent, here `eth0`.
const ON_PARENT: [(&str, Make); 5] = [
    ("vlan", |netns, name| Vlan::new(name, "eth0", 7).create(netns)),
    ("macvlan", |netns, name| Macvlan::new(name, "eth0").create(netns)),
    ("macvlan", |netns, name| {
        Macvlan::new(name, "eth0").mode(MacvlanMode::Passthrough).create(netns)
    }),
    ("macvtap", |netns, name| Macvtap::new(name, "eth0").create(netns)),
    ("ipvlan", |netns, name| Ipvlan::new(name, "eth0").create(netns)),
];

fn is_there(netns: &Netns, name: &str) -> bool {
    netns.link(name).is_ok()
}

#[test]
fn an_owner_follows_a_rename_of_ours_and_a_move() {
    support::isolated(|| {
        for (kind, make, moves) in
            ALONE.into_iter().chain(ON_PARENT.map(|(kind, make)| (kind, make, true)))
        {
            let (host, elsewhere) = (netns(), netns());
            let _uplink = VethPair::new("eth0", "switch").create(&host).unwrap();
            let Some(link) = supported_kind(kind, make(&host, "one")) else { continue };
            link.rename("two").unwrap();
            link.set_mtu(1300).unwrap();
            if moves {
                link.move_to(&elsewhere).unwrap();
                assert!(!is_there(&host, "two") && is_there(&elsewhere, "two"), "{kind}");
                link.set_mtu(1400).unwrap();
            } else {
                link.move_to(&elsewhere).unwrap_err();
                assert!(is_there(&host, "two"), "{kind}");
            }
            link.delete().unwrap();
            assert!(!is_there(&host, "two") && !is_there(&elsewhere, "two"), "{kind}");
        }
    });
}

#[test]
fn a_link_that_went_with_its_parent_is_deleted() {
    support::isolated(|| {
        for (kind, make) in ON_PARENT {
            let host = netns();
            let uplink = VethPair::new("eth0", "switch").create(&host).unwrap();
            let Some(link) = supported_kind(kind, make(&host, "one")) else { continue };
            uplink.delete().unwrap();
            assert!(!is_there(&host, "one"), "{kind}");
            assert!(link.set_up().unwrap_err().is_not_found());
            link.delete().unwrap();
        }
    });
}

/// All links on a parent may have its MAC address, which therefore identifies none of them.
#[test]
fn another_link_with_the_index_is_not_deleted() {
    support::isolated(|| {
        for (kind, make) in ON_PARENT {
            let host = netns();
            let _uplink = VethPair::new("eth0", "switch").create(&host).unwrap();
            let Some(link) = supported_kind(kind, make(&host, "one")) else { continue };
            let index = link.index();
            // Another program deletes the link, and creates a link with the same index.
            if !by_hand(&host, "ip link delete one") {
                return;
            }
            let words = format!("ip link add link eth0 name other index {index} type {kind}");
            let words = if kind == "vlan" { format!("{words} id 7") } else { words };
            assert!(by_hand(&host, &words));
            let error = link.delete().unwrap_err();
            assert_eq!(Error::from(error).kind(), netloom::ErrorKind::Replaced, "{kind}");
            assert!(is_there(&host, "other"), "{kind}");
        }
    });
}
