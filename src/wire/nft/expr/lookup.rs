//! `lookup`: matches if a register is in a set, or loads the data of a map.
//!
//! ```text
//! NFTA_LOOKUP_SET     1  string
//! NFTA_LOOKUP_SREG    2  be32
//! NFTA_LOOKUP_DREG    3  be32   of a map; the verdict register of a verdict map
//! NFTA_LOOKUP_SET_ID  4  be32   number of a set in this batch
//! NFTA_LOOKUP_FLAGS   5  be32   inverted 1
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_lookup_attributes`.

use super::prelude::*;

attribute_table! {
    strict struct Lookup {
        sreg: Register = 2,
        dreg: Option<Register> = 3,
        set: String = 1,
        /// The number of the set in the batch, required if the kernel chooses its name.
        set_id: Option<u32> = 4,
        /// Matches if the register is not in the set.
        inverted: bool = 5 unless_default,
    }
}

impl Lookup {
    /// Matches if the register is in the set.
    pub(crate) fn is_in(sreg: Register, set: &str) -> Self {
        Self { sreg, dreg: None, set: set.to_owned(), set_id: None, inverted: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        let map = |dreg| {
            let lookup = Lookup::is_in(R1, "__map%d");
            Lookup { set_id: Some(1), dreg: Some(dreg), ..lookup }
        };
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c tcp dport != { 22, 80-90 }'
        expression(
            Lookup { set_id: Some(1), inverted: true, ..Lookup::is_in(R1, "__set%d") },
            "38000180 0b000100 6c6f6f6b 75700000 28000280
             08000200 00000001 0c000100 5f5f7365 74256400 08000400 00000001 08000500 00000001",
        );
        // The same with: tcp dport vmap { 22 : accept, 80 : jump c2 }
        expression(
            map(Register::Verdict),
            "38000180 0b000100 6c6f6f6b 75700000 28000280
             08000200 00000001 08000300 00000000 0c000100 5f5f6d61 70256400 08000400 00000001",
        );
        // The same with: dnat to tcp dport map { 80 : 10.0.0.1 , 81 : 10.0.0.2 }
        expression(
            map(R1),
            "38000180 0b000100 6c6f6f6b 75700000 28000280
             08000200 00000001 08000300 00000001 0c000100 5f5f6d61 70256400 08000400 00000001",
        );
    }
}
