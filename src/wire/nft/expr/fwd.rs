//! `fwd`: sends the packet out of another interface, bypassing the network stack.
//!
//! ```text
//! NFTA_FWD_SREG_DEV   1  be32   register of the interface index
//! NFTA_FWD_SREG_ADDR  2  be32   register of the neighbour's address
//! NFTA_FWD_NFPROTO    3  be32   ip or ip6, of that address
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_fwd_attributes`.

use super::prelude::*;
use crate::wire::nft::message::Family;

attribute_table! {
    #[derive(Copy)]
    strict struct Fwd {
        device: Register = 1,
        address: Option<Register> = 2,
        family: Option<Family> = 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::{R1, R2};
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table netdev t' 'add chain netdev t c' 'add rule netdev t c fwd to lo'
        expression(
            Fwd { device: R1, address: None, family: None },
            "18000180 08000100 66776400 0c000280 08000100 00000001",
        );
        // The same with: fwd ip to 10.0.0.1 device lo
        expression(
            Fwd { device: R1, address: Some(R2), family: Some(Family::Ip) },
            "28000180 08000100 66776400 1c000280
             08000100 00000001 08000200 00000002 08000300 00000002",
        );
    }
}
