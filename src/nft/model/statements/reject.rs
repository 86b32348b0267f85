//! Rejects: `reject with tcp reset`.

use crate::nft::model::family::Family;
use crate::nft::model::field::{Needs, TCP};
use crate::nft::model::network::Network;
use crate::nft::model::prelude::*;
use crate::wire::nft::expr::reject as wire;

/// The error reported to the sender of a rejected packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reject {
    /// Port unreachable: the default of `reject`.
    PortUnreachable,
    /// Host unreachable.
    HostUnreachable,
    /// Network unreachable.
    NoRoute,
    /// Administratively prohibited.
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

    /// Encodes the code of the network protocol if it is known, else the code for both.
    fn to_wire(self, network: Option<Network>) -> wire::Reject {
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
}

/// A reject, with the code of the packet's network protocol or with that of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RejectStatement {
    reject: Reject,
    for_both: bool,
}

impl Rule {
    /// Drops the packet and sends an error to the sender: `reject`.
    #[doc(alias = "REJECT")]
    pub fn reject(self, how: Reject) -> Self {
        self.with(RejectStatement { reject: how, for_both: false })
    }
}

impl Statement for RejectStatement {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        let network = encoder.context.network.filter(|_| !self.for_both);
        encoder.push(self.reject.to_wire(network));
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let Expr::Reject(reject) = expr else { return None };
        let find = |network, for_both| {
            let reject = Reject::ALL.into_iter().find(|one| one.to_wire(network) == *reject)?;
            Some(Self { reject, for_both })
        };
        find(reader.context.network, false).or_else(|| find(None, true))
    }

    fn check(&self, context: Context) -> Result<(), String> {
        match (context.family, context.network) {
            (Family::Arp, _) | (_, Some(Network::Arp)) => Err("ARP has no rejects".into()),
            _ => Ok(()),
        }
    }

    fn needs(&self) -> Needs {
        match self.reject {
            Reject::TcpReset => Needs::Protocol(TCP),
            _ => Needs::Nothing,
        }
    }

    fn is_terminal(&self) -> bool {
        true
    }

    fn fmt_in(&self, context: Context, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = context.network.filter(|_| !self.for_both);
        match (self.reject, network) {
            (Reject::TcpReset, _) if !context.is_protocol(TCP) => {
                f.write_str("meta l4proto tcp reject with tcp reset")
            }
            (Reject::HostUnreachable, Some(Network::Ip4)) => {
                f.write_str("reject with icmp host-unreachable")
            }
            (Reject::HostUnreachable, Some(Network::Ip6)) => {
                f.write_str("reject with icmpv6 addr-unreachable")
            }
            (Reject::NoRoute, Some(Network::Ip4)) => {
                f.write_str("reject with icmp net-unreachable")
            }
            (Reject::NoRoute, Some(Network::Ip6)) => f.write_str("reject with icmpv6 no-route"),
            (Reject::AdminProhibited, Some(Network::Ip4)) => {
                f.write_str("reject with icmp admin-prohibited")
            }
            (Reject::AdminProhibited, Some(Network::Ip6)) => {
                f.write_str("reject with icmpv6 admin-prohibited")
            }
            _ => Statement::fmt(self, f),
        }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reject {
            Reject::PortUnreachable if self.for_both => {
                f.write_str("reject with icmpx port-unreachable")
            }
            reject => write!(f, "{reject}"),
        }
    }
}

/// Formats the reject as `nft` does.
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
