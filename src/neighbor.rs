//! Neighbours: which hardware address an address on the same network has.

use std::fmt;
use std::net::IpAddr;

use bitflags::bitflags;

use crate::error::Error;
use crate::link::LinkIndex;
use crate::mac::MacAddr;
use crate::netlink::{RequestType, RouteRequest};
use crate::netns::Netns;
use crate::wire::neighbor::{NDMSG, NeighborView};

bitflags! {
    /// What is known of a neighbour (`NUD_*`), the last word of a line of `ip neighbour`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct NeighborState: u16 {
        /// Being asked for.
        const INCOMPLETE = 0x01;
        /// Confirmed not long ago.
        const REACHABLE = 0x02;
        /// Not confirmed for a while.
        const STALE = 0x04;
        /// About to be asked again.
        const DELAY = 0x08;
        /// Being asked again.
        const PROBE = 0x10;
        /// Did not answer.
        const FAILED = 0x20;
        /// Needs no asking, as multicast.
        const NOARP = 0x40;
        /// Set by hand, for good.
        const PERMANENT = 0x80;
        // What the kernel adds stays.
        const _ = !0;
    }
}

/// A neighbour as the kernel lists it, a line of `ip neighbour` or `arp`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NeighborInfo {
    /// The index of the link it is reached through.
    pub link: LinkIndex,
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address, once that is known.
    pub mac: Option<MacAddr>,
    /// What is known of it.
    pub state: NeighborState,
    /// Whether it is a router (IPv6).
    pub router: bool,
}

impl NeighborInfo {
    fn read(view: NeighborView<'_>) -> Option<Self> {
        const NTF_ROUTER: u8 = 0x80;
        Some(Self {
            link: view.index.into(),
            address: view.address()?,
            mac: view.mac().map(MacAddr::from),
            state: NeighborState::from_bits_retain(view.state),
            router: view.flags & NTF_ROUTER != 0,
        })
    }
}

/// One line, in the words of `ip neighbour`.
impl fmt::Display for NeighborInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dev if{}", self.address, self.link)?;
        if let Some(mac) = self.mac {
            write!(f, " lladdr {mac}")?;
        }
        self.state.iter_names().try_for_each(|(name, _)| write!(f, " {name}"))
    }
}

impl Netns {
    /// The neighbours of all links, IPv4 and IPv6, as `ip neighbour show nud all`, which has more than
    /// `arp`: that leaves out the ones that need no asking.
    ///
    /// # Errors
    ///
    /// Where the list changed each time it was read: it is whole, or an error.
    #[doc(alias("arp", "ip neigh", "RTM_GETNEIGH"))]
    pub fn neighbors(&self) -> Result<Vec<NeighborInfo>, Error> {
        let all = RouteRequest::new(RequestType::GetNeighbor, &[0; NDMSG], |_| ());
        self.dump("neighbours", &all, |message| NeighborInfo::read(NeighborView::read(message)?))
    }
}
