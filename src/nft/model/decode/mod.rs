//! Rules from what the kernel lists. What is not understood stays as it is.

mod matching;
mod statement;

use std::collections::BTreeMap;

use super::context::Context;
use super::element::Element;
use super::encode::encode;
use super::family::Family;
use super::object::ObjectKind;
use super::part::Part;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::counter::Counter;
use crate::wire::nft::expr::dynset::Dynset;
use crate::wire::nft::expr::lookup::Lookup;
use crate::wire::nft::expr::objref::Objref;
use crate::wire::nft::expr::quota::Quota;
use crate::wire::nft::expr::stateful::Stateful;

/// The sets that are written into rules, by the names the kernel gave them.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) elements: BTreeMap<String, Vec<Element>>,
    /// What the objects are to which maps of the table lead, written or not.
    pub(crate) objects: BTreeMap<String, ObjectKind>,
}

/// The parts of a rule. Written again they are the same expressions, or they stay unknown.
pub(crate) fn decode(family: Family, list: &[Expr], written: &Written) -> Vec<Part> {
    let mut decoder = Decoder { family, context: Context::new(family), written, parts: Vec::new() };
    let mut rest = list;
    while !rest.is_empty() {
        rest = decoder.step(rest);
    }
    let parts = without_dependencies(family, &decoder.parts);
    if comparable(list) == again(&parts, family) {
        return parts;
    }
    vec![Part::Unknown(list.to_vec())]
}

fn again(parts: &[Part], family: Family) -> Vec<Expr> {
    encode(parts, family, "", &mut 0).map_or(Vec::new(), |again| comparable(&again.expressions))
}

/// As the kernel lists them, but for counts and for the names of sets it chose.
fn comparable(list: &[Expr]) -> Vec<Expr> {
    let one = |expr: &Expr| match expr.clone().into_listed() {
        Expr::Counter(_) => Counter::default().into(),
        Expr::Quota(quota) => Quota { consumed: 0, ..quota }.into(),
        Expr::Dynset(dynset) => {
            let own = dynset.expressions.into_iter();
            let expressions = own.map(Stateful::without_counts).collect();
            Dynset { expressions, ..dynset }.into()
        }
        Expr::Lookup(lookup) if is_written(&lookup.set) => {
            Lookup { set: String::new(), ..lookup }.into()
        }
        Expr::Objref(Objref::Map { sreg, map, map_id }) if is_written(&map) => {
            Objref::Map { sreg, map: String::new(), map_id }.into()
        }
        same => same,
    };
    list.iter().map(one).collect()
}

fn is_written(set: &str) -> bool {
    ["__set", "__map", "__objmap"].iter().any(|beginning| set.starts_with(beginning))
}

/// Leaves out the matches that are written anew wherever they are needed.
pub(crate) fn without_dependencies(family: Family, parts: &[Part]) -> Vec<Part> {
    let mut context = Context::new(family);
    let mut kept = Vec::with_capacity(parts.len());
    let mut rest = parts;
    while let Some((first, after)) = rest.split_first() {
        let implied = (1..rest.len().min(3)).rev().find(|&count| {
            let (before, from) = rest.split_at(count);
            from.first().is_some_and(|part| context.missing(part) == before)
        });
        let (part, after) = match implied {
            Some(count) => {
                rest[..count].iter().for_each(|part| context.learn(part));
                (&rest[count], &rest[count + 1..])
            }
            None => (first, after),
        };
        context.learn(part);
        kept.push(part.clone());
        rest = after;
    }
    kept
}

struct Decoder<'a> {
    family: Family,
    context: Context,
    written: &'a Written,
    parts: Vec<Part>,
}

impl Decoder<'_> {
    /// Reads one part, and returns what is left.
    fn step<'e>(&mut self, list: &'e [Expr]) -> &'e [Expr] {
        let read = self.matching(list).or_else(|| self.statement(list));
        let (part, rest) = match (read, list.split_first()) {
            (Some(read), _) => read,
            (None, Some((first, rest))) => (Part::Unknown(vec![first.clone()]), rest),
            (None, None) => return list,
        };
        self.context.learn(&part);
        match (part, self.parts.last_mut()) {
            (Part::Unknown(more), Some(Part::Unknown(list))) => list.extend(more),
            (part, _) => self.parts.push(part),
        }
        rest
    }
}
