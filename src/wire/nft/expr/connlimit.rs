//! `connlimit`: matches up to a number of simultaneous connections.
//!
//! ```text
//! NFTA_CONNLIMIT_COUNT  1  be32
//! NFTA_CONNLIMIT_FLAGS  2  be32   inverted 1
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_connlimit_attributes`.

use super::prelude::*;

attribute_table! {
    #[derive(Copy, Default)]
    strict struct Connlimit {
        count: u32 = 1,
        /// Matches above the limit instead of up to it.
        inverted: bool = 2 or_default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c ct count 20'
        let up_to = Connlimit { count: 20, inverted: false };
        expression(
            up_to,
            "28000180 0e000100 636f6e6e 6c696d69 74000000 14000280
             08000100 00000014 08000200 00000000",
        );
        // The same with: ct count over 20
        expression(
            Connlimit { inverted: true, ..up_to },
            "28000180 0e000100 636f6e6e 6c696d69 74000000 14000280
             08000100 00000014 08000200 00000001",
        );
    }
}
