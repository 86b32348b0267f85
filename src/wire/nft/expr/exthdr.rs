//! `exthdr`: loads from an IPv6 extension header or from a TCP or IPv4 option, or writes a TCP
//! option.
//!
//! ```text
//! NFTA_EXTHDR_DREG    1  be32
//! NFTA_EXTHDR_TYPE    2  u8     of the header or option: TCP MSS 2
//! NFTA_EXTHDR_OFFSET  3  be32   in the header or option
//! NFTA_EXTHDR_LEN     4  be32
//! NFTA_EXTHDR_FLAGS   5  be32   load only whether it is present 1
//! NFTA_EXTHDR_OP      6  be32   IPv6 0, TCP option 1, IPv4 option 2, SCTP chunk 3, DCCP option 4
//! NFTA_EXTHDR_SREG    7  be32   to write
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_exthdr_attributes`.

use super::prelude::*;

wire_enum! {
    #[doc(alias = "nft_exthdr_op")]
    #[derive(Default)]
    ExthdrOp: u32 {
        #[default]
        Ipv6Header = 0,
        TcpOption = 1,
        Ipv4Option = 2,
        SctpChunk = 3,
        DccpOption = 4,
    }
}

attribute_table! {
    /// The position of bytes in a header or option.
    #[derive(Copy)]
    strict struct ExthdrSpan {
        kind: u8 = 2,
        offset: u32 = 3 or_default,
        len: u32 = 4 or_default,
        op: ExthdrOp = 6 or_default,
    }
}

impl ExthdrSpan {
    /// The position of the maximum segment size in the TCP option MSS.
    pub(crate) const TCP_MSS: Self = Self { op: ExthdrOp::TcpOption, kind: 2, offset: 2, len: 2 };
}

attribute_table! {
    #[derive(Copy)]
    enum Exthdr {
        /// Overwrites the option with padding. The kernel lists `offset` and `len` as 0; `nft` does
        /// not send them.
        Strip {
            kind: u8 = 2,
            offset: u32 = 3 unless_default,
            len: u32 = 4 unless_default,
            op: ExthdrOp = 6 or_default,
            present: bool = 5 unless_default,
        },
        Load {
            dreg: Register = 1,
            span: ExthdrSpan = inline,
            present: bool = 5 or_default,
        },
        Write {
            sreg: Register = 7,
            span: ExthdrSpan = inline,
            present: bool = 5 unless_default,
        },
    }
}

impl Exthdr {
    pub(crate) fn write(sreg: Register, span: ExthdrSpan) -> Self {
        Self::Write { sreg, span, present: false }
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
            Exthdr::Load { dreg: R1, span: ExthdrSpan::TCP_MSS, present: false },
            "44000180 0b000100 65787468 64720000 34000280 08000100 00000001 05000200 02000000
             08000300 00000002 08000400 00000002 08000600 00000001 08000500 00000000",
        );
        // tools/nft-bytes 'add table ip6 t' 'add chain ip6 t c' 'add rule ip6 t c exthdr frag exists'
        let span = ExthdrSpan { op: ExthdrOp::Ipv6Header, kind: 44, offset: 0, len: 1 };
        expression(
            Exthdr::Load { dreg: R1, span, present: true },
            "44000180 0b000100 65787468 64720000 34000280 08000100 00000001 05000200 2c000000
             08000300 00000000 08000400 00000001 08000600 00000000 08000500 00000001",
        );
    }

    #[test]
    fn writes_as_nft_sends_them() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c tcp option maxseg size set 1400'
        expression(
            Exthdr::write(R1, ExthdrSpan::TCP_MSS),
            "3c000180 0b000100 65787468 64720000 2c000280 08000700 00000001 05000200 02000000
             08000300 00000002 08000400 00000002 08000600 00000001",
        );
        // The same with: reset tcp option sack-permitted
        let strip =
            Exthdr::Strip { kind: 4, offset: 0, len: 0, op: ExthdrOp::TcpOption, present: false };
        expression(
            strip,
            "24000180 0b000100 65787468 64720000 14000280 05000200 04000000 08000600 00000001",
        );
        // The same, as the kernel lists it.
        also_means(
            "3c000180 0b000100 65787468 64720000 2c000280 05000200 04000000 08000300 00000000
             08000400 00000000 08000500 00000000 08000600 00000001",
            strip,
        );
    }
}
