//! `socket`: loads a property of the local socket that would receive the packet.
//!
//! ```text
//! NFTA_SOCKET_KEY    1  be32
//! NFTA_SOCKET_DREG   2  be32
//! NFTA_SOCKET_LEVEL  3  be32   of the cgroup
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_socket_attributes`.

use super::prelude::*;

wire_enum! {
    #[doc(alias = "nft_socket_keys")]
    SocketKey: u32 {
        Transparent = 0,
        Mark = 1,
        /// 1 if the socket is bound to the wildcard address, otherwise 0.
        Wildcard = 2,
        CgroupV2 = 3,
    }
}

attribute_table! {
    #[derive(Copy)]
    strict struct Socket {
        key: SocketKey = 1,
        dreg: Register = 2,
        /// The cgroup level; 0 for the other keys.
        level: u32 = 3 or_default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::{also_means, expression};

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c socket wildcard 0'
        expression(
            Socket { key: SocketKey::Wildcard, dreg: R1, level: 0 },
            "2c000180 0b000100 736f636b 65740000 1c000280
             08000100 00000002 08000200 00000001 08000300 00000000",
        );
    }

    #[test]
    fn the_level_may_be_absent() {
        also_means(
            "24000180 0b000100 736f636b 65740000 14000280 08000100 00000001 08000200 00000001",
            Socket { key: SocketKey::Mark, dreg: R1, level: 0 },
        );
    }
}
