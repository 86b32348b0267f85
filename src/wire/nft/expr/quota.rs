//! `quota`: matches up to a number of bytes; also a named object.
//!
//! ```text
//! NFTA_QUOTA_BYTES     1  be64
//! NFTA_QUOTA_FLAGS     2  be32   inverted 1, depleted 2
//! NFTA_QUOTA_PAD       3  padding
//! NFTA_QUOTA_CONSUMED  4  be64
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_quota_attributes`.

use super::prelude::*;

wire_flags! {
    #[doc(alias = "nft_quota_flags")]
    QuotaFlags: u32 {
        /// Matches above the quota instead of below it.
        INVERTED = 1,
        /// The quota is used up; set by the kernel only.
        DEPLETED = 2,
    }
}

attribute_table! {
    #[derive(Copy, Default)]
    strict struct Quota {
        bytes: u64 = 1,
        consumed: u64 = 4 or_default,
        flags: QuotaFlags = 2 or_default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c quota 25 mbytes'
        let quota = Quota { bytes: 25 << 20, ..Quota::default() };
        expression(
            quota,
            "34000180 0a000100 71756f74 61000000 24000280 0c000100 00000000 01900000
             0c000400 00000000 00000000 08000200 00000000",
        );
        // The same with: quota over 25 mbytes used 5 bytes
        expression(
            Quota { consumed: 5, flags: QuotaFlags::INVERTED, ..quota },
            "34000180 0a000100 71756f74 61000000 24000280 0c000100 00000000 01900000
             0c000400 00000000 00000005 08000200 00000001",
        );
    }
}
