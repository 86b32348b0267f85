//! Values of fields as `nft` writes them: `established`, `tcp`, `0x0000002a`.

use std::fmt;

use super::datum::Datum;
use super::display::flags;
use super::types::{PROTOCOLS, Type};
use crate::wire::nft::data::Value;

/// The names of bits.
const STATES: [(&str, u32); 5] =
    [("invalid", 1), ("established", 2), ("related", 4), ("new", 8), ("untracked", 64)];
const STATUSES: [(&str, u32); 7] = [
    ("expected", 1),
    ("seen-reply", 2),
    ("assured", 4),
    ("confirmed", 8),
    ("snat", 16),
    ("dnat", 32),
    ("dying", 512),
];
const TCP_FLAGS: [(&str, u32); 8] = [
    ("fin", 1),
    ("syn", 2),
    ("rst", 4),
    ("psh", 8),
    ("ack", 16),
    ("urg", 32),
    ("ecn", 64),
    ("cwr", 128),
];

/// A value as `nft` writes it.
pub(crate) struct ShownValue(pub(crate) Type, pub(crate) Value);

impl ShownValue {
    /// The names of the bits of the type.
    fn names(&self) -> &'static [(&'static str, u32)] {
        match self.0 {
            Type::CtState => &STATES,
            Type::CtStatus => &STATUSES,
            Type::TcpFlags => &TCP_FLAGS,
            _ => &[],
        }
    }

    /// Returns whether all bits have names.
    pub(crate) fn are_names(&self) -> bool {
        let known: u32 = self.names().iter().map(|(_, bit)| bit).sum();
        matches!(self.0.decode(self.1.as_slice()), Datum::Number(bits) if bits != 0 && bits & !known == 0)
    }
}

impl fmt::Display for ShownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(kind, value) = self;
        let datum = kind.decode(value.as_slice());
        let Datum::Number(number) = datum else { return write!(f, "{datum}") };
        match kind {
            Type::CtState | Type::CtStatus | Type::TcpFlags => {}
            Type::Protocol => {
                return match PROTOCOLS.iter().find(|(_, one)| u32::from(*one) == number) {
                    Some((name, _)) => f.write_str(name),
                    None => write!(f, "{number}"),
                };
            }
            Type::Mark => return write!(f, "0x{number:08x}"),
            Type::NetfilterProtocol if number == 2 => return f.write_str("ipv4"),
            Type::NetfilterProtocol if number == 10 => return f.write_str("ipv6"),
            Type::EtherType => return write!(f, "0x{number:04x}"),
            _ => return write!(f, "{number}"),
        }
        if !self.are_names() {
            return write!(f, "0x{number:x}");
        }
        flags(f, "", self.names().iter().map(|(name, bit)| (number & bit != 0, *name)))
    }
}
