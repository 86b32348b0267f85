//! `range`: matches if a register is inside or outside a range.
//!
//! ```text
//! NFTA_RANGE_SREG       1  be32
//! NFTA_RANGE_OP         2  be32   inside 0, outside 1
//! NFTA_RANGE_FROM_DATA  3  data
//! NFTA_RANGE_TO_DATA    4  data
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_range_attributes`.

use super::prelude::*;

attribute_table! {
    #[derive(Copy)]
    strict struct Range {
        sreg: Register = 1,
        /// Matches outside the range instead of inside.
        inverted: bool = 2,
        from: Value = 3,
        to: Value = 4,
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
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c ip saddr != 10.0.0.1-10.0.0.9'
        let from = Ipv4Addr::new(10, 0, 0, 1).into();
        let to = Ipv4Addr::new(10, 0, 0, 9).into();
        expression(
            Range { sreg: R1, inverted: true, from, to },
            "3c000180 0a000100 72616e67 65000000 2c000280 08000100 00000001 08000200 00000001
             0c000380 08000100 0a000001 0c000480 08000100 0a000009",
        );
    }
}
