//! `byteorder`: converts between host and network byte order.
//!
//! ```text
//! NFTA_BYTEORDER_SREG  1  be32
//! NFTA_BYTEORDER_DREG  2  be32
//! NFTA_BYTEORDER_OP    3  be32   to the machine's order 0, to the network's 1
//! NFTA_BYTEORDER_LEN   4  be32   of all, in bytes
//! NFTA_BYTEORDER_SIZE  5  be32   of one number, in bytes: 2, 4 or 8
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_byteorder_attributes`.

use super::prelude::*;

attribute_table! {
    #[derive(Copy)]
    strict struct Byteorder {
        sreg: Register = 1,
        dreg: Register = 2,
        to_network: bool = 3,
        len: u32 = 4,
        size: u32 = 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c meta length 10-20'
        expression(
            Byteorder { sreg: R1, dreg: R1, to_network: true, len: 4, size: 4 },
            "40000180 0e000100 62797465 6f726465 72000000 2c000280 08000100 00000001
             08000200 00000001 08000300 00000001 08000400 00000004 08000500 00000004",
        );
    }
}
