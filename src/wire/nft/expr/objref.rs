//! `objref`: applies a named object of the table.
//!
//! ```text
//! NFTA_OBJREF_IMM_TYPE  1  be32     of the object, see object.rs
//! NFTA_OBJREF_IMM_NAME  2  string   of the object
//! NFTA_OBJREF_SET_SREG  3  be32     register with the key, to take the object from a map
//! NFTA_OBJREF_SET_NAME  4  string   of the map
//! NFTA_OBJREF_SET_ID    5  be32     number of the map in this batch
//! ```
//!
//! `nft` sends the names without a terminating NUL. The kernel lists them with a NUL.
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_objref_attributes`.

use super::prelude::*;

attribute_table! {
    enum Objref {
        Named { kind: u32 = 1, name: String = 2 without_nul },
        Map { sreg: Register = 3, map: String = 4 without_nul, map_id: Option<u32> = 5 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::object::ObjectKind;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::{also_means, expression};

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add counter ip t n' \
        //   'add rule ip t c counter name n'
        let named = Objref::Named { kind: ObjectKind::Counter as u32, name: "n".to_owned() };
        expression(
            named.clone(),
            "24000180 0b000100 6f626a72 65660000 14000280 08000100 00000001 05000200 6e000000",
        );
        // The same, as the kernel lists it.
        also_means(
            "24000180 0b000100 6f626a72 65660000 14000280 08000100 00000001 06000200 6e000000",
            named,
        );
        // The same with: counter name tcp dport map { 80 : "n" }
        expression(
            Objref::Map { sreg: R1, map: "__objmap%d".to_owned(), map_id: Some(1) },
            "34000180 0b000100 6f626a72 65660000 24000280
             08000300 00000001 0e000400 5f5f6f62 6a6d6170 25640000 08000500 00000001",
        );
    }
}
