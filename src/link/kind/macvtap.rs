//! Macvlans that a program reads and writes.

use netlink_packet_route::link::{InfoMacVlan, MacVlanFlags, MacVlanMacAddressMode};

use super::macvlan::{MacvlanMode, check, macvlan_builder};
use super::{Kind, LinkKind};

/// `TUN_READQ_SIZE` in `include/linux/if_tun.h`.
pub(super) const KIND: Kind = Kind { queue_length: 500, ..Kind::ON_PARENT };

macvlan_builder! {
    /// A macvtap to create: a macvlan whose frames a program, such as a virtual machine's, reads
    /// and writes by the file `/dev/tapN`. `N` is the link's index.
    ///
    /// Replaces `ip link add link PARENT name NAME type macvtap mode bridge`.
    ///
    /// ```
    /// use netloom::{Macvtap, Namespace, VethPair};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let uplink = VethPair::new("eth0", "switch").create(&host)?;
    /// let guest = Macvtap::new("guest0", uplink.near()).up().create(&host)?;
    /// let file = format!("/dev/tap{}", guest.index());
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// [`macvlan_info`](crate::Link::macvlan_info) reads the options. Source: ip-link(8),
    /// `drivers/net/macvtap.c`.
    Macvtap, "create macvtap"
}

#[cfg(test)]
pub(super) fn example(netns: &crate::netns::Netns) -> Result<(), crate::error::Error> {
    let cable = super::veth::VethPair::new("veth1", "veth2").create(netns)?;
    let tap = Macvtap::new("macvtap0", cable.near()).mode(MacvlanMode::Bridge).create(netns)?;
    tap.delete().map_err(crate::error::Error::from)
}
