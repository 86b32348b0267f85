//! `synproxy`: answers the SYN for a server until the client has completed the handshake.
//!
//! ```text
//! NFTA_SYNPROXY_MSS     1  be16   that is offered to the client
//! NFTA_SYNPROXY_WSCALE  2  u8     that is offered to the client
//! NFTA_SYNPROXY_FLAGS   3  be32
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_synproxy_attributes`; flags:
//! `nf_synproxy.h`.

use super::prelude::*;

wire_flags! {
    #[doc(alias = "NF_SYNPROXY_OPT_MSS")]
    SynproxyFlags: u32 {
        MSS = 1,
        WINDOW_SCALE = 1 << 1,
        SACK_PERMITTED = 1 << 2,
        TIMESTAMP = 1 << 3,
        ECN = 1 << 4,
    }
}

attribute_table! {
    #[derive(Copy, Default)]
    strict struct Synproxy {
        mss: u16 = 1 or_default,
        window_scale: u8 = 2 or_default,
        flags: SynproxyFlags = 3 or_default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c synproxy mss 1460 wscale 7 timestamp sack-perm'
        let flags = SynproxyFlags::MSS
            | SynproxyFlags::WINDOW_SCALE
            | SynproxyFlags::SACK_PERMITTED
            | SynproxyFlags::TIMESTAMP;
        expression(
            Synproxy { mss: 1460, window_scale: 7, flags },
            "30000180 0d000100 73796e70 726f7879 00000000
             1c000280 06000100 05b40000 05000200 07000000 08000300 0000000f",
        );
    }
}
