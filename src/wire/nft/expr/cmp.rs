//! `cmp`: compares a register with a value, and ends the rule if the comparison fails.
//!
//! ```text
//! NFTA_CMP_SREG  1  be32
//! NFTA_CMP_OP    2  be32
//! NFTA_CMP_DATA  3  data   compared with as many bytes of the register
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_cmp_attributes`.

use super::prelude::*;

wire_enum! {
    /// A bytewise comparison. For greater and less, values must be big-endian.
    #[doc(alias = "nft_cmp_ops")]
    Comparison: u32 {
        Equal = 0,
        NotEqual = 1,
        Less = 2,
        LessOrEqual = 3,
        Greater = 4,
        GreaterOrEqual = 5,
    }
}

attribute_table! {
    #[derive(Copy)]
    strict struct Cmp {
        sreg: Register = 1,
        op: Comparison = 2,
        data: Value = 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::expression;
    use std::net::Ipv4Addr;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c ip saddr 10.0.0.1'
        let address = Ipv4Addr::new(10, 0, 0, 1).into();
        expression(
            Cmp { sreg: R1, op: Comparison::Equal, data: address },
            "2c000180 08000100 636d7000 20000280
             08000100 00000001 08000200 00000000 0c000380 08000100 0a000001",
        );
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c meta length > 100'
        expression(
            Cmp { sreg: R1, op: Comparison::Greater, data: 100_u32.into() },
            "2c000180 08000100 636d7000 20000280
             08000100 00000001 08000200 00000004 0c000380 08000100 00000064",
        );
    }
}
