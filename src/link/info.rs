//! A link as the kernel lists it.

use std::fmt;

use bitflags::bitflags;

use super::index::LinkIndex;
use super::kind::LinkKind;
use crate::mac::MacAddr;
use crate::numbered::numbered;

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
        /// The link has no ARP.
        const NOARP = 1 << 7;
        /// The link receives all packets, not only its own.
        const PROMISC = 1 << 8;
        /// The link receives all multicast packets.
        const ALLMULTI = 1 << 9;
        /// The link can send multicast packets.
        const MULTICAST = 1 << 12;
        /// The link has a carrier.
        const LOWER_UP = 1 << 16;
        // Flags that newer kernels add are kept.
        const _ = !0;
    }
}

numbered! {
    /// The ability of a link to carry packets (RFC 2863), the word after `state` in `ip link`.
    OperationalState: u8 {
        /// The driver does not report a state, as for the loopback link.
        Unknown = 0 "UNKNOWN",
        /// Hardware is missing.
        NotPresent = 1 "NOTPRESENT",
        /// Down.
        Down = 2 "DOWN",
        /// The link below is down.
        LowerLayerDown = 3 "LOWERLAYERDOWN",
        /// A test runs.
        Testing = 4 "TESTING",
        /// The link waits for an external event, such as authentication.
        Dormant = 5 "DORMANT",
        /// Up.
        Up = 6 "UP",
    }
}

/// A link as the kernel lists it, a line of `ip link`. An attribute that the kernel did not list is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkInfo {
    /// The index in its namespace.
    pub index: LinkIndex,
    /// The name.
    pub name: String,
    /// The alternative names, which may be longer (`ip link property add altname`).
    pub alternative_names: Vec<String>,
    /// The kind. A physical link and the loopback link have none.
    pub kind: Option<LinkKind>,
    /// The flags.
    pub flags: LinkFlags,
    /// The ability to carry packets.
    pub state: OperationalState,
    /// The largest packet, in bytes, without the link-layer header.
    pub mtu: u32,
    /// The hardware address, if it has six bytes.
    pub mac: Option<MacAddr>,
    /// The index of the bridge or bond that the link is a port of.
    pub master: Option<LinkIndex>,
    /// The index of its peer (veth) or of the link below it (vlan, macvlan), `5` in `veth1@if5`.
    pub link: Option<LinkIndex>,
    /// The id, in this namespace, of the namespace of [`link`](Self::link), if it is another one.
    pub link_namespace: Option<i32>,
    /// The group, by number. 0 is the default.
    pub group: u32,
    /// A comment (`ip link set DEV alias`).
    pub alias: Option<String>,
}

impl LinkInfo {
    /// Returns whether the link is set up (`ip link set DEV up`).
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
        if let Some(link) = self.link {
            write!(f, "@if{link}")?;
        }
        write!(f, " {} mtu {}", if self.is_up() { "up" } else { "down" }, self.mtu)?;
        if let Some(kind) = &self.kind {
            write!(f, " {kind}")?;
        }
        if let Some(master) = self.master {
            write!(f, " master if{master}")?;
        }
        if let Some(mac) = self.mac {
            write!(f, " {mac}")?;
        }
        Ok(())
    }
}
