//! Marks of packets and connections: `meta mark set`, `ct mark set`.

use crate::nft::model::numgen::Numgen;
use crate::nft::model::prelude::*;
use crate::wire::nft::data::Value;
use crate::wire::nft::expr::bitwise::{Bitwise, BitwiseOp};
use crate::wire::nft::expr::ct::{Ct, CtKey};
use crate::wire::nft::expr::meta::{Meta, MetaKey};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetMark {
    /// The field to set: the mark of the packet, or the mark of its connection.
    target: Field,
    value: MarkValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum MarkValue {
    Constant(u32),
    /// Bits of the mark that are set, among the bits of a mask. The other bits stay.
    Bits {
        mark: u32,
        mask: u32,
    },
    Field(Field),
}

impl Rule {
    /// Sets the mark of the packet: `meta mark set`.
    pub fn set_mark(self, mark: u32) -> Self {
        self.mark_set(Field::Mark, MarkValue::Constant(mark))
    }

    /// Sets the bits of the packet's mark that are in the mask, and leaves the other bits:
    /// `meta mark set meta mark & 0xfffff1ff | 0x00000100` for `set_mark_bits(0x100, 0xf00)`. Bits
    /// of `mark` outside the mask are ignored.
    #[doc(alias("MARK --set-xmark", "bitwise"))]
    pub fn set_mark_bits(self, mark: u32, mask: u32) -> Self {
        self.mark_set(Field::Mark, MarkValue::Bits { mark: mark & mask, mask })
    }

    /// Sets the mark of the connection: `ct mark set`.
    pub fn set_ct_mark(self, mark: u32) -> Self {
        self.mark_set(Field::CtMark, MarkValue::Constant(mark))
    }

    /// Sets the mark of the packet to a computed number: `meta mark set numgen …`.
    pub fn set_mark_from(self, number: Numgen) -> Self {
        self.mark_set(Field::Mark, MarkValue::Field(number.into()))
    }

    /// Sets the mark of the connection to a computed number: `ct mark set jhash …`.
    pub fn set_ct_mark_from(self, number: Numgen) -> Self {
        self.mark_set(Field::CtMark, MarkValue::Field(number.into()))
    }

    /// Copies the mark of the packet to its connection: `ct mark set meta mark`.
    pub fn save_mark(self) -> Self {
        self.mark_set(Field::CtMark, MarkValue::Field(Field::Mark))
    }

    /// Copies the mark of the connection to the packet: `meta mark set ct mark`.
    pub fn restore_mark(self) -> Self {
        self.mark_set(Field::Mark, MarkValue::Field(Field::CtMark))
    }

    fn mark_set(self, target: Field, value: MarkValue) -> Self {
        self.with(SetMark { target, value })
    }
}

impl Statement for SetMark {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        match self.value {
            MarkValue::Constant(mark) => drop(encoder.constant(Value::host_u32(mark))),
            MarkValue::Bits { mark, mask } => {
                encoder.load(&[self.target])?;
                let (mask, xor) = (Value::host_u32(!mask), Value::host_u32(mark));
                let (op, len) = (BitwiseOp::MaskXor, mask.len());
                encoder.push(Bitwise::Mask { sreg: R1, dreg: R1, op, len, mask, xor });
            }
            MarkValue::Field(field) => drop(encoder.load(&[field])?),
        }
        encoder.push(match self.target {
            Field::CtMark => Expr::from(Ct::Set { sreg: R1, key: CtKey::Mark, direction: None }),
            _ => Meta::Set { sreg: R1, key: MetaKey::Mark }.into(),
        });
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        if let (Expr::Bitwise(bitwise), [set, ..]) = (expr, reader.following()) {
            let Expr::Meta(Meta::Set { sreg: R1, key: MetaKey::Mark }) = set else { return None };
            let Bitwise::Mask { sreg: R1, dreg: R1, mask, xor, .. } = bitwise else { return None };
            let number = |value: &Value| value.as_slice().try_into().ok().map(u32::from_ne_bytes);
            let (mask, mark) = (!number(mask)?, number(xor)?);
            let is_mark = reader.one_field().is_some_and(|(field, _)| field == Field::Mark);
            if !is_mark || mark & !mask != 0 {
                return None;
            }
            reader.consume(1);
            return Some(Self { target: Field::Mark, value: MarkValue::Bits { mark, mask } });
        }
        let target = match expr {
            Expr::Meta(Meta::Set { sreg: R1, key: MetaKey::Mark }) => Field::Mark,
            Expr::Ct(Ct::Set { sreg: R1, key: CtKey::Mark, .. }) => Field::CtMark,
            _ => return None,
        };
        let field = || reader.one_field().map(|(field, _)| MarkValue::Field(field));
        let value = reader.number(R1).map(MarkValue::Constant).or_else(field)?;
        Some(Self { target, value })
    }

    fn fields(&self) -> [&[Field]; 2] {
        match &self.value {
            MarkValue::Field(field) => [std::slice::from_ref(field), &[]],
            MarkValue::Bits { .. } => [std::slice::from_ref(&self.target), &[]],
            MarkValue::Constant(_) => [&[], &[]],
        }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} set ", self.target)?;
        match self.value {
            MarkValue::Constant(mark) => write!(f, "0x{mark:08x}"),
            MarkValue::Bits { mark, mask } => {
                // `nft` leaves the bits that are set out of the mask.
                let kept = !mask | mark;
                write!(f, "{}", self.target)?;
                if kept != u32::MAX || mark == 0 {
                    write!(f, " & 0x{kept:08x}")?;
                }
                if mark == 0 { Ok(()) } else { write!(f, " | 0x{mark:08x}") }
            }
            MarkValue::Field(field) => write!(f, "{field}"),
        }
    }
}
