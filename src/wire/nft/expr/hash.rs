//! `hash`: loads a hash of registers (Jenkins) or of the packet's flow (symmetric).
//!
//! ```text
//! NFTA_HASH_SREG     1  be32   of Jenkins' hash
//! NFTA_HASH_DREG     2  be32
//! NFTA_HASH_LEN      3  be32   of Jenkins' hash: bytes
//! NFTA_HASH_MODULUS  4  be32
//! NFTA_HASH_SEED     5  be32   of Jenkins' hash; the kernel chooses one when absent
//! NFTA_HASH_OFFSET   6  be32   added to each
//! NFTA_HASH_TYPE     7  be32   Jenkins 0, symmetric 1
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_hash_attributes`.

use super::prelude::*;

wire_enum! {
    #[doc(alias = "nft_hash_types")]
    #[derive(Default)]
    HashType: u32 {
        #[default]
        Jenkins = 0,
        /// A hash that is the same for both directions of a flow.
        Symmetric = 1,
    }
}

attribute_table! {
    #[derive(Copy)]
    strict struct Hash {
        sreg: Option<Register> = 1,
        dreg: Register = 2,
        len: Option<u32> = 3,
        modulus: u32 = 4,
        seed: Option<u32> = 5,
        offset: u32 = 6 or_default,
        kind: HashType = 7 or_default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::{R1, R2};
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c meta mark set
        //   jhash ip saddr . ip daddr mod 7 seed 0xdeadbeef offset 3'
        let both = Hash {
            sreg: Some(R2),
            dreg: R1,
            len: Some(8),
            modulus: 7,
            seed: Some(0xdead_beef),
            offset: 3,
            kind: HashType::Jenkins,
        };
        expression(
            both,
            "4c000180 09000100 68617368 00000000 3c000280 08000100 00000002 08000200 00000001
             08000300 00000008 08000400 00000007 08000500 deadbeef 08000600 00000003
             08000700 00000000",
        );
        // The same with: jhash ip saddr mod 7
        expression(
            Hash { len: Some(4), seed: None, offset: 0, ..both },
            "44000180 09000100 68617368 00000000 34000280 08000100 00000002 08000200 00000001
             08000300 00000004 08000400 00000007 08000600 00000000 08000700 00000000",
        );
        // The same with: symhash mod 2 offset 5
        let kind = HashType::Symmetric;
        expression(
            Hash { sreg: None, dreg: R1, len: None, modulus: 2, seed: None, offset: 5, kind },
            "34000180 09000100 68617368 00000000 24000280 08000200 00000001
             08000400 00000002 08000600 00000005 08000700 00000001",
        );
    }
}
