//! `queue`: hands the packet to a program, which gives the verdict.
//!
//! ```text
//! NFTA_QUEUE_NUM        1  be16   the first queue
//! NFTA_QUEUE_TOTAL      2  be16   how many there are
//! NFTA_QUEUE_FLAGS      3  be16   bypass 1, one for each CPU 2
//! NFTA_QUEUE_SREG_QNUM  4  be32   register with the number, instead of the first two
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_queue_attributes`.

use bitflags::bitflags;

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields, flags_field};
use crate::wire::nft::register::Register;

const NFTA_QUEUE_NUM: u16 = 1;
const NFTA_QUEUE_TOTAL: u16 = 2;
const NFTA_QUEUE_FLAGS: u16 = 3;
const NFTA_QUEUE_SREG_QNUM: u16 = 4;

bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[doc(alias = "NFT_QUEUE_FLAG_BYPASS")]
    pub(crate) struct QueueFlags: u16 {
        /// Accepts the packet when no program listens.
        const BYPASS = 1;
        /// By CPU, not by flow.
        const CPU_FANOUT = 2;
    }
}
flags_field!(QueueFlags: u16);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) to: QueueTo,
    pub(crate) flags: QueueFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueTo {
    Numbers { first: u16, total: u16 },
    Register(Register),
}

impl Codec for Queue {
    fn encode(&self, out: &mut Writer<'_>) {
        if let QueueTo::Numbers { first, total } = self.to {
            out.field(NFTA_QUEUE_NUM, &first);
            out.field(NFTA_QUEUE_TOTAL, &total);
        }
        if !self.flags.is_empty() {
            out.field(NFTA_QUEUE_FLAGS, &self.flags);
        }
        if let QueueTo::Register(sreg) = self.to {
            out.field(NFTA_QUEUE_SREG_QNUM, &sreg);
        }
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_QUEUE_SREG_QNUM)?;
        let first = fields.optional(NFTA_QUEUE_NUM)?;
        let total = fields.optional(NFTA_QUEUE_TOTAL)?;
        let to = match (first, total, fields.optional(NFTA_QUEUE_SREG_QNUM)?) {
            (Some(first), total, None) => QueueTo::Numbers { first, total: total.unwrap_or(1) },
            (None, None, Some(sreg)) => QueueTo::Register(sreg),
            _ => return None,
        };
        Some(Self { to, flags: fields.or_default(NFTA_QUEUE_FLAGS)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c queue'
        expression(
            Queue { to: QueueTo::Numbers { first: 0, total: 1 }, flags: QueueFlags::empty() },
            "24000180 0a000100 71756575 65000000 14000280 06000100 00000000 06000200 00010000",
        );
        // The same with: queue flags fanout,bypass to 1-4
        expression(
            Queue { to: QueueTo::Numbers { first: 1, total: 4 }, flags: QueueFlags::all() },
            "2c000180 0a000100 71756575 65000000 1c000280
             06000100 00010000 06000200 00040000 06000300 00030000",
        );
        // The same with: queue to numgen inc mod 4
        expression(
            Queue { to: QueueTo::Register(R1), flags: QueueFlags::empty() },
            "1c000180 0a000100 71756575 65000000 0c000280 08000400 00000001",
        );
    }
}
