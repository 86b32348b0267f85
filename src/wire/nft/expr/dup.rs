//! `dup`: sends a copy of the packet to another host or interface.
//!
//! ```text
//! NFTA_DUP_SREG_ADDR  1  be32   register of the address; not in netdev tables
//! NFTA_DUP_SREG_DEV   2  be32   register of the interface index
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_dup_attributes`.

use super::prelude::*;

attribute_table! {
    #[derive(Copy, Default)]
    strict struct Dup {
        address: Option<Register> = 1,
        device: Option<Register> = 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::{R1, R2};
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c dup to 10.0.0.1 device lo'
        expression(
            Dup { address: Some(R1), device: Some(R2) },
            "20000180 08000100 64757000 14000280 08000100 00000001 08000200 00000002",
        );
        // tools/nft-bytes 'add table netdev t' 'add chain netdev t c' 'add rule netdev t c dup to lo'
        expression(
            Dup { address: None, device: Some(R1) },
            "18000180 08000100 64757000 0c000280 08000200 00000001",
        );
    }
}
