//! Addresses as the kernel lists them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressFlags};

use crate::link::LinkIndex;
use crate::link_names::{LinkNames, Show};
use crate::scope::Scope;
use crate::text::{Escaped, part};
use crate::wire::message::Message;

/// An address as the kernel lists it, a line of `ip address`.
///
/// Source: rtnetlink(7), `include/uapi/linux/if_addr.h`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct AddressInfo {
    /// The index of the link that has the address.
    pub link: LinkIndex,
    /// The address and its prefix length. [`network`](Self::network) returns the network alone.
    pub prefix: IpNet,
    /// The address of the other end, if the address is point-to-point.
    #[doc(alias = "IFA_ADDRESS")]
    pub peer: Option<IpAddr>,
    /// The broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// The label of an IPv4 address, by default the link's name.
    pub label: Option<String>,
    /// The scope: where the address is valid.
    pub scope: Scope,
    /// True while duplicate address detection runs. The kernel does not use the address yet.
    #[doc(alias = "IFA_F_TENTATIVE")]
    pub tentative: bool,
    /// True if duplicate address detection found another host with the address. The kernel never
    /// uses such an address.
    #[doc(alias = "IFA_F_DADFAILED")]
    pub dad_failed: bool,
    /// True if the address never expires.
    pub permanent: bool,
    /// The time after which the kernel deletes the address. `None`: never.
    pub valid: Option<Duration>,
    /// The time after which new connections stop using the address. `None`: never.
    pub preferred: Option<Duration>,
    /// The metric of the route that the kernel adds for the address's network.
    #[doc(alias = "IFA_RT_PRIORITY")]
    pub metric: Option<u32>,
    pub(super) protocol: Option<u8>,
    #[cfg_attr(feature = "serde", serde(skip))]
    flags: u32,
    /// The number of attributes that could not be read.
    #[cfg_attr(feature = "serde", serde(skip))]
    unread: usize,
}

/// The flags that `ip address` prints, and its words for them.
const FLAGS: [(AddressFlags, &str); 10] = [
    (AddressFlags::Secondary, "secondary"),
    (AddressFlags::Nodad, "nodad"),
    (AddressFlags::Optimistic, "optimistic"),
    (AddressFlags::Dadfailed, "dadfailed"),
    (AddressFlags::Deprecated, "deprecated"),
    (AddressFlags::Tentative, "tentative"),
    (AddressFlags::Managetempaddr, "mngtmpaddr"),
    (AddressFlags::Noprefixroute, "noprefixroute"),
    (AddressFlags::Mcautojoin, "autojoin"),
    (AddressFlags::StablePrivacy, "stable-privacy"),
];

impl AddressInfo {
    /// Reads `struct ifaddrmsg` and its attributes. Returns `None` if no address can be read.
    pub(crate) fn read(message: Message<'_>) -> Option<Self> {
        let (&[_, length, short_flags, scope, i0, i1, i2, i3], attributes) = message.split()?;
        let (mut address, mut local, mut unread) = (None, None, 0);
        let (mut broadcast, mut label, mut metric, mut protocol) = (None, None, None, None);
        let (mut flags, mut valid, mut preferred) = (u32::from(short_flags), None, None);
        for attribute in attributes.parse() {
            match attribute {
                Ok(AddressAttribute::Address(ip)) => address = Some(ip),
                Ok(AddressAttribute::Local(ip)) => local = Some(ip),
                Ok(AddressAttribute::Broadcast(ip)) => broadcast = Some(ip),
                Ok(AddressAttribute::Label(text)) => label = Some(text),
                Ok(AddressAttribute::Flags(all)) => flags = all.bits(),
                Ok(AddressAttribute::RoutePriority(number)) => metric = Some(number),
                Ok(AddressAttribute::Protocol(number)) => protocol = Some(number.into()),
                Ok(AddressAttribute::CacheInfo(times)) => {
                    valid = lifetime(times.ifa_valid);
                    preferred = lifetime(times.ifa_preferred);
                }
                Ok(_) => {}
                Err(_) => unread += 1,
            }
        }
        // The kernel sends IFA_LOCAL for an IPv6 address only if the address has a peer.
        let ip = local.or(address)?;
        let has = |flag: AddressFlags| flags & flag.bits() != 0;
        let dad_failed = has(AddressFlags::Dadfailed);
        Some(Self {
            link: u32::from_ne_bytes([i0, i1, i2, i3]).into(),
            prefix: IpNet::new(ip, length).ok()?,
            peer: address.filter(|address| *address != ip),
            broadcast,
            label,
            scope: scope.into(),
            tentative: has(AddressFlags::Tentative) && !dad_failed,
            dad_failed,
            permanent: has(AddressFlags::Permanent),
            valid,
            preferred,
            metric,
            protocol,
            flags,
            unread,
        })
    }

    /// Returns the network that the address makes reachable on its link. For a point-to-point
    /// address, that is the peer's network.
    pub fn network(&self) -> IpNet {
        let address = self.peer.unwrap_or(self.prefix.addr());
        IpNet::new(address, self.prefix.prefix_len()).map_or(self.prefix, |net| net).trunc()
    }

    /// Returns whether netloom could not read one of the attributes that the kernel listed.
    pub fn is_partial(&self) -> bool {
        self.unread > 0
    }

    /// Formats the address as one line of `ip address`, with the link's name.
    pub fn display<'a>(&'a self, names: &'a LinkNames) -> impl fmt::Display + 'a {
        Show(|f: &mut fmt::Formatter<'_>| self.write(f, names))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, names: &LinkNames) -> fmt::Result {
        match self.peer {
            Some(peer) => {
                write!(f, "{} peer {peer}/{}", self.prefix.addr(), self.prefix.prefix_len())?;
            }
            None => write!(f, "{}", self.prefix)?,
        }
        part(f, " metric ", self.metric)?;
        part(f, " brd ", self.broadcast)?;
        write!(f, " scope {}", self.scope)?;
        for (flag, word) in FLAGS {
            if self.flags & flag.bits() != 0 {
                write!(f, " {word}")?;
            }
        }
        if !self.permanent {
            f.write_str(" dynamic")?;
        }
        write!(f, " dev {}", names.show(self.link))?;
        let label = self.label.as_deref().filter(|&label| names.get(self.link) != Some(label));
        part(f, " label ", label.map(Escaped))?;
        let seconds = |time: Duration| format!("{}sec", time.as_secs());
        part(f, " valid_lft ", self.valid.map(seconds))?;
        part(f, " preferred_lft ", self.preferred.map(seconds))
    }
}

/// Converts a lifetime in seconds from `struct ifa_cacheinfo`. The largest number means "forever".
fn lifetime(seconds: u32) -> Option<Duration> {
    (seconds != u32::MAX).then(|| Duration::from_secs(seconds.into()))
}

/// Formats the address as one line of `ip address`, with the link's index: `dev if3`.
impl fmt::Display for AddressInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, LinkNames::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::attribute::Writer;

    fn payload(length: u8, flags: u32) -> Vec<u8> {
        let mut payload = vec![2, length, 0x80, 0, 3, 0, 0, 0];
        let mut writer = Writer::new(&mut payload);
        writer.emit(&AddressAttribute::Address(IpAddr::from([10, 5, 0, 2])));
        writer.emit(&AddressAttribute::Local(IpAddr::from([10, 4, 0, 1])));
        writer.emit(&AddressAttribute::Label("veth1".into()));
        writer.emit(&AddressAttribute::Flags(AddressFlags::from_bits_retain(flags)));
        payload
    }

    fn read(payload: &[u8]) -> Option<AddressInfo> {
        AddressInfo::read(Message { kind: 20, flags: 0, sequence: 0, payload })
    }

    #[test]
    fn the_network_of_a_point_to_point_address_is_its_peers() {
        let info = read(&payload(24, 0x80)).unwrap();
        assert_eq!((info.prefix.to_string(), info.link), ("10.4.0.1/24".to_owned(), 3.into()));
        assert_eq!(info.peer, Some(IpAddr::from([10, 5, 0, 2])));
        assert_eq!(info.network().to_string(), "10.5.0.0/24");
        let line = "10.4.0.1 peer 10.5.0.2/24 scope global dev if3 label veth1";
        assert_eq!((info.to_string().as_str(), info.is_partial()), (line, false));
    }

    #[test]
    fn an_address_whose_duplicate_was_found_is_not_tentative_for_ever() {
        for (flags, tentative, failed) in
            [(0x40, true, false), (0x48, false, true), (0x80, false, false)]
        {
            let info = read(&payload(24, flags)).unwrap();
            assert_eq!((info.tentative, info.dad_failed), (tentative, failed), "{flags:#x}");
        }
        assert!(read(&payload(24, 0x48)).unwrap().to_string().contains(" dadfailed tentative "));
    }

    #[test]
    fn an_odd_attribute_makes_the_value_partial_and_no_cut_makes_reading_fail() {
        let mut payload = payload(24, 0x80);
        for cut in 0..payload.len() {
            drop(read(&payload[..cut]));
        }
        payload.extend([6, 0, 4, 0, 10, 5, 0, 0]); // IFA_BROADCAST of 2 bytes
        let info = read(&payload).unwrap();
        assert!(info.is_partial() && info.broadcast.is_none() && info.peer.is_some());
    }
}
