//! `payload`: bytes of the packet into a register, or from a register into the packet.
//!
//! ```text
//! NFTA_PAYLOAD_DREG         1  be32
//! NFTA_PAYLOAD_BASE         2  be32
//! NFTA_PAYLOAD_OFFSET       3  be32
//! NFTA_PAYLOAD_LEN          4  be32
//! NFTA_PAYLOAD_SREG         5  be32   to write
//! NFTA_PAYLOAD_CSUM_TYPE    6  be32   to write: none 0, inet 1, SCTP 2
//! NFTA_PAYLOAD_CSUM_OFFSET  7  be32   to write: of the checksum to correct
//! NFTA_PAYLOAD_CSUM_FLAGS   8  be32   to write: pseudo header 1
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_payload_attributes`.

use bitflags::bitflags;

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields, flags_field, wire_enum};
use crate::wire::nft::register::Register;

const NFTA_PAYLOAD_DREG: u16 = 1;
const NFTA_PAYLOAD_BASE: u16 = 2;
const NFTA_PAYLOAD_OFFSET: u16 = 3;
const NFTA_PAYLOAD_LEN: u16 = 4;
const NFTA_PAYLOAD_SREG: u16 = 5;
const NFTA_PAYLOAD_CSUM_TYPE: u16 = 6;
const NFTA_PAYLOAD_CSUM_OFFSET: u16 = 7;
const NFTA_PAYLOAD_CSUM_FLAGS: u16 = 8;

wire_enum! {
    /// Where the offset counts from.
    #[doc(alias = "nft_payload_bases")]
    PayloadBase: u32 {
        LinkLayer = 0,
        Network = 1,
        Transport = 2,
        Inner = 3,
        Tunnel = 4,
    }
}

wire_enum! {
    #[doc(alias = "nft_payload_csum_types")]
    ChecksumType: u32 {
        None = 0,
        Internet = 1,
        Sctp = 2,
    }
}

bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[doc(alias = "nft_payload_csum_flags")]
    pub(crate) struct ChecksumFlags: u32 {
        /// The checksum of the layer above covers these bytes too.
        const PSEUDO_HEADER = 1;
    }
}
flags_field!(ChecksumFlags: u32);

/// Which bytes of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) base: PayloadBase,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    Load {
        dreg: Register,
        span: Span,
    },
    Write {
        sreg: Register,
        span: Span,
        checksum: ChecksumType,
        checksum_offset: u32,
        checksum_flags: ChecksumFlags,
    },
}

impl Payload {
    pub(crate) fn load(dreg: Register, base: PayloadBase, offset: u32, len: u32) -> Self {
        Self::Load { dreg, span: Span { base, offset, len } }
    }
}

impl Span {
    fn encode(self, out: &mut Writer<'_>) {
        out.field(NFTA_PAYLOAD_BASE, &self.base);
        out.field(NFTA_PAYLOAD_OFFSET, &self.offset);
        out.field(NFTA_PAYLOAD_LEN, &self.len);
    }
}

impl Codec for Payload {
    fn encode(&self, out: &mut Writer<'_>) {
        match self {
            Self::Load { dreg, span } => {
                out.field(NFTA_PAYLOAD_DREG, dreg);
                span.encode(out);
            }
            Self::Write { sreg, span, checksum, checksum_offset, checksum_flags } => {
                out.field(NFTA_PAYLOAD_SREG, sreg);
                span.encode(out);
                out.field(NFTA_PAYLOAD_CSUM_TYPE, checksum);
                out.field(NFTA_PAYLOAD_CSUM_OFFSET, checksum_offset);
                if !checksum_flags.is_empty() {
                    out.field(NFTA_PAYLOAD_CSUM_FLAGS, checksum_flags);
                }
            }
        }
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_PAYLOAD_CSUM_FLAGS)?;
        let span = Span {
            base: fields.required(NFTA_PAYLOAD_BASE)?,
            offset: fields.required(NFTA_PAYLOAD_OFFSET)?,
            len: fields.required(NFTA_PAYLOAD_LEN)?,
        };
        match (fields.optional(NFTA_PAYLOAD_DREG)?, fields.optional(NFTA_PAYLOAD_SREG)?) {
            (Some(dreg), None) => {
                Fields::up_to(attributes, NFTA_PAYLOAD_LEN)?;
                Some(Self::Load { dreg, span })
            }
            (None, Some(sreg)) => Some(Self::Write {
                sreg,
                span,
                checksum: fields.optional(NFTA_PAYLOAD_CSUM_TYPE)?.unwrap_or(ChecksumType::None),
                checksum_offset: fields.or_default(NFTA_PAYLOAD_CSUM_OFFSET)?,
                checksum_flags: fields.or_default(NFTA_PAYLOAD_CSUM_FLAGS)?,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c ip saddr 10.0.0.1'
        expression(
            Payload::load(R1, PayloadBase::Network, 12, 4),
            "34000180 0c000100 7061796c 6f616400 24000280
             08000100 00000001 08000200 00000001 08000300 0000000c 08000400 00000004",
        );
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c tcp dport set 81'
        expression(
            Payload::Write {
                sreg: R1,
                span: Span { base: PayloadBase::Transport, offset: 2, len: 2 },
                checksum: ChecksumType::Internet,
                checksum_offset: 16,
                checksum_flags: ChecksumFlags::empty(),
            },
            "44000180 0c000100 7061796c 6f616400 34000280
             08000500 00000001 08000200 00000002 08000300 00000002 08000400 00000002
             08000600 00000001 08000700 00000010",
        );
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c ip saddr set 10.0.0.1'
        expression(
            Payload::Write {
                sreg: R1,
                span: Span { base: PayloadBase::Network, offset: 12, len: 4 },
                checksum: ChecksumType::Internet,
                checksum_offset: 10,
                checksum_flags: ChecksumFlags::PSEUDO_HEADER,
            },
            "4c000180 0c000100 7061796c 6f616400 3c000280
             08000500 00000001 08000200 00000001 08000300 0000000c 08000400 00000004
             08000600 00000001 08000700 0000000a 08000800 00000001",
        );
    }
}
