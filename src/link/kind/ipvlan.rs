//! Links with IP addresses of their own on another link.

use netlink_packet_route::link::{InfoIpVlan, IpVlanFlags};

use super::{Kind, LinkKind};
use crate::error::Error;
use crate::link::create::NewLink;
use crate::link::handle::Link;
use crate::link::options::{Options, link_info, option_setters};
use crate::link::reference::LinkRef;
use crate::link::settings::{Settings, link_setters};
use crate::netns::Netns;
use crate::numbered::numbered;
use crate::owned::Owned;

/// An ipvlan has the address of its parent.
pub(super) const KIND: Kind = Kind { keeps_address: false, ..Kind::ON_PARENT };

numbered! {
    /// The layer at which a parent hands packets to its ipvlans.
    IpvlanMode: u16 {
        /// Frames: the links answer ARP, and receive multicast.
        L2 = 0 "l2",
        /// Packets, routed by the parent's namespace. No ARP, no multicast.
        L3 = 1 "l3",
        /// Packets, as with `L3`, through the filters and the connection tracking of the parent's namespace.
        L3S = 2 "l3s",
    }
}

/// The mode that the kernel uses if none is asked for.
impl Default for IpvlanMode {
    fn default() -> Self {
        Self::L3
    }
}

numbered! {
    /// The packets that the ipvlans of one parent exchange. One value for all of them.
    IpvlanForwarding: u16 {
        /// All packets, inside the parent.
        Bridge = 0 "bridge",
        /// No packets.
        Private = 1 "private",
        /// The packets that the switch behind the parent sends back.
        Vepa = 2 "vepa",
    }
}

/// The forwarding that the kernel uses if none is asked for.
impl Default for IpvlanForwarding {
    fn default() -> Self {
        Self::Bridge
    }
}

/// An ipvlan to create: a link with IP addresses of its own, and the hardware address of its
/// parent.
///
/// Replaces `ip link add link PARENT name NAME type ipvlan mode l3`.
///
/// ```no_run
/// use netloom::{Ipvlan, IpvlanMode, Namespace, Netns};
///
/// let host = Netns::current()?;
/// let container = Namespace::anonymous().create()?;
/// let eth0 = Ipvlan::new("eth0", "eth0").mode(IpvlanMode::L2).address("192.0.2.7/24").up();
/// let eth0 = eth0.create_between(&host, &container)?;
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// All ipvlans of a parent have the mode of the last one. The parent's own namespace exchanges no
/// packets with them. An ipvlan is deleted with its parent. Source:
/// `Documentation/networking/ipvlan.rst`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Ipvlan {
    settings: Settings,
    parent: LinkRef,
    options: Options<InfoIpVlan>,
}

impl Ipvlan {
    /// Describes an ipvlan on this parent, a handle or a name that is looked up.
    pub fn new(name: impl AsRef<str>, parent: impl Into<LinkRef>) -> Self {
        let settings = Settings::new(name.as_ref());
        Self { settings, parent: parent.into(), options: Options::default() }
    }

    // The kernel gives it the parent's address, and lets no one change it.
    link_setters!(mtu: "the parent's", queues: "1");

    option_setters! {
        /// Sets the layer at which packets are handed over, as `mode`. Default: `L3`.
        #[doc(alias = "IFLA_IPVLAN_MODE")]
        mode(mode: IpvlanMode) => InfoIpVlan::Mode(u16::from(mode).into());

        /// Sets the packets that the ipvlans of the parent exchange, as `bridge`, `private` or
        /// `vepa`. Default: `Bridge`.
        #[doc(alias("IFLA_IPVLAN_FLAGS", "IPVLAN_F_PRIVATE", "IPVLAN_F_VEPA"))]
        forwarding(forwarding: IpvlanForwarding) =>
            InfoIpVlan::Flags(IpVlanFlags::from_bits_retain(forwarding.into()));
    }

    create_on_parent!("is a bridge's port, or a parent of macvlans");

    fn new_link(&self, parent: &Netns, netns: &Netns) -> Result<Owned<Link>, Error> {
        let new = NewLink {
            sender: parent,
            parent: Some(&self.parent),
            options: &|out| self.options.write(out),
            ..NewLink::of("create ipvlan", &LinkKind::Ipvlan, &self.settings, netns)
        };
        new.create()
    }
}

link_info! {
    /// The options of an ipvlan, as `ip -details link` lists them.
    IpvlanInfo of Ipvlan by
    /// Reads the options of this ipvlan. `None` if the link is of another kind.
    ipvlan_info, InfoIpVlan {
        /// The layer at which packets are handed over.
        mode: IpvlanMode = InfoIpVlan::Mode(mode) => u16::from(*mode).into();
        /// The packets that the ipvlans of the parent exchange.
        forwarding: IpvlanForwarding = InfoIpVlan::Flags(flags) => flags.bits().into();
    }
}

#[cfg(test)]
pub(super) fn example(netns: &Netns) -> Result<(), Error> {
    let cable = super::veth::VethPair::new("veth1", "veth2").create(netns)?;
    Ipvlan::new("ipvlan0", cable.near()).up().create(netns)?.delete().map_err(Error::from)
}
