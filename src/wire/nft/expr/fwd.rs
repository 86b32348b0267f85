//! `fwd`: sends the packet out of another interface, past the stack.
//!
//! ```text
//! NFTA_FWD_SREG_DEV   1  be32   register of the interface index
//! NFTA_FWD_SREG_ADDR  2  be32   register of the neighbour's address
//! NFTA_FWD_NFPROTO    3  be32   ip or ip6, of that address
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_fwd_attributes`.

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields};
use crate::wire::nft::message::Family;
use crate::wire::nft::register::Register;

const NFTA_FWD_SREG_DEV: u16 = 1;
const NFTA_FWD_SREG_ADDR: u16 = 2;
const NFTA_FWD_NFPROTO: u16 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fwd {
    pub(crate) device: Register,
    pub(crate) address: Option<Register>,
    pub(crate) family: Option<Family>,
}

impl Codec for Fwd {
    fn encode(&self, out: &mut Writer<'_>) {
        out.field(NFTA_FWD_SREG_DEV, &self.device);
        out.optional(NFTA_FWD_SREG_ADDR, self.address.as_ref());
        out.optional(NFTA_FWD_NFPROTO, self.family.as_ref());
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_FWD_NFPROTO)?;
        Some(Self {
            device: fields.required(NFTA_FWD_SREG_DEV)?,
            address: fields.optional(NFTA_FWD_SREG_ADDR)?,
            family: fields.optional(NFTA_FWD_NFPROTO)?,
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
        // tools/nft-bytes 'add table netdev t' 'add chain netdev t c' 'add rule netdev t c fwd to lo'
        expression(
            Fwd { device: R1, address: None, family: None },
            "18000180 08000100 66776400 0c000280 08000100 00000001",
        );
        // The same with: fwd ip to 10.0.0.1 device lo
        expression(
            Fwd { device: R1, address: Some(R2), family: Some(Family::Ip) },
            "28000180 08000100 66776400 1c000280
             08000100 00000001 08000200 00000002 08000300 00000002",
        );
    }
}
