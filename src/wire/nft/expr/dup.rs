//! `dup`: sends a copy of the packet elsewhere.
//!
//! ```text
//! NFTA_DUP_SREG_ADDR  1  be32   register of the address; not in netdev tables
//! NFTA_DUP_SREG_DEV   2  be32   register of the interface index
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_dup_attributes`.

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields};
use crate::wire::nft::register::Register;

const NFTA_DUP_SREG_ADDR: u16 = 1;
const NFTA_DUP_SREG_DEV: u16 = 2;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dup {
    pub(crate) address: Option<Register>,
    pub(crate) device: Option<Register>,
}

impl Codec for Dup {
    fn encode(&self, out: &mut Writer<'_>) {
        out.optional(NFTA_DUP_SREG_ADDR, self.address.as_ref());
        out.optional(NFTA_DUP_SREG_DEV, self.device.as_ref());
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_DUP_SREG_DEV)?;
        Some(Self {
            address: fields.optional(NFTA_DUP_SREG_ADDR)?,
            device: fields.optional(NFTA_DUP_SREG_DEV)?,
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
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c dup to 10.0.0.1 device lo'
        expression(
            Dup { address: Some(R1), device: Some(R2) },
            "20000180 08000100 64757000 14000280 08000100 00000001 08000200 00000002",
        );
        // tools/nft-bytes 'add table netdev t' 'add chain netdev t c' 'add rule netdev t c dup to lo'
        expression(
            Dup { address: None, device: Some(R1) },
            "18000180 08000100 64757000 0c000280 08000200 00000001",
        );
    }
}
