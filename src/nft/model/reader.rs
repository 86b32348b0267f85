//! Reads rules: keeps track of what expressions load into registers, so that statements can decode
//! the expressions that follow.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::context::Context;
use super::element::Element;
use super::family::Family;
use super::field::Field;
use super::numgen::Numgen;
use super::object::ObjectKind;
use super::set_ref::{MapLookup, SetRef};
use super::types::Type;
use crate::wire::attribute::Attribute;
use crate::wire::nft::data::{Data, Value};
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::immediate::Immediate;
use crate::wire::nft::expr::lookup::Lookup;
use crate::wire::nft::register::Register;
use crate::wire::nft::register::Register::R1;

/// The sets and maps of a table, as far as its rules need them to be read.
#[derive(Debug, Default)]
pub(crate) struct KnownSets {
    /// The elements of anonymous sets, by the names that the kernel chose.
    pub(crate) elements: BTreeMap<String, Vec<Element>>,
    /// The kinds of objects, by the names of the maps that refer to objects.
    pub(crate) objects: BTreeMap<String, ObjectKind>,
}

/// The content of a register, as an expression loaded it.
#[derive(Debug)]
enum Operand {
    Constant(Value),
    /// A field, and the number of loaded bytes.
    Field(Field, u32),
    Map(MapLookup),
}

/// Reads the statements of one rule.
///
/// A decoder may be too generous. If the read rule does not encode to the same expressions again,
/// it is kept as unknown expressions.
pub(crate) struct Reader<'a> {
    pub(crate) context: Context,
    sets: &'a KnownSets,
    operands: Vec<(Register, Operand)>,
    following: &'a [Expr],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(family: Family, list: &'a [Expr], sets: &'a KnownSets) -> Self {
        Self { context: Context::new(family), sets, operands: Vec::new(), following: list }
    }

    /// Returns the expressions after the one being decoded.
    pub(crate) fn following(&self) -> &'a [Expr] {
        self.following
    }

    /// Consumes the next expressions as part of the statement.
    pub(crate) fn consume(&mut self, count: usize) {
        self.following = self.following.get(count..).unwrap_or_default();
    }

    /// Starts again at these expressions, and forgets what is loaded.
    pub(crate) fn restart(&mut self, list: &'a [Expr]) {
        self.following = list;
        self.operands.clear();
    }

    /// Skips the expressions that load operands. Returns the first expression that uses the
    /// operands.
    pub(crate) fn next_use(&mut self) -> Option<&'a Expr> {
        loop {
            let (first, rest) = self.following.split_first()?;
            self.following = rest;
            if !self.load(first) {
                return Some(first);
            }
        }
    }

    fn load(&mut self, expr: &Expr) -> bool {
        if let Expr::Immediate(Immediate { dreg, data: Data::Value(value) }) = expr {
            self.operands.push((*dreg, Operand::Constant(*value)));
            return true;
        }
        if let Some((field, register, length)) = Field::loaded_by(expr, |field, length| {
            let is_prefix = matches!(field.value_type(), Type::Ipv4 | Type::Ipv6);
            let whole = field.value_type().len();
            (length == whole || is_prefix && length < whole)
                && self.context.has(field, &self.fields())
        }) {
            self.operands.push((register, Operand::Field(field, length)));
            return true;
        }
        if let Some(number) = Numgen::decode(expr, |modulus| Numgen::jhash(self.fields(), modulus))
        {
            let number = Field::Numgen(number);
            self.operands.clear();
            self.operands.push((R1, Operand::Field(number, number.value_type().len())));
            return true;
        }
        match expr {
            Expr::Lookup(Lookup { sreg: R1, dreg: Some(R1), set, inverted: false, .. }) => {
                let Some(map) = self.map(set) else { return false };
                self.operands.clear();
                self.operands.push((R1, Operand::Map(map)));
                true
            }
            _ => false,
        }
    }

    /// Returns all loaded fields.
    pub(crate) fn fields(&self) -> Vec<Field> {
        self.operands.iter().filter_map(|(_, operand)| field(operand)).collect()
    }

    /// Returns the loaded fields as a key. Returns `None` if no field is loaded.
    pub(crate) fn key(&self) -> Option<Vec<Field>> {
        Some(self.fields()).filter(|fields| !fields.is_empty())
    }

    /// Splits the loaded fields into a key, and the data from register `data` on.
    pub(crate) fn key_and_data(&self, data: Register) -> Option<(Vec<Field>, Vec<Field>)> {
        let at = self.operands.iter().position(|(register, _)| *register == data)?;
        let (key, data) = self.operands.split_at(at);
        let fields =
            |list: &[(_, Operand)]| list.iter().filter_map(|(_, one)| field(one)).collect();
        Some((fields(key), fields(data)))
    }

    /// Returns the only loaded field, and the number of its loaded bytes.
    pub(crate) fn one_field(&self) -> Option<(Field, u32)> {
        match self.operands.as_slice() {
            [(R1, Operand::Field(field, length))] => Some((*field, *length)),
            _ => None,
        }
    }

    /// Returns the map look-up whose data is in register 1.
    pub(crate) fn mapped(&self) -> Option<&MapLookup> {
        match self.operands.as_slice() {
            [(R1, Operand::Map(map))] => Some(map),
            _ => None,
        }
    }

    /// Returns the look-up of the loaded key in the map `name`.
    pub(crate) fn map(&self, name: &str) -> Option<MapLookup> {
        Some(MapLookup { key: self.key()?, map: self.set(name)? })
    }

    /// Returns the set with this name.
    pub(crate) fn set(&self, name: &str) -> Option<SetRef> {
        if !is_anonymous(name) {
            return Some(SetRef::Named(name.to_owned()));
        }
        Some(SetRef::anonymous(self.sets.elements.get(name)?.clone()))
    }

    /// Returns the kind of the objects that a map refers to.
    pub(crate) fn object_kind(&self, map: &str) -> Option<ObjectKind> {
        self.sets.objects.get(map).copied()
    }

    pub(crate) fn constant(&self, register: Register) -> Option<Value> {
        self.operands.iter().find_map(|(dreg, operand)| match operand {
            Operand::Constant(value) if *dreg == register => Some(*value),
            _ => None,
        })
    }

    /// Returns a constant of 32 bits in host byte order.
    pub(crate) fn number(&self, register: Register) -> Option<u32> {
        self.constant(register)?.as_slice().try_into().ok().map(u32::from_ne_bytes)
    }

    /// Reads an optional register. Returns `None` if a register is given, but its value can't be
    /// read.
    #[allow(clippy::option_option)] // the outer `Option` is for `?`
    pub(crate) fn optional<T>(
        &self,
        register: Option<Register>,
        read: impl FnOnce(&Self, Register) -> Option<T>,
    ) -> Option<Option<T>> {
        register.map_or(Some(None), |register| read(self, register).map(Some))
    }

    /// Reads an optional range. If only one register is given, the range has one value.
    #[allow(clippy::option_option)] // as in `optional`
    pub(crate) fn range<T>(
        &self,
        min: Option<Register>,
        max: Option<Register>,
        read: impl Fn(&Self, Register) -> Option<T>,
    ) -> Option<Option<(T, T)>> {
        let ends = |_: &_, min| Some((read(self, min)?, read(self, max.unwrap_or(min))?));
        self.optional(min, ends)
    }

    pub(crate) fn port(&self, register: Register) -> Option<u16> {
        self.constant(register)?.as_slice().try_into().ok().map(u16::from_be_bytes)
    }

    pub(crate) fn address(&self, register: Register) -> Option<IpAddr> {
        Attribute::of(self.constant(register)?.as_slice()).ip()
    }
}

fn field(operand: &Operand) -> Option<Field> {
    match operand {
        Operand::Field(field, _) => Some(*field),
        Operand::Constant(_) | Operand::Map(_) => None,
    }
}

/// Returns whether the name is one that the kernel chose for an anonymous set.
pub(crate) fn is_anonymous(set: &str) -> bool {
    ["__set", "__map", "__objmap"].iter().any(|beginning| set.starts_with(beginning))
}
