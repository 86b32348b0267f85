//! Neighbours: the hardware addresses of hosts on the same network, as ARP and IPv6 neighbour
//! discovery find them.

use std::fmt;
use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute};

use crate::error::Error;
use crate::link::LinkIndex;
use crate::link_names::{LinkNames, Show};
use crate::mac::MacAddr;
use crate::netlink::{Batch, RequestType};
use crate::netns::Netns;
use crate::numbered::numbered;
use crate::text::part;
use crate::wire::message::{Message, NLM_F_DUMP};

/// The length of `struct ndmsg`.
const NDMSG: usize = 12;

numbered! {
    /// The state of a neighbour entry (`NUD_*`), the last word of a line of `ip neighbour`.
    ///
    /// Source: `include/uapi/linux/neighbour.h`, arp(7).
    NeighborState: u16 {
        /// The entry is new and unused.
        None = 0 "NONE",
        /// The first request was sent and is not answered yet.
        Incomplete = 0x01 "INCOMPLETE",
        /// The address was confirmed recently.
        Reachable = 0x02 "REACHABLE",
        /// The last confirmation is too old. Packets still use the address.
        Stale = 0x04 "STALE",
        /// A stale address is in use again. The kernel sends a request unless a confirmation
        /// arrives soon.
        Delay = 0x08 "DELAY",
        /// A request to confirm the address was sent.
        Probe = 0x10 "PROBE",
        /// The neighbour did not answer.
        Failed = 0x20 "FAILED",
        /// The address needs no request, for example a multicast address.
        NoArp = 0x40 "NOARP",
        /// A program added the entry permanently.
        Permanent = 0x80 "PERMANENT",
    }
}

/// A neighbour as the kernel lists it, a line of `ip neighbour` or `arp`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct NeighborInfo {
    /// The index of the link that reaches the neighbour.
    pub link: LinkIndex,
    /// The neighbour's address.
    pub address: IpAddr,
    /// The neighbour's hardware address, once known.
    pub mac: Option<MacAddr>,
    /// The state of the entry.
    pub state: NeighborState,
    /// True if the neighbour is a router (IPv6).
    pub router: bool,
    partial: bool,
}

impl NeighborInfo {
    /// Reads `struct ndmsg` and its attributes. `None` without a readable address.
    pub(crate) fn read(message: Message<'_>) -> Option<Self> {
        const NTF_ROUTER: u8 = 0x80;
        let (header, attributes) = message.split::<NDMSG>()?;
        let [family, _, _, _, i0, i1, i2, i3, s0, s1, flags, _] = *header;
        let (mut address, mut mac, mut partial) = (None, None, false);
        for attribute in attributes.parse_with(AddressFamily::from(family)) {
            match attribute {
                Ok(NeighbourAttribute::Destination(NeighbourAddress::Inet(ip))) => {
                    address = Some(ip.into());
                }
                Ok(NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip))) => {
                    address = Some(ip.into());
                }
                Ok(NeighbourAttribute::LinkLayerAddress(bytes)) => {
                    mac = <[u8; 6]>::try_from(bytes).ok().map(MacAddr::from);
                    partial |= mac.is_none();
                }
                Ok(_) => {}
                Err(_) => partial = true,
            }
        }
        Some(Self {
            link: u32::from_ne_bytes([i0, i1, i2, i3]).into(),
            address: address?,
            mac,
            state: u16::from_ne_bytes([s0, s1]).into(),
            router: flags & NTF_ROUTER != 0,
            partial,
        })
    }

    /// Returns whether netloom could not read one of the attributes that the kernel listed, for
    /// example a hardware address that is not a MAC address.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Formats the entry as one line of `ip neighbour`, with the link's name.
    pub fn display<'a>(&'a self, names: &'a LinkNames) -> impl fmt::Display + 'a {
        Show(|f: &mut fmt::Formatter<'_>| self.write(f, names))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, names: &LinkNames) -> fmt::Result {
        write!(f, "{} dev {}", self.address, names.show(self.link))?;
        part(f, " lladdr ", self.mac)?;
        if self.router {
            f.write_str(" router")?;
        }
        write!(f, " {}", self.state)
    }
}

/// Formats the entry as one line of `ip neighbour`, with the link's index: `dev if3`.
impl fmt::Display for NeighborInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, LinkNames::NONE)
    }
}

impl Netns {
    /// Lists the neighbours of all links, IPv4 and IPv6, as `ip neighbour show nud all`. Unlike
    /// `arp`, the list includes entries that need no request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) if the list changed during all
    /// attempts to read it.
    #[doc(alias("arp", "ip neigh", "RTM_GETNEIGH"))]
    pub fn neighbors(&self) -> Result<Vec<NeighborInfo>, Error> {
        let all = |batch: &mut Batch| {
            batch.push(RequestType::GetNeighbor, NLM_F_DUMP, &[0; NDMSG], |_| ())
        };
        self.dump("neighbours", all, NeighborInfo::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::attribute::Writer;

    #[test]
    fn a_neighbor_is_read_and_no_cut_makes_it_fail() {
        let mut payload = vec![2, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0x80, 1];
        let mut writer = Writer::new(&mut payload);
        let address = std::net::Ipv4Addr::new(10, 0, 0, 1);
        writer.emit(&NeighbourAttribute::Destination(address.into()));
        writer.emit(&NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 1]));
        let read =
            |payload| NeighborInfo::read(Message { kind: 28, flags: 0, sequence: 0, payload });
        let info = read(&payload).unwrap();
        let line = "10.0.0.1 dev if5 lladdr 02:00:00:00:00:01 router REACHABLE";
        assert_eq!((info.to_string().as_str(), info.is_partial()), (line, false));
        for cut in 0..payload.len() {
            assert!(read(&payload[..cut]).is_none_or(|info| info.link == 5));
        }
    }

    #[test]
    fn states_are_read_and_printed() {
        assert_eq!(NeighborState::from(0x80), NeighborState::Permanent);
        assert_eq!(NeighborState::from(0).to_string(), "NONE");
        assert_eq!(NeighborState::from(0x82), NeighborState::Other(0x82));
    }
}
