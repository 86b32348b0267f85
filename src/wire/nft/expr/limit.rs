//! `limit`: goes on while there are no more packets or bytes than a rate allows. As a named object too.
//!
//! ```text
//! NFTA_LIMIT_RATE   1  be64
//! NFTA_LIMIT_UNIT   2  be64   seconds
//! NFTA_LIMIT_BURST  3  be32
//! NFTA_LIMIT_TYPE   4  be32   packets 0, bytes 1
//! NFTA_LIMIT_FLAGS  5  be32   inverted 1
//! NFTA_LIMIT_PAD    6  padding
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_limit_attributes`.

use bitflags::bitflags;

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields, flags_field, wire_enum};

const NFTA_LIMIT_RATE: u16 = 1;
const NFTA_LIMIT_UNIT: u16 = 2;
const NFTA_LIMIT_BURST: u16 = 3;
const NFTA_LIMIT_TYPE: u16 = 4;
const NFTA_LIMIT_FLAGS: u16 = 5;
const NFTA_LIMIT_PAD: u16 = 6;

wire_enum! {
    #[doc(alias = "nft_limit_type")]
    LimitType: u32 {
        Packets = 0,
        Bytes = 1,
    }
}

bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[doc(alias = "nft_limit_flags")]
    pub(crate) struct LimitFlags: u32 {
        /// Goes on once there *are* more.
        const INVERTED = 1;
    }
}
flags_field!(LimitFlags: u32);

/// So many packets or bytes each so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) rate: u64,
    pub(crate) seconds: u64,
    pub(crate) burst: u32,
    pub(crate) kind: LimitType,
    pub(crate) flags: LimitFlags,
}

impl Default for Limit {
    fn default() -> Self {
        let (kind, flags) = (LimitType::Packets, LimitFlags::empty());
        Self { rate: 0, seconds: 1, burst: 0, kind, flags }
    }
}

impl Codec for Limit {
    fn encode(&self, out: &mut Writer<'_>) {
        out.field(NFTA_LIMIT_RATE, &self.rate);
        out.field(NFTA_LIMIT_UNIT, &self.seconds);
        out.field(NFTA_LIMIT_BURST, &self.burst);
        out.field(NFTA_LIMIT_TYPE, &self.kind);
        out.field(NFTA_LIMIT_FLAGS, &self.flags);
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_LIMIT_PAD)?;
        Some(Self {
            rate: fields.required(NFTA_LIMIT_RATE)?,
            seconds: fields.required(NFTA_LIMIT_UNIT)?,
            burst: fields.or_default(NFTA_LIMIT_BURST)?,
            kind: fields.optional(NFTA_LIMIT_TYPE)?.unwrap_or(LimitType::Packets),
            flags: fields.or_default(NFTA_LIMIT_FLAGS)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c limit rate 10/second'
        expression(
            Limit { rate: 10, burst: 5, ..Limit::default() },
            "44000180 0a000100 6c696d69 74000000 34000280 0c000100 00000000 0000000a
             0c000200 00000000 00000001 08000300 00000005 08000400 00000000 08000500 00000000",
        );
        // The same with: limit rate over 1 mbytes/minute burst 5 kbytes
        expression(
            Limit {
                rate: 1 << 20,
                seconds: 60,
                burst: 5 << 10,
                kind: LimitType::Bytes,
                flags: LimitFlags::INVERTED,
            },
            "44000180 0a000100 6c696d69 74000000 34000280 0c000100 00000000 00100000
             0c000200 00000000 0000003c 08000300 00001400 08000400 00000001 08000500 00000001",
        );
    }
}
