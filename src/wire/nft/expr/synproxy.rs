//! `synproxy`: answers for a server until the client has shown that it is there.
//!
//! ```text
//! NFTA_SYNPROXY_MSS     1  be16   that is offered to the client
//! NFTA_SYNPROXY_WSCALE  2  u8     that is offered to the client
//! NFTA_SYNPROXY_FLAGS   3  be32
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_synproxy_attributes`; flags: `nf_synproxy.h`.

use bitflags::bitflags;

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields, flags_field};

const NFTA_SYNPROXY_MSS: u16 = 1;
const NFTA_SYNPROXY_WSCALE: u16 = 2;
const NFTA_SYNPROXY_FLAGS: u16 = 3;

bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[doc(alias = "NF_SYNPROXY_OPT_MSS")]
    pub(crate) struct SynproxyFlags: u32 {
        const MSS = 1;
        const WINDOW_SCALE = 1 << 1;
        const SACK_PERMITTED = 1 << 2;
        const TIMESTAMP = 1 << 3;
        const ECN = 1 << 4;
    }
}
flags_field!(SynproxyFlags: u32);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Synproxy {
    pub(crate) mss: u16,
    pub(crate) window_scale: u8,
    pub(crate) flags: SynproxyFlags,
}

impl Codec for Synproxy {
    fn encode(&self, out: &mut Writer<'_>) {
        out.field(NFTA_SYNPROXY_MSS, &self.mss);
        out.field(NFTA_SYNPROXY_WSCALE, &self.window_scale);
        out.field(NFTA_SYNPROXY_FLAGS, &self.flags);
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_SYNPROXY_FLAGS)?;
        Some(Self {
            mss: fields.or_default(NFTA_SYNPROXY_MSS)?,
            window_scale: fields.or_default(NFTA_SYNPROXY_WSCALE)?,
            flags: fields.or_default(NFTA_SYNPROXY_FLAGS)?,
        })
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
