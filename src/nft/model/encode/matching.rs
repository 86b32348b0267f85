//! What rules look for, as expressions.

use super::{Encoder, network_match, prefix_mask, shape_of};
use crate::nft::model::field::{Field, Network};
use crate::nft::model::interval::DataKind;
use crate::nft::model::part::{Group, Match, Test};
use crate::nft::model::set_message::set_message;
use crate::wire::nft::data::Value;
use crate::wire::nft::expr::bitwise::Bitwise;
use crate::wire::nft::expr::cmp::Comparison;
use crate::wire::nft::expr::lookup::{Lookup, LookupFlags};
use crate::wire::nft::expr::range::{Range, RangeOp};
use crate::wire::nft::register::Register;
use crate::wire::nft::register::Register::R1;
use crate::wire::nft::set as wire_set;

impl Encoder<'_> {
    pub(super) fn network(&mut self, network: Network) {
        let (field, value) = network_match(self.context.family, network);
        self.push(field.load(R1));
        self.compare(Comparison::Equal, value);
    }

    pub(super) fn matching(&mut self, one: &Match) -> Result<(), String> {
        let equal = if one.not { Comparison::NotEqual } else { Comparison::Equal };
        let field = *one.fields.first().ok_or("a match of nothing")?;
        match &one.test {
            Test::Is(value) => {
                self.load(&[field])?;
                self.compare(equal, *value);
            }
            Test::Link(device) => {
                self.load(&[field])?;
                self.compare(equal, super::divert::index(device)?);
            }
            Test::Beginning(name) => {
                self.load(&[field])?;
                let bytes = Value::new(name.as_bytes()).ok_or("a name is too long")?;
                self.compare(equal, bytes);
            }
            Test::Prefix(value, bits) if bits.is_multiple_of(8) && field.is_in_packet() => {
                let length = u32::from(bits / 8);
                self.push(field.load_first(R1, length));
                let bytes = value.as_slice().get(..length as usize).and_then(Value::new);
                self.compare(equal, bytes.ok_or("a prefix is too long")?);
            }
            Test::Prefix(value, bits) => {
                self.load(&[field])?;
                let mask = prefix_mask(*bits, value.len()).ok_or("a prefix is too long")?;
                self.mask(mask);
                self.compare(equal, *value);
            }
            Test::Range(from, to) if one.not => {
                self.load(&[field])?;
                self.push(Range { sreg: R1, op: RangeOp::Outside, from: *from, to: *to });
            }
            Test::Range(from, to) => {
                self.load(&[field])?;
                self.compare(Comparison::GreaterOrEqual, *from);
                self.compare(Comparison::LessOrEqual, *to);
            }
            Test::Bits { mask, value } => {
                self.load(&[field])?;
                self.mask(*mask);
                self.compare(equal, *value);
            }
            Test::AnyBit(mask) => {
                self.load(&[field])?;
                self.mask(*mask);
                let any = if one.not { Comparison::Equal } else { Comparison::NotEqual };
                self.compare(any, mask.zeroed());
            }
            Test::In(group) => {
                let register = self.load(&one.fields)?;
                let lookup = self.lookup(&one.fields, group, None)?;
                let flags = if one.not { LookupFlags::INVERTED } else { LookupFlags::empty() };
                self.push(Lookup { sreg: register, flags, ..lookup });
            }
        }
        Ok(())
    }

    fn mask(&mut self, mask: Value) {
        self.push(Bitwise::mask(R1, mask));
    }

    /// Loads fields one after the other, and tells where they begin.
    pub(super) fn load(&mut self, fields: &[Field]) -> Result<Register, String> {
        self.load_from(0, fields)
    }

    /// The same, from this slot of 4 bytes on.
    pub(super) fn load_from(&mut self, first: u32, fields: &[Field]) -> Result<Register, String> {
        const TOO_LONG: &str = "a key of more than 64 bytes";
        let mut slot = first;
        if let [Field::Numgen(number)] = fields {
            let hashed = number.fields();
            if !hashed.is_empty() {
                self.load_from(4, &hashed)?;
            }
        } else if fields.iter().any(|field| matches!(field, Field::Numgen(_))) {
            return Err("a number is a key of its own, not one of several fields".into());
        }
        for field in fields {
            let register = Register::at_slot(slot).ok_or(TOO_LONG)?;
            self.push(field.load(register));
            slot += field.value_type().len().div_ceil(4);
        }
        Ok(Register::at_slot(first).ok_or(TOO_LONG)?)
    }

    pub(super) fn lookup(
        &mut self,
        fields: &[Field],
        group: &Group,
        data: Option<DataKind>,
    ) -> Result<Lookup, String> {
        let (elements, interval) = match group {
            Group::Named(name) => return Ok(Lookup::is_in(R1, name)),
            Group::Written { elements, interval } => (elements, *interval),
        };
        let shape = shape_of(fields, data, interval);
        let encoded = shape.encode_anonymous(elements)?;
        *self.next_set += 1;
        let name = match shape.data {
            None => "__set%d",
            Some(DataKind::Object(_)) => "__objmap%d",
            Some(_) => "__map%d",
        };
        let mut set = set_message(self.table, name, &shape, *self.next_set)?;
        let flags = set.flags.unwrap_or_default();
        set.flags = Some(flags | wire_set::SetFlags::ANONYMOUS | wire_set::SetFlags::CONSTANT);
        set.desc.size = u32::try_from(encoded.len()).ok();
        self.out.sets.push((set, encoded));
        Ok(Lookup { set_id: Some(*self.next_set), ..Lookup::is_in(R1, name) })
    }
}
