//! `bitwise`: masks, sets or shifts bits between two registers.
//!
//! ```text
//! NFTA_BITWISE_SREG  1  be32
//! NFTA_BITWISE_DREG  2  be32
//! NFTA_BITWISE_LEN   3  be32   in bytes
//! NFTA_BITWISE_MASK  4  data   of mask and xor
//! NFTA_BITWISE_XOR   5  data   of mask and xor
//! NFTA_BITWISE_OP    6  be32   mask and xor 0 (also if absent), shift left 1, right 2
//! NFTA_BITWISE_DATA  7  data   of a shift: u32 in the machine's order
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_bitwise_attributes`.

use super::prelude::*;

wire_enum! {
    #[doc(alias = "nft_bitwise_ops")]
    #[derive(Default)]
    BitwiseOp: u32 {
        /// `dreg = (sreg & mask) ^ xor`
        #[default]
        MaskXor = 0,
        ShiftLeft = 1,
        ShiftRight = 2,
    }
}

attribute_table! {
    #[derive(Copy)]
    enum Bitwise {
        Mask {
            sreg: Register = 1,
            dreg: Register = 2,
            op: BitwiseOp = 6 unless_default,
            len: u32 = 3,
            mask: Value = 4,
            xor: Value = 5,
        },
        /// Shifts left or right by a number of bits.
        Shift {
            sreg: Register = 1,
            dreg: Register = 2,
            op: BitwiseOp = 6,
            len: u32 = 3,
            data: Value = 7,
        },
    }
}

impl Bitwise {
    /// Clears the bits outside the mask, in the same register.
    pub(crate) fn mask(register: Register, mask: Value) -> Self {
        let (len, xor) = (mask.len(), mask.zeroed());
        Self::Mask { sreg: register, dreg: register, op: BitwiseOp::MaskXor, len, mask, xor }
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
        let data = Value::host_u32(2);
        expression(
            Bitwise::Shift { sreg: R1, dreg: R1, op: BitwiseOp::ShiftLeft, len: 4, data },
            "40000180 0c000100 62697477 69736500 30000280
             08000100 00000001 08000200 00000001 08000600 00000001 08000300 00000004
             0c000780 08000100 02000000",
        );
        // The same with: mark rshift 2
        expression(
            Bitwise::Shift { sreg: R1, dreg: R1, op: BitwiseOp::ShiftRight, len: 4, data },
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
            Bitwise::Mask { sreg: R1, dreg: R1, op: BitwiseOp::MaskXor, len: 4, mask, xor },
        );
    }
}
