//! Marks of packets and connections: `meta mark set`, `ct mark set`.

use crate::nft::model::numgen::Numgen;
use crate::nft::model::prelude::*;
use crate::wire::nft::data::Value;
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
    Field(Field),
}

impl Rule {
    /// Sets the mark of the packet: `meta mark set`.
    pub fn set_mark(self, mark: u32) -> Self {
        self.mark_set(Field::Mark, MarkValue::Constant(mark))
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
            MarkValue::Constant(mark) => encoder.constant(Value::host_u32(mark)),
            MarkValue::Field(field) => encoder.load(&[field])?,
        };
        encoder.push(match self.target {
            Field::CtMark => Expr::from(Ct::Set { sreg: R1, key: CtKey::Mark, direction: None }),
            _ => Meta::Set { sreg: R1, key: MetaKey::Mark }.into(),
        });
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
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
            MarkValue::Constant(_) => [&[], &[]],
        }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} set ", self.target)?;
        match self.value {
            MarkValue::Constant(mark) => write!(f, "0x{mark:08x}"),
            MarkValue::Field(field) => write!(f, "{field}"),
        }
    }
}
