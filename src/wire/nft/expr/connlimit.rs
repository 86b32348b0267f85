//! `connlimit`: goes on while there are no more connections than so many.
//!
//! ```text
//! NFTA_CONNLIMIT_COUNT  1  be32
//! NFTA_CONNLIMIT_FLAGS  2  be32   inverted 1
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_connlimit_attributes`.

use bitflags::bitflags;

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields, flags_field};

const NFTA_CONNLIMIT_COUNT: u16 = 1;
const NFTA_CONNLIMIT_FLAGS: u16 = 2;

bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[doc(alias = "nft_connlimit_flags")]
    pub(crate) struct ConnlimitFlags: u32 {
        /// Goes on once there *are* more.
        const INVERTED = 1;
    }
}
flags_field!(ConnlimitFlags: u32);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Connlimit {
    pub(crate) count: u32,
    pub(crate) flags: ConnlimitFlags,
}

impl Codec for Connlimit {
    fn encode(&self, out: &mut Writer<'_>) {
        out.field(NFTA_CONNLIMIT_COUNT, &self.count);
        out.field(NFTA_CONNLIMIT_FLAGS, &self.flags);
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_CONNLIMIT_FLAGS)?;
        Some(Self {
            count: fields.required(NFTA_CONNLIMIT_COUNT)?,
            flags: fields.or_default(NFTA_CONNLIMIT_FLAGS)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c ct count 20'
        let up_to = Connlimit { count: 20, flags: ConnlimitFlags::empty() };
        expression(
            up_to,
            "28000180 0e000100 636f6e6e 6c696d69 74000000 14000280
             08000100 00000014 08000200 00000000",
        );
        // The same with: ct count over 20
        expression(
            Connlimit { flags: ConnlimitFlags::INVERTED, ..up_to },
            "28000180 0e000100 636f6e6e 6c696d69 74000000 14000280
             08000100 00000014 08000200 00000001",
        );
    }
}
