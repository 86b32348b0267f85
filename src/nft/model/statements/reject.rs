//! Rejects: `reject with tcp reset`.

use crate::nft::model::field::{Needs, TCP};
use crate::nft::model::prelude::*;
use crate::nft::model::statement::learn;
use crate::wire::nft::expr::reject as wire;
use crate::wire::nft::expr::reject::RejectType;

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

/// The names in `nft` of the ICMP codes, and their numbers: for `icmpx` (both protocols), IPv4 and
/// IPv6.
const CODES: [(Reject, [&str; 3], [u8; 3]); 4] = [
    (Reject::PortUnreachable, ["port-unreachable"; 3], [1, 3, 4]),
    (
        Reject::HostUnreachable,
        ["host-unreachable", "host-unreachable", "addr-unreachable"],
        [2, 1, 3],
    ),
    (Reject::NoRoute, ["no-route", "net-unreachable", "no-route"], [0; 3]),
    (Reject::AdminProhibited, ["admin-prohibited"; 3], [3, 13, 1]),
];

/// A reject statement, with the ICMP code for the packet's network protocol, or with the `icmpx`
/// code for both protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RejectStatement {
    reject: Reject,
    for_both: bool,
}

impl RejectStatement {
    /// Returns the type, the code and the name of the code. Uses the `icmpx` code if the network
    /// protocol is unknown. Returns `None` for a TCP reset.
    fn code(&self, network: Option<Network>) -> Option<(RejectType, u8, String)> {
        let (kind, protocol, at) = match network.filter(|_| !self.for_both) {
            Some(Network::Ip4) => (RejectType::Icmp, "icmp", 1),
            Some(Network::Ip6) => (RejectType::Icmp, "icmpv6", 2),
            _ => (RejectType::Icmpx, "icmpx", 0),
        };
        let (_, names, codes) = CODES.iter().find(|(reject, ..)| *reject == self.reject)?;
        Some((kind, codes[at], format!("{protocol} {}", names[at])))
    }

    fn to_wire(&self, network: Option<Network>) -> wire::Reject {
        match self.code(network) {
            Some((kind, code, _)) => wire::Reject { kind, code },
            None => wire::Reject { kind: RejectType::TcpReset, code: 0 },
        }
    }
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
        encoder.push(self.to_wire(encoder.context.network));
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let Expr::Reject(wire) = expr else { return None };
        let read = |for_both| {
            let errors = CODES.map(|(reject, ..)| reject).into_iter().chain([Reject::TcpReset]);
            let mut all = errors.map(|reject| Self { reject, for_both });
            all.find(|one| one.to_wire(reader.context.network) == *wire)
        };
        read(false).or_else(|| read(true))
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
        match self.code(context.network) {
            None if context.is_protocol(TCP) => f.write_str("reject with tcp reset"),
            None => f.write_str("meta l4proto tcp reject with tcp reset"),
            // This is `nft`'s default, which it writes without an argument.
            Some(_) if self.reject == Reject::PortUnreachable && !self.for_both => {
                f.write_str("reject")
            }
            Some((_, _, code)) => write!(f, "reject with {code}"),
        }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut context = Context::new(Family::Inet);
        learn(&mut context, self);
        self.fmt_in(context, f)
    }
}

/// Formats the reject as `nft` does.
impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Statement::fmt(&RejectStatement { reject: *self, for_both: false }, f)
    }
}
