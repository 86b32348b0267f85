//! `exthdr`: an IPv6 extension header, or an option of TCP or IPv4, into a register; or a TCP option
//! from one.
//!
//! ```text
//! NFTA_EXTHDR_DREG    1  be32
//! NFTA_EXTHDR_TYPE    2  u8     of the header or option: TCP MSS 2
//! NFTA_EXTHDR_OFFSET  3  be32   in it
//! NFTA_EXTHDR_LEN     4  be32
//! NFTA_EXTHDR_FLAGS   5  be32   only whether it is there 1
//! NFTA_EXTHDR_OP      6  be32   IPv6 0, TCP option 1, IPv4 option 2, SCTP chunk 3, DCCP option 4
//! NFTA_EXTHDR_SREG    7  be32   to write
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_exthdr_attributes`.

use bitflags::bitflags;

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields, flags_field, wire_enum};
use crate::wire::nft::register::Register;

const NFTA_EXTHDR_DREG: u16 = 1;
const NFTA_EXTHDR_TYPE: u16 = 2;
const NFTA_EXTHDR_OFFSET: u16 = 3;
const NFTA_EXTHDR_LEN: u16 = 4;
const NFTA_EXTHDR_FLAGS: u16 = 5;
const NFTA_EXTHDR_OP: u16 = 6;
const NFTA_EXTHDR_SREG: u16 = 7;

wire_enum! {
    #[doc(alias = "nft_exthdr_op")]
    ExthdrOp: u32 {
        Ipv6Header = 0,
        TcpOption = 1,
        Ipv4Option = 2,
        SctpChunk = 3,
        DccpOption = 4,
    }
}

bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[doc(alias = "nft_exthdr_flags")]
    pub(crate) struct ExthdrFlags: u32 {
        const PRESENT = 1;
    }
}
flags_field!(ExthdrFlags: u32);

/// Which bytes of which header or option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExthdrSpan {
    pub(crate) op: ExthdrOp,
    pub(crate) kind: u8,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

impl ExthdrSpan {
    /// The TCP option that tells the largest segment.
    pub(crate) const TCP_MSS: Self = Self { op: ExthdrOp::TcpOption, kind: 2, offset: 2, len: 2 };

    fn encode(self, out: &mut Writer<'_>) {
        out.field(NFTA_EXTHDR_TYPE, &self.kind);
        out.field(NFTA_EXTHDR_OFFSET, &self.offset);
        out.field(NFTA_EXTHDR_LEN, &self.len);
        out.field(NFTA_EXTHDR_OP, &self.op);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exthdr {
    Load {
        dreg: Register,
        span: ExthdrSpan,
        flags: ExthdrFlags,
    },
    Write {
        sreg: Register,
        span: ExthdrSpan,
    },
    /// Overwrites the option with padding.
    Strip {
        op: ExthdrOp,
        kind: u8,
    },
}

impl Codec for Exthdr {
    fn encode(&self, out: &mut Writer<'_>) {
        match self {
            Self::Load { dreg, span, flags } => {
                out.field(NFTA_EXTHDR_DREG, dreg);
                span.encode(out);
                out.field(NFTA_EXTHDR_FLAGS, flags);
            }
            Self::Write { sreg, span } => {
                out.field(NFTA_EXTHDR_SREG, sreg);
                span.encode(out);
            }
            Self::Strip { op, kind } => {
                out.field(NFTA_EXTHDR_TYPE, kind);
                out.field(NFTA_EXTHDR_OP, op);
            }
        }
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_EXTHDR_SREG)?;
        let flags: ExthdrFlags = fields.or_default(NFTA_EXTHDR_FLAGS)?;
        let span = ExthdrSpan {
            op: fields.optional(NFTA_EXTHDR_OP)?.unwrap_or(ExthdrOp::Ipv6Header),
            kind: fields.required(NFTA_EXTHDR_TYPE)?,
            offset: fields.or_default(NFTA_EXTHDR_OFFSET)?,
            len: fields.or_default(NFTA_EXTHDR_LEN)?,
        };
        match (fields.optional(NFTA_EXTHDR_DREG)?, fields.optional(NFTA_EXTHDR_SREG)?) {
            (Some(dreg), None) => Some(Self::Load { dreg, span, flags }),
            (None, Some(sreg)) if flags.is_empty() => Some(Self::Write { sreg, span }),
            (None, None) if flags.is_empty() && (span.offset, span.len) == (0, 0) => {
                Some(Self::Strip { op: span.op, kind: span.kind })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::{also_means, expression};

    #[test]
    fn loads_as_nft_sends_them() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c tcp option maxseg size 1400'
        expression(
            Exthdr::Load { dreg: R1, span: ExthdrSpan::TCP_MSS, flags: ExthdrFlags::empty() },
            "44000180 0b000100 65787468 64720000 34000280 08000100 00000001 05000200 02000000
             08000300 00000002 08000400 00000002 08000600 00000001 08000500 00000000",
        );
        // tools/nft-bytes 'add table ip6 t' 'add chain ip6 t c' 'add rule ip6 t c exthdr frag exists'
        let span = ExthdrSpan { op: ExthdrOp::Ipv6Header, kind: 44, offset: 0, len: 1 };
        expression(
            Exthdr::Load { dreg: R1, span, flags: ExthdrFlags::PRESENT },
            "44000180 0b000100 65787468 64720000 34000280 08000100 00000001 05000200 2c000000
             08000300 00000000 08000400 00000001 08000600 00000000 08000500 00000001",
        );
    }

    #[test]
    fn writes_as_nft_sends_them() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c tcp option maxseg size set 1400'
        expression(
            Exthdr::Write { sreg: R1, span: ExthdrSpan::TCP_MSS },
            "3c000180 0b000100 65787468 64720000 2c000280 08000700 00000001 05000200 02000000
             08000300 00000002 08000400 00000002 08000600 00000001",
        );
        // The same with: reset tcp option sack-permitted
        let strip = Exthdr::Strip { op: ExthdrOp::TcpOption, kind: 4 };
        expression(
            strip,
            "24000180 0b000100 65787468 64720000 14000280 05000200 04000000 08000600 00000001",
        );
        // As the kernel lists it.
        also_means(
            "3c000180 0b000100 65787468 64720000 2c000280 05000200 04000000 08000300 00000000
             08000400 00000000 08000500 00000000 08000600 00000001",
            strip,
        );
    }
}
