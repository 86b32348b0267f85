//! How a rule refuses a packet.

use std::fmt;

use super::context::Context;
use super::family::Family;
use super::field::Network;
use super::part::Part;
use crate::wire::nft::expr::reject as wire;

/// What who sent a refused packet is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reject {
    /// Nobody listens at that port: what `reject` alone says.
    PortUnreachable,
    /// There is no such machine.
    HostUnreachable,
    /// There is no way there.
    NoRoute,
    /// It is forbidden.
    AdminProhibited,
    /// A TCP reset.
    TcpReset,
}

impl Reject {
    const ALL: [Self; 5] = [
        Self::PortUnreachable,
        Self::HostUnreachable,
        Self::NoRoute,
        Self::AdminProhibited,
        Self::TcpReset,
    ];

    /// In the words of the network protocol, where it is known; else in those of both.
    pub(crate) fn encode(self, network: Option<Network>) -> wire::Reject {
        use wire::IcmpxCode;
        let (both, ip4, ip6) = match self {
            Self::PortUnreachable => (IcmpxCode::PortUnreachable, 3, 4),
            Self::HostUnreachable => (IcmpxCode::HostUnreachable, 1, 3),
            Self::NoRoute => (IcmpxCode::NoRoute, 0, 0),
            Self::AdminProhibited => (IcmpxCode::AdminProhibited, 13, 1),
            Self::TcpReset => return wire::Reject::TcpReset,
        };
        match network {
            Some(Network::Ip4) => wire::Reject::Icmp(ip4),
            Some(Network::Ip6) => wire::Reject::Icmp(ip6),
            _ => wire::Reject::Icmpx(both),
        }
    }

    /// `None` for what has no word here.
    pub(crate) fn decode(context: Context, reject: wire::Reject) -> Option<Part> {
        let said = |network| Self::ALL.into_iter().find(|one| one.encode(network) == reject);
        said(context.network).map(Part::Reject).or_else(|| said(None).map(Part::RejectBoth))
    }

    pub(crate) fn check(family: Family, network: Option<Network>) -> Result<(), String> {
        match (family, network) {
            (Family::Arp, _) | (_, Some(Network::Arp)) => Err("ARP has no rejects".into()),
            _ => Ok(()),
        }
    }
}

/// In the words of `nft`.
impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PortUnreachable => "reject",
            Self::HostUnreachable => "reject with icmpx host-unreachable",
            Self::NoRoute => "reject with icmpx no-route",
            Self::AdminProhibited => "reject with icmpx admin-prohibited",
            Self::TcpReset => "reject with tcp reset",
        })
    }
}
