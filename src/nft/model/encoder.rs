//! Encodes the statements of a rule as expressions, as `nft` does.

use super::context::{Context, Fact, Protocol};
use super::family::Family;
use super::field::Field;
use super::interval::{DataKind, Shape};
use super::network::Network;
use super::set_message::set_message;
use super::set_ref::{SetRef, shape_of};
use crate::wire::nft::data::Value;
use crate::wire::nft::element as wire_element;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::bitwise::Bitwise;
use crate::wire::nft::expr::cmp::{Cmp, Comparison};
use crate::wire::nft::expr::immediate::Immediate;
use crate::wire::nft::expr::lookup::Lookup;
use crate::wire::nft::register::Register::{self, R1, R2, R3, R4};
use crate::wire::nft::set as wire_set;

/// The kernel's `ARPHRD_ETHER`.
pub(crate) const ETHERNET: u16 = 1;

/// The expressions of a rule, and its anonymous sets, which must be created before the rule.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) sets: Vec<(wire_set::Set, Vec<wire_element::Element>)>,
    pub(crate) expressions: Vec<Expr>,
    /// The named sets that the rule looks up, each with the types that the rule needs.
    pub(crate) named: Vec<(String, Shape)>,
}

/// Encodes the statements of one rule.
pub(crate) struct Encoder<'a> {
    pub(crate) context: Context,
    table: &'a str,
    next_set: &'a mut u32,
    /// The number of registers that have constants for the next expression.
    constants: usize,
    pub(crate) encoded: Encoded,
}

impl<'a> Encoder<'a> {
    /// Creates an encoder for a rule of this table. `next_set` is the transaction's counter of
    /// sets.
    pub(crate) fn new(family: Family, table: &'a str, next_set: &'a mut u32) -> Self {
        let (context, encoded) = (Context::new(family), Encoded::default());
        Self { context, table, next_set, constants: 0, encoded }
    }

    /// Appends an expression. It uses the constants loaded so far; later expressions don't.
    pub(crate) fn push(&mut self, expr: impl Into<Expr>) {
        self.constants = 0;
        self.encoded.expressions.push(expr.into());
    }

    /// Appends a comparison of register 1.
    pub(crate) fn compare(&mut self, op: Comparison, data: Value) {
        self.push(Cmp { sreg: R1, op, data });
    }

    pub(crate) fn mask(&mut self, mask: Value) {
        self.push(Bitwise::mask(R1, mask));
    }

    /// Loads a constant into the next register without a constant.
    pub(crate) fn constant(&mut self, value: impl Into<Value>) -> Register {
        let register = [R1, R2, R3].get(self.constants).copied().unwrap_or(R4);
        self.encoded.expressions.push(Immediate::value(register, value).into());
        self.constants += 1;
        register
    }

    /// Loads the first and the last value of a range into registers. If both are equal, loads only
    /// one and returns no second register.
    pub(crate) fn range<T: Into<Value> + Copy + PartialEq>(
        &mut self,
        range: Option<(T, T)>,
    ) -> (Option<Register>, Option<Register>) {
        let Some((first, last)) = range else { return (None, None) };
        let min = self.constant(first);
        (Some(min), (first != last).then(|| self.constant(last)))
    }

    /// Appends the match that establishes a fact.
    pub(crate) fn establish(&mut self, fact: Fact) {
        let (field, value) = match fact {
            Fact::Network(network) => network_match(self.context.family, network),
            Fact::Protocol(Protocol::One(number)) => (Field::Protocol, number.into()),
            Fact::Ethernet(_) => (Field::Iiftype, Value::host_u16(ETHERNET)),
            Fact::Protocol(_) => return,
        };
        self.push(field.load(R1));
        self.compare(Comparison::Equal, value);
        self.context.learn(fact);
    }

    /// Loads fields into consecutive registers, and returns the first register.
    pub(crate) fn load(&mut self, fields: &[Field]) -> Result<Register, String> {
        self.load_from(0, fields)
    }

    /// Loads fields into registers from the 4-byte slot `first` on.
    pub(crate) fn load_from(&mut self, first: u32, fields: &[Field]) -> Result<Register, String> {
        const TOO_LONG: &str = "a key of more than 64 bytes";
        let mut slot = first;
        if let [Field::Numgen(number)] = fields {
            let hashed = number.fields();
            if !hashed.is_empty() {
                self.load_from(4, &hashed)?;
            }
        } else if fields.iter().any(|field| matches!(field, Field::Numgen(_))) {
            return Err("a computed number can't be combined with other fields in a key".into());
        }
        for field in fields {
            self.push(field.load(Register::at_slot(slot).ok_or(TOO_LONG)?));
            slot += slots(*field);
        }
        Ok(Register::at_slot(first).ok_or(TOO_LONG)?)
    }

    /// Records that the rule looks up a named set, with the types that the rule needs.
    pub(crate) fn names(&mut self, set: &str, fields: &[Field], data: Option<DataKind>) {
        self.encoded.named.push((set.to_owned(), shape_of(fields, data, false)));
    }

    /// Returns the expression that looks up register 1 in a set or map. An anonymous set is added
    /// to the sets that are created before the rule.
    pub(crate) fn lookup(
        &mut self,
        fields: &[Field],
        set: &SetRef,
        data: Option<DataKind>,
    ) -> Result<Lookup, String> {
        let (elements, interval) = match set {
            SetRef::Named(name) => {
                self.names(name, fields, data);
                return Ok(Lookup::is_in(R1, name));
            }
            SetRef::Anonymous { elements, interval } => (elements, *interval),
        };
        let name = match data {
            None => "__set%d",
            Some(DataKind::Object(_)) => "__objmap%d",
            Some(_) => "__map%d",
        };
        let shape = shape_of(fields, data, interval);
        let elements = shape.encode_anonymous(elements)?;
        *self.next_set += 1;
        let mut set = set_message(self.table, name, &shape, *self.next_set)?;
        let flags = set.flags.unwrap_or_default();
        set.flags = Some(flags | wire_set::SetFlags::ANONYMOUS | wire_set::SetFlags::CONSTANT);
        set.desc.size = u32::try_from(elements.len()).ok();
        self.encoded.sets.push((set, elements));
        Ok(Lookup { set_id: Some(*self.next_set), ..Lookup::is_in(R1, name) })
    }
}

/// Returns the number of 4-byte slots that a field takes.
pub(crate) fn slots(field: Field) -> u32 {
    field.value_type().len().div_ceil(4)
}

/// Returns the field and value of the match on a network protocol, as `nft` writes it in this
/// family.
pub(crate) fn network_match(family: Family, network: Network) -> (Field, Value) {
    match (family, network) {
        (Family::Bridge, Network::Arp) => (Field::EtherType, network.ether_type().into()),
        (Family::Bridge | Family::Netdev, _) => (Field::LinkProtocol, network.ether_type().into()),
        _ => (Field::NetfilterProtocol, network.netfilter_protocol().into()),
    }
}

/// Returns a mask of `length` bytes with the first `bits` bits set.
pub(crate) fn prefix_mask(bits: u8, length: u32) -> Option<Value> {
    let ones = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    ones.to_be_bytes().get(..length as usize).and_then(Value::new)
}
