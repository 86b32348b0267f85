//! Formats values of fields as `nft` does: `established`, `tcp`, `0x0000002a`.

use std::fmt;

use super::constant::Constant;
use super::display::flags;
use super::types::{PROTOCOLS, Type};
use crate::wire::nft::data::Value;

/// The names of the bits of a connection's state, the lowest bit first.
const STATES: &[&str] = &["invalid", "established", "related", "new", "", "", "untracked"];
const STATUSES: &[&str] =
    &["expected", "seen-reply", "assured", "confirmed", "snat", "dnat", "", "", "", "dying"];
const TCP_FLAGS: &[&str] = &["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];

/// A value that is formatted as `nft` does.
pub(crate) struct ShownValue(pub(crate) Type, pub(crate) Value);

impl ShownValue {
    /// Returns the named bits of the type.
    fn names(&self) -> impl Iterator<Item = (u32, &'static str)> {
        let names = match self.0 {
            Type::CtState => STATES,
            Type::CtStatus => STATUSES,
            Type::TcpFlags => TCP_FLAGS,
            _ => &[],
        };
        (0..).zip(names).map(|(at, name)| (1 << at, *name)).filter(|(_, name)| !name.is_empty())
    }

    /// Returns whether all set bits have names.
    pub(crate) fn are_names(&self) -> bool {
        let known: u32 = self.names().map(|(bit, _)| bit).sum();
        matches!(self.0.decode(self.1.as_slice()), Constant::Number(bits) if bits != 0 && bits & !known == 0)
    }
}

impl fmt::Display for ShownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(kind, value) = self;
        let constant = kind.decode(value.as_slice());
        let Constant::Number(number) = constant else { return write!(f, "{constant}") };
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
        flags(f, "", self.names().map(|(bit, name)| (number & bit != 0, name)))
    }
}
