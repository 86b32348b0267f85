//! `immediate`: loads a value or a verdict.
//!
//! ```text
//! NFTA_IMMEDIATE_DREG  1  be32   the verdict register for a verdict
//! NFTA_IMMEDIATE_DATA  2  data
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_immediate_attributes`.

use super::prelude::*;
use crate::wire::nft::data::{Data, Value, Verdict};

attribute_table! {
    strict struct Immediate {
        dreg: Register = 1,
        data: Data = 2,
    }
}

impl Immediate {
    pub(crate) fn verdict(verdict: Verdict) -> Self {
        Self { dreg: Register::Verdict, data: Data::Verdict(verdict) }
    }

    pub(crate) fn value(dreg: Register, value: impl Into<Value>) -> Self {
        Self { dreg, data: Data::Value(value.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::expression;
    use std::net::Ipv6Addr;

    #[test]
    fn a_value_as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c tcp dport set 81'
        expression(
            Immediate::value(R1, 81_u16),
            "2c000180 0e000100 696d6d65 64696174 65000000 18000280
             08000100 00000001 0c000280 06000100 00510000",
        );
        // tools/nft-bytes 'add table inet t' 'add chain inet t c' \
        //   'add rule inet t c dnat ip6 to fd00::1'
        let address = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
        expression(
            Immediate::value(R1, address),
            "38000180 0e000100 696d6d65 64696174 65000000 24000280
             08000100 00000001 18000280 14000100 fd000000 00000000 00000000 00000001",
        );
    }

    #[test]
    fn a_verdict_as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c accept'
        // and: drop, continue, return
        for (verdict, code) in [
            (Verdict::Accept, "00000001"),
            (Verdict::Drop, "00000000"),
            (Verdict::Continue, "ffffffff"),
            (Verdict::Return, "fffffffb"),
        ] {
            expression(
                Immediate::verdict(verdict),
                &format!(
                    "30000180 0e000100 696d6d65 64696174 65000000 1c000280
                     08000100 00000000 10000280 0c000280 08000100 {code}"
                ),
            );
        }
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c jump c2'
        // and: goto c2
        for (verdict, code) in
            [(Verdict::Jump("c2".into()), "fffffffd"), (Verdict::Goto("c2".into()), "fffffffc")]
        {
            expression(
                Immediate::verdict(verdict),
                &format!(
                    "38000180 0e000100 696d6d65 64696174 65000000 24000280
                     08000100 00000000 18000280 14000280 08000100 {code} 07000200 63320000"
                ),
            );
        }
    }
}
