//! The state of a link as the kernel lists it: borrowed from the answer, or copied.

use std::borrow::Cow;
use std::fmt;

use bitflags::bitflags;

use super::index::LinkIndex;
use super::kind::LinkKind;
use crate::listed::listed;
use crate::mac::MacAddr;
use crate::numbered::numbered;
use crate::text::part;
use crate::wire::link::LinkView as Wire;

bitflags! {
    /// The flags of a link, the words in `<…>` of `ip link`. Source: netdevice(7).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct LinkFlags: u32 {
        /// The administrator set the link up.
        const UP = 1;
        /// The link has a broadcast address.
        const BROADCAST = 1 << 1;
        /// A loopback link.
        const LOOPBACK = 1 << 3;
        /// A point-to-point link.
        const POINT_TO_POINT = 1 << 4;
        /// The link can carry packets.
        const RUNNING = 1 << 6;
        /// The link does not use ARP.
        const NOARP = 1 << 7;
        /// The link receives all packets, not only those addressed to it.
        const PROMISC = 1 << 8;
        /// The link receives all multicast packets.
        const ALLMULTI = 1 << 9;
        /// The link can send multicast packets.
        const MULTICAST = 1 << 12;
        /// The link has a carrier.
        const LOWER_UP = 1 << 16;
        // Keep flags that newer kernels add.
        const _ = !0;
    }
}

numbered! {
    /// The operational state of a link (RFC 2863), the word after `state` in `ip link`.
    OperationalState: u8 {
        /// The driver does not report a state, as for the loopback link.
        Unknown = 0 "UNKNOWN",
        /// Hardware is missing.
        NotPresent = 1 "NOTPRESENT",
        /// Down.
        Down = 2 "DOWN",
        /// A link that this link is stacked on is down.
        LowerLayerDown = 3 "LOWERLAYERDOWN",
        /// The link runs a self-test.
        Testing = 4 "TESTING",
        /// The link waits for an external event, such as authentication.
        Dormant = 5 "DORMANT",
        /// Up.
        Up = 6 "UP",
    }
}

/// A link of a list, borrowed while [`Netns::fold_links`](crate::Netns::fold_links) reads the list.
/// `LinkInfo::from` copies the view into a [`LinkInfo`], which has the same fields.
#[derive(Debug, Clone)]
pub struct LinkView<'a> {
    wire: Wire<'a>,
    name: Cow<'a, str>,
}

impl<'a> LinkView<'a> {
    pub(crate) fn of(wire: Wire<'a>) -> Option<Self> {
        Some(Self { wire, name: wire.name()? })
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the alternative names. They may be longer than the 15 characters of the name.
    pub fn alternative_names(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        self.wire.alternative_names()
    }

    /// Returns the alias: a free text for the administrator.
    pub fn alias(&self) -> Option<Cow<'a, str>> {
        self.wire.alias()
    }
}

listed! {
    /// A link as the kernel lists it, a line of `ip link`. An attribute that the kernel did not
    /// list is `None`.
    #[cfg_attr(feature = "serde", derive(serde::Serialize))]
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    LinkInfo of LinkView as link {
        /// The index in its namespace.
        index: LinkIndex = link.wire.index.into(),
        /// The kind. A physical link and the loopback link have none.
        kind: Option<LinkKind> = link.wire.kind().map(|kind| LinkKind::from(&*kind)),
        /// The flags.
        flags: LinkFlags = LinkFlags::from_bits_retain(link.wire.flags),
        /// The operational state.
        state: OperationalState = link.wire.operational_state().unwrap_or(0).into(),
        /// The MTU: the size of the largest packet in bytes, without the link-layer header.
        mtu: u32 = link.wire.mtu().unwrap_or(0),
        /// The hardware address, if it has six bytes.
        mac: Option<MacAddr> = link.wire.mac().map(MacAddr::from),
        /// The index of the bridge or bond that the link is a port of.
        master: Option<LinkIndex> = link.wire.master().map(LinkIndex::from),
        /// The index of the peer (veth) or of the parent link (vlan, macvlan): the `5` in
        /// `veth1@if5`.
        link: Option<LinkIndex> = link.wire.link().map(LinkIndex::from),
        /// The id, as this namespace numbers other namespaces (nsid), of the namespace that
        /// contains [`link`](Self::link). `None` if that is this namespace.
        link_namespace: Option<i32> = link.wire.link_namespace(),
        /// The group, by number. 0 is the default.
        group: u32 = link.wire.group().unwrap_or(0),
    }
    copies link {
        /// The name.
        name: String = link.name().to_owned(),
        /// The alternative names (`ip link property add altname`). They may be longer than 15
        /// characters.
        alternative_names: Vec<String> = link.alternative_names().map(Cow::into_owned).collect(),
        /// The alias: a free text for the administrator (`ip link set DEV alias`).
        alias: Option<String> = link.alias().map(Cow::into_owned),
    }
}

impl LinkInfo {
    /// Returns whether the administrator set the link up (`ip link set DEV up`).
    pub fn is_up(&self) -> bool {
        self.flags.contains(LinkFlags::UP)
    }

    /// Returns whether the link is a loopback link.
    pub fn is_loopback(&self) -> bool {
        self.flags.contains(LinkFlags::LOOPBACK)
    }
}

/// Writes one line in the words of `ip link`.
impl fmt::Display for LinkInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.index, self.name)?;
        part(f, "@if", self.link)?;
        write!(f, " {} mtu {}", if self.is_up() { "up" } else { "down" }, self.mtu)?;
        part(f, " ", self.kind.as_ref())?;
        part(f, " master if", self.master)?;
        part(f, " ", self.mac)
    }
}
