//! `counter`: counts packets and bytes; also a named object, and part of a base chain.
//!
//! ```text
//! NFTA_COUNTER_BYTES    1  be64
//! NFTA_COUNTER_PACKETS  2  be64
//! NFTA_COUNTER_PAD      3  padding
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_counter_attributes`.

use super::prelude::*;

attribute_table! {
    #[derive(Copy, Default)]
    strict struct Counter {
        bytes: u64 = 1 or_default,
        packets: u64 = 2 or_default,
    } padding 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::{also_means, expression};

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c counter'
        expression(Counter::default(), "14000180 0c000100 636f756e 74657200 04000280");
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c counter packets 5 bytes 6'
        expression(
            Counter { packets: 5, bytes: 6 },
            "2c000180 0c000100 636f756e 74657200 1c000280
             0c000100 00000000 00000006 0c000200 00000000 00000005",
        );
    }

    #[test]
    fn zeros_may_be_said_or_not() {
        also_means(
            "2c000180 0c000100 636f756e 74657200 1c000280
             0c000100 00000000 00000000 0c000200 00000000 00000000",
            Counter::default(),
        );
    }
}
