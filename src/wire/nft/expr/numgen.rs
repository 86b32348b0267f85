//! `numgen`: loads an incremental or random number.
//!
//! ```text
//! NFTA_NG_DREG     1  be32
//! NFTA_NG_MODULUS  2  be32
//! NFTA_NG_TYPE     3  be32   incremental 0, random 1
//! NFTA_NG_OFFSET   4  be32   added to each
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_ng_attributes`.

use super::prelude::*;

wire_enum! {
    #[doc(alias = "nft_ng_types")]
    NumgenType: u32 {
        Incremental = 0,
        Random = 1,
    }
}

attribute_table! {
    #[derive(Copy)]
    strict struct Numgen {
        dreg: Register = 1,
        modulus: u32 = 2,
        kind: NumgenType = 3,
        offset: u32 = 4 or_default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c numgen inc mod 2 0'
        expression(
            Numgen { dreg: R1, kind: NumgenType::Incremental, modulus: 2, offset: 0 },
            "34000180 0b000100 6e756d67 656e0000 24000280
             08000100 00000001 08000200 00000002 08000300 00000000 08000400 00000000",
        );
        // The same with: meta mark set numgen random mod 10 offset 100
        expression(
            Numgen { dreg: R1, kind: NumgenType::Random, modulus: 10, offset: 100 },
            "34000180 0b000100 6e756d67 656e0000 24000280
             08000100 00000001 08000200 0000000a 08000300 00000001 08000400 00000064",
        );
    }
}
