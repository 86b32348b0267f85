//! `byteorder`: between the machine's order and that of the network.
//!
//! ```text
//! NFTA_BYTEORDER_SREG  1  be32
//! NFTA_BYTEORDER_DREG  2  be32
//! NFTA_BYTEORDER_OP    3  be32   to the machine's order 0, to the network's 1
//! NFTA_BYTEORDER_LEN   4  be32   of all, in bytes
//! NFTA_BYTEORDER_SIZE  5  be32   of one number, in bytes: 2, 4 or 8
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_byteorder_attributes`.

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields, wire_enum};
use crate::wire::nft::register::Register;

const NFTA_BYTEORDER_SREG: u16 = 1;
const NFTA_BYTEORDER_DREG: u16 = 2;
const NFTA_BYTEORDER_OP: u16 = 3;
const NFTA_BYTEORDER_LEN: u16 = 4;
const NFTA_BYTEORDER_SIZE: u16 = 5;

wire_enum! {
    #[doc(alias = "nft_byteorder_ops")]
    ByteorderOp: u32 {
        ToHost = 0,
        ToNetwork = 1,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Byteorder {
    pub(crate) sreg: Register,
    pub(crate) dreg: Register,
    pub(crate) op: ByteorderOp,
    pub(crate) len: u32,
    pub(crate) size: u32,
}

impl Codec for Byteorder {
    fn encode(&self, out: &mut Writer<'_>) {
        out.field(NFTA_BYTEORDER_SREG, &self.sreg);
        out.field(NFTA_BYTEORDER_DREG, &self.dreg);
        out.field(NFTA_BYTEORDER_OP, &self.op);
        out.field(NFTA_BYTEORDER_LEN, &self.len);
        out.field(NFTA_BYTEORDER_SIZE, &self.size);
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_BYTEORDER_SIZE)?;
        Some(Self {
            sreg: fields.required(NFTA_BYTEORDER_SREG)?,
            dreg: fields.required(NFTA_BYTEORDER_DREG)?,
            op: fields.required(NFTA_BYTEORDER_OP)?,
            len: fields.required(NFTA_BYTEORDER_LEN)?,
            size: fields.required(NFTA_BYTEORDER_SIZE)?,
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
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c meta length 10-20'
        expression(
            Byteorder { sreg: R1, dreg: R1, op: ByteorderOp::ToNetwork, len: 4, size: 4 },
            "40000180 0e000100 62797465 6f726465 72000000 2c000280 08000100 00000001
             08000200 00000001 08000300 00000001 08000400 00000004 08000500 00000004",
        );
    }
}
