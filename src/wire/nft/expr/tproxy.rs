//! `tproxy`: delivers the packet, unchanged, to a local socket.
//!
//! ```text
//! NFTA_TPROXY_FAMILY    1  be32   ip, ip6, or unspecified for both
//! NFTA_TPROXY_REG_ADDR  2  be32   register of the address
//! NFTA_TPROXY_REG_PORT  3  be32   register of the port
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_tproxy_attributes`.

use super::prelude::*;

attribute_table! {
    #[derive(Copy)]
    strict struct Tproxy {
        /// The number of a [`Family`](crate::wire::nft::message::Family), or 0 for both.
        family: u32 = 1,
        address: Option<Register> = 2,
        port: Option<Register> = 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::message::Family;
    use crate::wire::nft::register::Register::{R1, R2};
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c tcp dport 1 tproxy to 127.0.0.1:50080'
        expression(
            Tproxy { family: Family::Ip as u32, address: Some(R1), port: Some(R2) },
            "2c000180 0b000100 7470726f 78790000 1c000280
             08000100 00000002 08000200 00000001 08000300 00000002",
        );
        // tools/nft-bytes 'add table inet t' 'add chain inet t c' \
        //   'add rule inet t c tcp dport 1 tproxy to :50080'
        expression(
            Tproxy { family: 0, address: None, port: Some(R1) },
            "24000180 0b000100 7470726f 78790000 14000280 08000100 00000000 08000300 00000001",
        );
    }
}
