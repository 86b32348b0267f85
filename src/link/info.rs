//! A link as the kernel lists it.

use std::fmt;

use bitflags::bitflags;

use super::index::LinkIndex;
use crate::mac::MacAddr;

bitflags! {
    /// A link's flags, the words in `<…>` of `ip link`. Source: netdevice(7).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct LinkFlags: u32 {
        /// Set up by the administrator.
        const UP = 1;
        /// Has a broadcast address.
        const BROADCAST = 1 << 1;
        /// A loopback link.
        const LOOPBACK = 1 << 3;
        /// A point-to-point link.
        const POINT_TO_POINT = 1 << 4;
        /// Ready to carry packets.
        const RUNNING = 1 << 6;
        /// Has no ARP.
        const NOARP = 1 << 7;
        /// Takes all packets, not only its own.
        const PROMISC = 1 << 8;
        /// Takes all multicast packets.
        const ALLMULTI = 1 << 9;
        /// Can send multicast packets.
        const MULTICAST = 1 << 12;
        /// Has a carrier.
        const LOWER_UP = 1 << 16;
        // What the kernel adds stays.
        const _ = !0;
    }
}

/// Whether a link can carry packets (RFC 2863), the word after `state` in `ip link`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OperationalState {
    /// The driver does not say, as for the loopback link.
    Unknown,
    /// Hardware is missing.
    NotPresent,
    /// Down.
    Down,
    /// The link below is down.
    LowerLayerDown,
    /// In a test.
    Testing,
    /// Waiting for something outside, such as authentication.
    Dormant,
    /// Up.
    Up,
}

impl From<u8> for OperationalState {
    fn from(state: u8) -> Self {
        match state {
            1 => Self::NotPresent,
            2 => Self::Down,
            3 => Self::LowerLayerDown,
            4 => Self::Testing,
            5 => Self::Dormant,
            6 => Self::Up,
            _ => Self::Unknown,
        }
    }
}

/// A link as the kernel lists it, a line of `ip link`. What the kernel did not say is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkInfo {
    /// Its index in its namespace.
    pub index: LinkIndex,
    /// Its name.
    pub name: String,
    /// Its other names, which may be longer (`ip link property add altname`).
    pub alternative_names: Vec<String>,
    /// `veth`, `bridge`, …, also where netloom does not know the kind. A physical link and the
    /// loopback link have none.
    pub kind: Option<String>,
    /// Its flags.
    pub flags: LinkFlags,
    /// Whether it can carry packets.
    pub state: OperationalState,
    /// The largest packet, in bytes, without the link-layer header.
    pub mtu: u32,
    /// Its hardware address, where that has six bytes.
    pub mac: Option<MacAddr>,
    /// The index of the bridge or bond it is a port of.
    pub master: Option<LinkIndex>,
    /// The index of its peer (veth) or of the link below it (vlan, macvlan), `5` in `veth1@if5`.
    pub link: Option<LinkIndex>,
    /// The id, in this namespace, of the namespace [`link`](Self::link) is in, if it is another one.
    pub link_namespace: Option<i32>,
    /// The group it is in, by number; 0 is the default.
    pub group: u32,
    /// A comment on it (`ip link set DEV alias`).
    pub alias: Option<String>,
}

impl LinkInfo {
    /// Whether it is set up (`ip link set DEV up`).
    pub fn is_up(&self) -> bool {
        self.flags.contains(LinkFlags::UP)
    }

    /// Whether it is a loopback link.
    pub fn is_loopback(&self) -> bool {
        self.flags.contains(LinkFlags::LOOPBACK)
    }
}

/// One line, in the words of `ip link`.
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
