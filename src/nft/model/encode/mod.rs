//! Rules as expressions, in the form `nft` gives them.

mod divert;
mod mark;
mod matching;
mod statement;

use super::context::Context;
use super::datum::Span;
use super::element::Element;
use super::family::Family;
use super::field::{Field, Network};
use super::interval::{DataKind, Shape};
use super::part::Part;
use crate::wire::nft::data::Value;
use crate::wire::nft::element as wire_element;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::cmp::{Cmp, Comparison};
use crate::wire::nft::register::Register::R1;
use crate::wire::nft::set as wire_set;

/// A rule's expressions, and the sets written into it, which have to be made before it.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) sets: Vec<(wire_set::Set, Vec<wire_element::Element>)>,
    pub(crate) expressions: Vec<Expr>,
}

/// Encodes the parts of a rule for a table. `next_set` numbers the sets of a transaction.
pub(crate) fn encode(
    parts: &[Part],
    family: Family,
    table: &str,
    next_set: &mut u32,
) -> Result<Encoded, String> {
    let mut encoder =
        Encoder { context: Context::new(family), table, next_set, out: Encoded::default() };
    for part in parts {
        for dependency in encoder.context.missing(part) {
            encoder.part(&dependency)?;
            encoder.context.learn(&dependency);
        }
        encoder.part(part)?;
        encoder.context.learn(part);
    }
    Ok(encoder.out)
}

struct Encoder<'a> {
    context: Context,
    table: &'a str,
    next_set: &'a mut u32,
    out: Encoded,
}

impl Encoder<'_> {
    fn push(&mut self, expr: impl Into<Expr>) {
        self.out.expressions.push(expr.into());
    }

    fn compare(&mut self, op: Comparison, data: Value) {
        self.push(Cmp { sreg: R1, op, data });
    }
}

/// What a map of addresses is for has to be known.
pub(crate) const NO_FAMILY: &str = "addresses of which family? say ipv4() or ipv6() before";

/// What tells a network protocol in this family, as `nft` asks for it.
pub(crate) fn network_match(family: Family, network: Network) -> (Field, Value) {
    match (family, network) {
        (Family::Bridge, Network::Arp) => (Field::EtherType, network.ether_type().into()),
        (Family::Bridge | Family::Netdev, _) => (Field::LinkProtocol, network.ether_type().into()),
        _ => (Field::NetfilterProtocol, network.netfilter_protocol().into()),
    }
}

pub(crate) fn shape_of(fields: &[Field], data: Option<DataKind>, interval: bool) -> Shape {
    let key = fields.iter().map(|field| field.value_type()).collect();
    Shape { key, data, interval, timeout: false }
}

/// Whether the elements need a set with intervals.
pub(crate) fn has_intervals(elements: &[Element]) -> bool {
    elements.iter().flat_map(Element::key).any(|span| !matches!(span, Span::One(_)))
}

/// The first `bits` bits of `length` bytes.
pub(crate) fn prefix_mask(bits: u8, length: u32) -> Option<Value> {
    let ones = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    ones.to_be_bytes().get(..length as usize).and_then(Value::new)
}
