//! Network protocols that a frame carries.

use std::fmt;

use crate::wire::nft::message::Family;

/// The network protocol of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Network {
    Ip4,
    Ip6,
    Arp,
}

impl Network {
    pub(crate) const ALL: [Self; 3] = [Self::Ip4, Self::Ip6, Self::Arp];

    /// Returns the protocol of an address.
    pub(crate) fn of_address(address: std::net::IpAddr) -> Self {
        if address.is_ipv4() { Self::Ip4 } else { Self::Ip6 }
    }

    /// Returns the kernel's `ETH_P_*`.
    pub(crate) fn ether_type(self) -> u16 {
        match self {
            Self::Ip4 => 0x0800,
            Self::Ip6 => 0x86dd,
            Self::Arp => 0x0806,
        }
    }

    /// Returns the kernel's `NFPROTO_*`.
    pub(crate) fn netfilter_protocol(self) -> u8 {
        let [.., number] = (self.family() as u32).to_be_bytes();
        number
    }

    pub(crate) fn family(self) -> Family {
        match self {
            Self::Ip4 => Family::Ip,
            Self::Ip6 => Family::Ip6,
            Self::Arp => Family::Arp,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip4 => "IPv4",
            Self::Ip6 => "IPv6",
            Self::Arp => "ARP",
        })
    }
}
