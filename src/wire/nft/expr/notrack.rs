//! `notrack`: exempts the packet from connection tracking. It has no attributes.
//!
//! Source: `net/netfilter/nft_ct.c`.

use super::prelude::*;

attribute_table! {
    #[derive(Copy, Default)]
    strict struct Notrack {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::{also_means, expression};

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c notrack'
        expression(Notrack {}, "10000180 0c000100 6e6f7472 61636b00");
        also_means("14000180 0c000100 6e6f7472 61636b00 04000280", Notrack {});
    }
}
