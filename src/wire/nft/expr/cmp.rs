//! `cmp`: goes on when a register compares with a value.
//!
//! ```text
//! NFTA_CMP_SREG  1  be32
//! NFTA_CMP_OP    2  be32
//! NFTA_CMP_DATA  3  data   as many bytes of the register as it has
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_cmp_attributes`.

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields, wire_enum};
use crate::wire::nft::data::Value;
use crate::wire::nft::register::Register;

const NFTA_CMP_SREG: u16 = 1;
const NFTA_CMP_OP: u16 = 2;
const NFTA_CMP_DATA: u16 = 3;

wire_enum! {
    /// Bytes are compared from the first on, so order has a meaning only for big-endian values.
    #[doc(alias = "nft_cmp_ops")]
    Comparison: u32 {
        Equal = 0,
        NotEqual = 1,
        Less = 2,
        LessOrEqual = 3,
        Greater = 4,
        GreaterOrEqual = 5,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cmp {
    pub(crate) sreg: Register,
    pub(crate) op: Comparison,
    pub(crate) data: Value,
}

impl Codec for Cmp {
    fn encode(&self, out: &mut Writer<'_>) {
        out.field(NFTA_CMP_SREG, &self.sreg);
        out.field(NFTA_CMP_OP, &self.op);
        out.field(NFTA_CMP_DATA, &self.data);
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_CMP_DATA)?;
        Some(Self {
            sreg: fields.required(NFTA_CMP_SREG)?,
            op: fields.required(NFTA_CMP_OP)?,
            data: fields.required(NFTA_CMP_DATA)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::expression;
    use std::net::Ipv4Addr;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c ip saddr 10.0.0.1'
        let address = Ipv4Addr::new(10, 0, 0, 1).into();
        expression(
            Cmp { sreg: R1, op: Comparison::Equal, data: address },
            "2c000180 08000100 636d7000 20000280
             08000100 00000001 08000200 00000000 0c000380 08000100 0a000001",
        );
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c meta length > 100'
        expression(
            Cmp { sreg: R1, op: Comparison::Greater, data: 100_u32.into() },
            "2c000180 08000100 636d7000 20000280
             08000100 00000001 08000200 00000004 0c000380 08000100 00000064",
        );
    }
}
