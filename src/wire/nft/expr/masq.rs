//! `masq`: rewrites the source to the address of the outgoing interface.
//!
//! ```text
//! NFTA_MASQ_FLAGS          1  be32   see nat.rs
//! NFTA_MASQ_REG_PROTO_MIN  2  be32   register of the first port
//! NFTA_MASQ_REG_PROTO_MAX  3  be32   register of the last port
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_masq_attributes`.

use super::nat::NatFlags;
use super::prelude::*;

attribute_table! {
    #[derive(Copy, Default)]
    strict struct Masq {
        flags: NatFlags = 1 unless_default,
        port_min: Option<Register> = 2,
        port_max: Option<Register> = 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::{R1, R2};
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c masquerade'
        expression(Masq::default(), "14000180 09000100 6d617371 00000000 04000280");
        // The same with: masquerade random,persistent
        let flags = NatFlags::RANDOM | NatFlags::PERSISTENT;
        expression(
            Masq { flags, ..Masq::default() },
            "1c000180 09000100 6d617371 00000000 0c000280 08000100 0000000c",
        );
        // The same with: meta l4proto tcp masquerade to :1000-2000 fully-random
        expression(
            Masq {
                flags: NatFlags::PORT_SPECIFIED | NatFlags::FULLY_RANDOM,
                port_min: Some(R1),
                port_max: Some(R2),
            },
            "2c000180 09000100 6d617371 00000000 1c000280
             08000100 00000012 08000200 00000001 08000300 00000002",
        );
    }
}
