//! `redir`: rewrites the destination to the address of the incoming interface.
//!
//! ```text
//! NFTA_REDIR_REG_PROTO_MIN  1  be32   register of the first port
//! NFTA_REDIR_REG_PROTO_MAX  2  be32   register of the last port
//! NFTA_REDIR_FLAGS          3  be32   see nat.rs
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_redir_attributes`.

use super::nat::NatFlags;
use super::prelude::*;

attribute_table! {
    #[derive(Copy, Default)]
    strict struct Redir {
        port_min: Option<Register> = 1,
        port_max: Option<Register> = 2,
        flags: NatFlags = 3 unless_default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c ip protocol tcp redirect'
        expression(Redir::default(), "14000180 0a000100 72656469 72000000 04000280");
        // The same with: ip protocol tcp redirect to :8080
        expression(
            Redir { port_min: Some(R1), port_max: None, flags: NatFlags::PORT_SPECIFIED },
            "24000180 0a000100 72656469 72000000 14000280 08000100 00000001 08000300 00000002",
        );
    }
}
