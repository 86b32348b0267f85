//! `masq`: the address of the outgoing interface as the new source.
//!
//! ```text
//! NFTA_MASQ_FLAGS          1  be32   see nat.rs
//! NFTA_MASQ_REG_PROTO_MIN  2  be32   register of the first port
//! NFTA_MASQ_REG_PROTO_MAX  3  be32   register of the last port
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_masq_attributes`.

use super::nat::NatFlags;
use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields};
use crate::wire::nft::register::Register;

const NFTA_MASQ_FLAGS: u16 = 1;
const NFTA_MASQ_REG_PROTO_MIN: u16 = 2;
const NFTA_MASQ_REG_PROTO_MAX: u16 = 3;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Masq {
    pub(crate) flags: NatFlags,
    pub(crate) port_min: Option<Register>,
    pub(crate) port_max: Option<Register>,
}

impl Codec for Masq {
    fn encode(&self, out: &mut Writer<'_>) {
        if !self.flags.is_empty() {
            out.field(NFTA_MASQ_FLAGS, &self.flags);
        }
        out.optional(NFTA_MASQ_REG_PROTO_MIN, self.port_min.as_ref());
        out.optional(NFTA_MASQ_REG_PROTO_MAX, self.port_max.as_ref());
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_MASQ_REG_PROTO_MAX)?;
        Some(Self {
            flags: fields.or_default(NFTA_MASQ_FLAGS)?,
            port_min: fields.optional(NFTA_MASQ_REG_PROTO_MIN)?,
            port_max: fields.optional(NFTA_MASQ_REG_PROTO_MAX)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::{R1, R2};
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c masquerade'
        expression(Masq::default(), "14000180 09000100 6d617371 00000000 04000280");
        // The same with: masquerade random,persistent
        let flags = NatFlags::RANDOM | NatFlags::PERSISTENT;
        expression(
            Masq { flags, ..Masq::default() },
            "1c000180 09000100 6d617371 00000000 0c000280 08000100 0000000c",
        );
        // The same with: meta l4proto tcp masquerade to :1000-2000 fully-random
        expression(
            Masq {
                flags: NatFlags::PORT_SPECIFIED | NatFlags::FULLY_RANDOM,
                port_min: Some(R1),
                port_max: Some(R2),
            },
            "2c000180 09000100 6d617371 00000000 1c000280
             08000100 00000012 08000200 00000001 08000300 00000002",
        );
    }
}
