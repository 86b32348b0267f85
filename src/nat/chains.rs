//! The base chains of type nat.

use crate::wire::nft::chain::{Chain, ChainKind};
use crate::wire::nft::hook::{ChainHook, Hook, Priority};
use crate::wire::nft::message::Family;

/// A chain of type nat, named after its hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum NatChain {
    /// Destination NAT of incoming packets.
    Prerouting,
    /// Destination NAT of packets that this namespace sends.
    Output,
    /// Source NAT of outgoing packets.
    Postrouting,
}

impl NatChain {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }

    /// Returns the message that creates the chain in a table.
    pub(super) fn in_table(self, table: &str, family: Family) -> Chain {
        let (point, priority) = match self {
            Self::Prerouting => (Hook::Prerouting, Priority::DESTINATION_NAT),
            Self::Output => (Hook::Output, Priority::DESTINATION_NAT),
            Self::Postrouting => (Hook::Postrouting, Priority::SOURCE_NAT),
        };
        Chain {
            kind: Some(ChainKind::Nat),
            hook: ChainHook::new(family, point, priority),
            ..Chain::by_name(table, self.name())
        }
    }
}
