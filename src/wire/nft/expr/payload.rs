//! `payload`: loads bytes of the packet, or overwrites them.
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

use super::prelude::*;

wire_enum! {
    /// The header that the offset is relative to.
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
    #[derive(Default)]
    ChecksumType: u32 {
        #[default]
        None = 0,
        Internet = 1,
        Sctp = 2,
    }
}

attribute_table! {
    /// The position of bytes in the packet.
    #[derive(Copy)]
    strict struct Span {
        base: PayloadBase = 2,
        offset: u32 = 3,
        len: u32 = 4,
    }
}

attribute_table! {
    #[derive(Copy)]
    enum Payload {
        Load { dreg: Register = 1, span: Span = inline },
        /// Overwrites bytes and corrects a checksum. `pseudo_header` also corrects the checksum of
        /// the transport protocol, if it covers these bytes.
        Write {
            sreg: Register = 5,
            span: Span = inline,
            checksum: ChecksumType = 6 or_default,
            checksum_offset: u32 = 7 or_default,
            pseudo_header: bool = 8 unless_default,
        },
    }
}

impl Payload {
    pub(crate) fn load(dreg: Register, base: PayloadBase, offset: u32, len: u32) -> Self {
        Self::Load { dreg, span: Span { base, offset, len } }
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
                pseudo_header: false,
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
                pseudo_header: true,
            },
            "4c000180 0c000100 7061796c 6f616400 3c000280
             08000500 00000001 08000200 00000001 08000300 0000000c 08000400 00000004
             08000600 00000001 08000700 0000000a 08000800 00000001",
        );
    }
}
