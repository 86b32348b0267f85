//! `redir`: the address of the incoming interface as the new destination.
//!
//! ```text
//! NFTA_REDIR_REG_PROTO_MIN  1  be32   register of the first port
//! NFTA_REDIR_REG_PROTO_MAX  2  be32   register of the last port
//! NFTA_REDIR_FLAGS          3  be32   see nat.rs
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_redir_attributes`.

use super::nat::NatFlags;
use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields};
use crate::wire::nft::register::Register;

const NFTA_REDIR_REG_PROTO_MIN: u16 = 1;
const NFTA_REDIR_REG_PROTO_MAX: u16 = 2;
const NFTA_REDIR_FLAGS: u16 = 3;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Redir {
    pub(crate) port_min: Option<Register>,
    pub(crate) port_max: Option<Register>,
    pub(crate) flags: NatFlags,
}

impl Codec for Redir {
    fn encode(&self, out: &mut Writer<'_>) {
        out.optional(NFTA_REDIR_REG_PROTO_MIN, self.port_min.as_ref());
        out.optional(NFTA_REDIR_REG_PROTO_MAX, self.port_max.as_ref());
        if !self.flags.is_empty() {
            out.field(NFTA_REDIR_FLAGS, &self.flags);
        }
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_REDIR_FLAGS)?;
        Some(Self {
            port_min: fields.optional(NFTA_REDIR_REG_PROTO_MIN)?,
            port_max: fields.optional(NFTA_REDIR_REG_PROTO_MAX)?,
            flags: fields.or_default(NFTA_REDIR_FLAGS)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c ip protocol tcp redirect'
        expression(Redir::default(), "14000180 0a000100 72656469 72000000 04000280");
        // The same with: ip protocol tcp redirect to :8080
        expression(
            Redir { port_min: Some(R1), port_max: None, flags: NatFlags::PORT_SPECIFIED },
            "24000180 0a000100 72656469 72000000 14000280 08000100 00000001 08000300 00000002",
        );
    }
}
