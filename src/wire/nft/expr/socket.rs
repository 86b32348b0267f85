//! `socket`: what is known of the local socket the packet would go to.
//!
//! ```text
//! NFTA_SOCKET_KEY    1  be32
//! NFTA_SOCKET_DREG   2  be32
//! NFTA_SOCKET_LEVEL  3  be32   of the cgroup
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_socket_attributes`.

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields, wire_enum};
use crate::wire::nft::register::Register;

const NFTA_SOCKET_KEY: u16 = 1;
const NFTA_SOCKET_DREG: u16 = 2;
const NFTA_SOCKET_LEVEL: u16 = 3;

wire_enum! {
    #[doc(alias = "nft_socket_keys")]
    SocketKey: u32 {
        Transparent = 0,
        Mark = 1,
        /// Bound to no address of its own.
        Wildcard = 2,
        CgroupV2 = 3,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) key: SocketKey,
    pub(crate) dreg: Register,
    /// Of the cgroup; 0 for the other keys.
    pub(crate) level: u32,
}

impl Codec for Socket {
    fn encode(&self, out: &mut Writer<'_>) {
        out.field(NFTA_SOCKET_KEY, &self.key);
        out.field(NFTA_SOCKET_DREG, &self.dreg);
        out.field(NFTA_SOCKET_LEVEL, &self.level);
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_SOCKET_LEVEL)?;
        Some(Self {
            key: fields.required(NFTA_SOCKET_KEY)?,
            dreg: fields.required(NFTA_SOCKET_DREG)?,
            level: fields.or_default(NFTA_SOCKET_LEVEL)?,
        })
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
