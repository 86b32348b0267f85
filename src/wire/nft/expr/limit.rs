//! `limit`: matches up to a rate of packets or bytes; also a named object.
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

use super::prelude::*;

wire_enum! {
    #[doc(alias = "nft_limit_type")]
    #[derive(Default)]
    LimitType: u32 {
        #[default]
        Packets = 0,
        Bytes = 1,
    }
}

attribute_table! {
    /// A rate: a number of packets or bytes per `seconds`.
    #[derive(Copy, Hash)]
    strict struct Limit {
        rate: u64 = 1,
        seconds: u64 = 2,
        burst: u32 = 3 or_default,
        kind: LimitType = 4 or_default,
        /// Matches above the limit instead of up to it.
        inverted: bool = 5 or_default,
    } padding 6
}

impl Limit {
    /// The burst that the kernel assumes if a limit of packets has burst 0.
    #[doc(alias = "NFT_LIMIT_PKT_BURST_DEFAULT")]
    pub(crate) const DEFAULT_BURST: u32 = 5;
}

impl Default for Limit {
    fn default() -> Self {
        Self { rate: 0, seconds: 1, burst: 0, kind: LimitType::Packets, inverted: false }
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
                inverted: true,
            },
            "44000180 0a000100 6c696d69 74000000 34000280 0c000100 00000000 00100000
             0c000200 00000000 0000003c 08000300 00001400 08000400 00000001 08000500 00000001",
        );
    }
}
