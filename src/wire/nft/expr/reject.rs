//! `reject`: drops the packet and sends an error to its sender.
//!
//! ```text
//! NFTA_REJECT_TYPE       1  be32   ICMP unreachable 0, TCP reset 1, ICMPX unreachable 2
//! NFTA_REJECT_ICMP_CODE  2  u8
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_reject_attributes`.

use super::prelude::*;

wire_enum! {
    #[doc(alias = "nft_reject_types")]
    RejectType: u32 {
        /// A code of ICMP or `ICMPv6`, depending on the family.
        Icmp = 0,
        TcpReset = 1,
        /// A code of `nft_reject_inet_code`, which the kernel translates to ICMP or `ICMPv6`.
        Icmpx = 2,
    }
}

attribute_table! {
    #[derive(Copy)]
    strict struct Reject {
        kind: RejectType = 1,
        code: u8 = 2 or_default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::{also_means, expression};

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c reject with icmp admin-prohibited'
        expression(
            Reject { kind: RejectType::Icmp, code: 13 },
            "24000180 0b000100 72656a65 63740000 14000280 08000100 00000000 05000200 0d000000",
        );
        // The same with: reject with tcp reset
        expression(
            Reject { kind: RejectType::TcpReset, code: 0 },
            "24000180 0b000100 72656a65 63740000 14000280 08000100 00000001 05000200 00000000",
        );
        // tools/nft-bytes 'add table inet t' 'add chain inet t c' \
        //   'add rule inet t c reject with icmpx host-unreachable'
        expression(
            Reject { kind: RejectType::Icmpx, code: 2 },
            "24000180 0b000100 72656a65 63740000 14000280 08000100 00000002 05000200 02000000",
        );
    }

    #[test]
    fn a_reset_needs_no_code() {
        also_means(
            "1c000180 0b000100 72656a65 63740000 0c000280 08000100 00000001",
            Reject { kind: RejectType::TcpReset, code: 0 },
        );
    }
}
