//! Registers: 64 bytes in all, which expressions load and compare.
//!
//! ```text
//! NFT_REG_VERDICT 0    NFT_REG_1..4 1..4, 16 bytes each    NFT_REG32_00..15 8..23, 4 bytes each
//! ```
//!
//! Registers have two sets of names that overlap: `NFT_REG_1` and `NFT_REG32_00` begin at the same
//! byte. The kernel lists a register by its 16-byte name if it has one.

use super::codec::wire_enum;

wire_enum! {
    #[doc(alias = "nft_registers")]
    Register: u32 {
        Verdict = 0,
        R1 = 1,
        R2 = 2,
        R3 = 3,
        R4 = 4,
        Slot0 = 8,
        Slot1 = 9,
        Slot2 = 10,
        Slot3 = 11,
        Slot4 = 12,
        Slot5 = 13,
        Slot6 = 14,
        Slot7 = 15,
        Slot8 = 16,
        Slot9 = 17,
        Slot10 = 18,
        Slot11 = 19,
        Slot12 = 20,
        Slot13 = 21,
        Slot14 = 22,
        Slot15 = 23,
    }
}

impl Register {
    /// Returns the register that begins at a 4-byte slot, under the name that the kernel lists.
    pub(crate) fn at_slot(slot: u32) -> Option<Self> {
        const FIRST_SLOT: u32 = 8;
        const SLOTS_OF_A_LONG_REGISTER: u32 = 4;
        match slot {
            0..16 if slot.is_multiple_of(SLOTS_OF_A_LONG_REGISTER) => {
                Self::from_number(1 + slot / SLOTS_OF_A_LONG_REGISTER)
            }
            0..16 => Self::from_number(FIRST_SLOT + slot),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_the_name_the_kernel_lists() {
        let names: Vec<_> = (0..17).map(Register::at_slot).collect();
        assert_eq!(names[0], Some(Register::R1));
        assert_eq!(names[1], Some(Register::Slot1));
        assert_eq!(names[4], Some(Register::R2));
        assert_eq!(names[15], Some(Register::Slot15));
        assert_eq!(names[16], None);
    }
}
