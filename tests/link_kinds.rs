//! Kinds of links without a separate test program. Their options are compared as set, as read back
//! and as `ip` lists them. The tests also send packets, and try options that netloom refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "link_kinds/bond.rs"]
mod bond;
#[path = "link_kinds/dummy.rs"]
mod dummy;
#[path = "link_kinds/ifb.rs"]
mod ifb;
#[path = "link_kinds/ipvlan.rs"]
mod ipvlan;
#[path = "link_kinds/macvlan.rs"]
mod macvlan;
#[path = "link_kinds/ownership.rs"]
mod ownership;
mod support;
#[path = "link_kinds/vlan.rs"]
mod vlan;
#[path = "link_kinds/vrf.rs"]
mod vrf;
#[path = "link_kinds/vxlan.rs"]
mod vxlan;

use netloom::{Namespace, Netns, Owned, Veth, VethEnd, VethPair};

fn netns() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

/// Creates a cable between two hosts, each with an end `eth0` that is up.
fn cable(red: &Netns, blue: &Netns) -> Owned<Veth> {
    let end = |address: &str| VethEnd::new("eth0").address(address).up();
    VethPair::new(end("192.0.2.1/24"), end("192.0.2.2/24")).create_between(red, blue).unwrap()
}

/// Returns the options of a link as `ip` lists them. `None` if `ip` is not installed.
fn listed(netns: &Netns, name: &str) -> Option<serde_json::Value> {
    let links = support::json(netns, "ip", &format!("-d link show {name}"))?;
    Some(links[0]["linkinfo"]["info_data"].clone())
}

/// Asserts that `ip` lists these options.
#[track_caller]
#[allow(clippy::needless_pass_by_value)] // each caller writes the value where it passes it
fn lists(netns: &Netns, name: &str, wanted: serde_json::Value) {
    let Some(listed) = listed(netns, name) else { return };
    for (option, value) in wanted.as_object().unwrap() {
        assert_eq!(listed[option], *value, "{option} of {listed:#}");
    }
}
