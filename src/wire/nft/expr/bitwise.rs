//! `bitwise`: masks, sets or shifts bits between two registers.
//!
//! ```text
//! NFTA_BITWISE_SREG  1  be32
//! NFTA_BITWISE_DREG  2  be32
//! NFTA_BITWISE_LEN   3  be32   in bytes
//! NFTA_BITWISE_MASK  4  data   of mask and xor
//! NFTA_BITWISE_XOR   5  data   of mask and xor
//! NFTA_BITWISE_OP    6  be32   mask and xor 0 (when absent too), shift left 1, right 2
//! NFTA_BITWISE_DATA  7  data   of a shift: u32 in the machine's order
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_bitwise_attributes`.

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Field, up_to};
use crate::wire::nft::data::Value;
use crate::wire::nft::register::Register;

const NFTA_BITWISE_SREG: u16 = 1;
const NFTA_BITWISE_DREG: u16 = 2;
const NFTA_BITWISE_LEN: u16 = 3;
const NFTA_BITWISE_MASK: u16 = 4;
const NFTA_BITWISE_XOR: u16 = 5;
const NFTA_BITWISE_OP: u16 = 6;
const NFTA_BITWISE_DATA: u16 = 7;

const NFT_BITWISE_MASK_XOR: u32 = 0;
const NFT_BITWISE_LSHIFT: u32 = 1;
const NFT_BITWISE_RSHIFT: u32 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bitwise {
    pub(crate) sreg: Register,
    pub(crate) dreg: Register,
    pub(crate) len: u32,
    pub(crate) op: BitwiseOp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "nft_bitwise_ops")]
pub(crate) enum BitwiseOp {
    /// `dreg = (sreg & mask) ^ xor`
    MaskXor {
        mask: Value,
        xor: Value,
    },
    ShiftLeft(u32),
    ShiftRight(u32),
}

impl Bitwise {
    /// Clears the bits outside the mask, in place.
    pub(crate) fn mask(register: Register, mask: Value) -> Self {
        let op = BitwiseOp::MaskXor { mask, xor: mask.zeroed() };
        Self { sreg: register, dreg: register, len: mask.len(), op }
    }
}

impl Codec for Bitwise {
    const KNOWN: u64 = up_to(NFTA_BITWISE_DATA);

    fn encode(&self, out: &mut Writer<'_>) {
        self.sreg.write(out, NFTA_BITWISE_SREG);
        self.dreg.write(out, NFTA_BITWISE_DREG);
        let (op, bits) = match self.op {
            BitwiseOp::MaskXor { mask, xor } => {
                self.len.write(out, NFTA_BITWISE_LEN);
                mask.write(out, NFTA_BITWISE_MASK);
                return xor.write(out, NFTA_BITWISE_XOR);
            }
            BitwiseOp::ShiftLeft(bits) => (NFT_BITWISE_LSHIFT, bits),
            BitwiseOp::ShiftRight(bits) => (NFT_BITWISE_RSHIFT, bits),
        };
        op.write(out, NFTA_BITWISE_OP);
        self.len.write(out, NFTA_BITWISE_LEN);
        Value::host_u32(bits).write(out, NFTA_BITWISE_DATA);
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let mask = attributes.strict(NFTA_BITWISE_MASK)?;
        let xor = attributes.strict(NFTA_BITWISE_XOR)?;
        let data: Option<Value> = attributes.strict(NFTA_BITWISE_DATA)?;
        let bits = || Some(u32::from_ne_bytes(data?.as_slice().try_into().ok()?));
        let op: Option<u32> = attributes.strict(NFTA_BITWISE_OP)?;
        let op = match (op.unwrap_or(NFT_BITWISE_MASK_XOR), mask, xor) {
            (NFT_BITWISE_MASK_XOR, Some(mask), Some(xor)) if data.is_none() => {
                BitwiseOp::MaskXor { mask, xor }
            }
            (NFT_BITWISE_LSHIFT, None, None) => BitwiseOp::ShiftLeft(bits()?),
            (NFT_BITWISE_RSHIFT, None, None) => BitwiseOp::ShiftRight(bits()?),
            _ => return None,
        };
        Some(Self {
            sreg: attributes.strict(NFTA_BITWISE_SREG)?,
            dreg: attributes.strict(NFTA_BITWISE_DREG)?,
            len: attributes.strict(NFTA_BITWISE_LEN)?,
            op,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::{also_means, expression};
    use std::net::Ipv4Addr;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table inet t' 'add chain inet t c' \
        //   'add rule inet t c ip saddr 10.0.0.0/20'
        let netmask = Ipv4Addr::new(255, 255, 240, 0).into();
        expression(
            Bitwise::mask(R1, netmask),
            "44000180 0c000100 62697477 69736500 34000280
             08000100 00000001 08000200 00000001 08000300 00000004
             0c000480 08000100 fffff000 0c000580 08000100 00000000",
        );
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c meta mark set mark lshift 2'
        expression(
            Bitwise { sreg: R1, dreg: R1, len: 4, op: BitwiseOp::ShiftLeft(2) },
            "40000180 0c000100 62697477 69736500 30000280
             08000100 00000001 08000200 00000001 08000600 00000001 08000300 00000004
             0c000780 08000100 02000000",
        );
        // The same with: mark rshift 2
        expression(
            Bitwise { sreg: R1, dreg: R1, len: 4, op: BitwiseOp::ShiftRight(2) },
            "40000180 0c000100 62697477 69736500 30000280
             08000100 00000001 08000200 00000001 08000600 00000002 08000300 00000004
             0c000780 08000100 02000000",
        );
    }

    #[test]
    fn the_operation_may_be_said_or_not() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c meta mark set mark or 0x10'
        let (mask, xor) = (Value::host_u32(!0x10), Value::host_u32(0x10));
        also_means(
            "4c000180 0c000100 62697477 69736500 3c000280
             08000100 00000001 08000200 00000001 08000600 00000000 08000300 00000004
             0c000480 08000100 efffffff 0c000580 08000100 10000000",
            Bitwise { sreg: R1, dreg: R1, len: 4, op: BitwiseOp::MaskXor { mask, xor } },
        );
    }
}
