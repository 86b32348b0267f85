//! The statements, one file each: value, setter, text, encoder, decoder, checks.

pub(crate) mod clamp_mss;
pub(crate) mod connections;
pub(crate) mod counter;
pub(crate) mod dup;
pub(crate) mod flow_add;
pub(crate) mod fwd;
pub(crate) mod limit;
pub(crate) mod log;
pub(crate) mod mark;
pub(crate) mod matching;
pub(crate) mod nat;
pub(crate) mod network_match;
pub(crate) mod notrack;
pub(crate) mod object_ref;
pub(crate) mod queue;
pub(crate) mod quota;
pub(crate) mod reject;
pub(crate) mod set_update;
pub(crate) mod synproxy;
pub(crate) mod tproxy;
pub(crate) mod unknown;
pub(crate) mod verdict;

use self::unknown::Unknown;
use super::family::Family;
use super::reader::{KnownSets, Reader, is_anonymous};
use super::rule::encode;
use super::statement::{self, Statement};
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::counter::Counter;
use crate::wire::nft::expr::dynset::Dynset;
use crate::wire::nft::expr::lookup::Lookup;
use crate::wire::nft::expr::objref::Objref;
use crate::wire::nft::expr::quota::Quota;
use crate::wire::nft::expr::stateful::Stateful;

type Decoder = fn(&mut Reader<'_>, &Expr) -> Option<Box<dyn Statement>>;

/// The decoders, in the order in which they are tried.
const DECODERS: &[Decoder] = &[
    boxed::<network_match::NetworkMatch>,
    boxed::<matching::Match>,
    boxed::<verdict::VerdictStatement>,
    boxed::<counter::CounterStatement>,
    boxed::<limit::Limit>,
    boxed::<log::Log>,
    boxed::<reject::RejectStatement>,
    boxed::<nat::Nat>,
    boxed::<mark::SetMark>,
    boxed::<set_update::SetUpdate>,
    boxed::<object_ref::ObjectRef>,
    boxed::<quota::QuotaStatement>,
    boxed::<connections::Connections>,
    boxed::<notrack::NotrackStatement>,
    boxed::<clamp_mss::ClampMss>,
    boxed::<flow_add::FlowAdd>,
    boxed::<queue::Queue>,
    boxed::<dup::DupStatement>,
    boxed::<fwd::FwdStatement>,
    boxed::<tproxy::TproxyStatement>,
    boxed::<synproxy::Synproxy>,
];

fn boxed<T: Statement>(reader: &mut Reader<'_>, expr: &Expr) -> Option<Box<dyn Statement>> {
    Some(Box::new(T::decode(reader, expr)?))
}

/// Decodes a rule. A rule that would not be encoded to the same expressions is one unknown statement.
pub(crate) fn decode(family: Family, list: &[Expr], sets: &KnownSets) -> Vec<Box<dyn Statement>> {
    let mut reader = Reader::new(family, list, sets);
    let mut statements = Vec::new();
    let mut unknown: Vec<Expr> = Vec::new();
    let mut rest = list;
    while let Some((first, after)) = rest.split_first() {
        reader.restart(rest);
        let Some(statement) = next(&mut reader) else {
            unknown.push(first.clone());
            rest = after;
            continue;
        };
        rest = reader.following();
        statement.establishes().into_iter().for_each(|fact| reader.context.learn(fact));
        flush(&mut unknown, &mut statements);
        statement::push(family, &mut statements, statement);
    }
    flush(&mut unknown, &mut statements);
    let again = encode(&statements, family, "", &mut 0);
    if again.is_ok_and(|again| comparable(list) == comparable(&again.expressions)) {
        return statements;
    }
    vec![Box::new(Unknown::new(list.to_vec()))]
}

fn next(reader: &mut Reader<'_>) -> Option<Box<dyn Statement>> {
    let expr = reader.next_use()?;
    DECODERS.iter().find_map(|decode| decode(reader, expr))
}

/// Appends the expressions that were read as unknown, as one statement.
fn flush(unknown: &mut Vec<Expr>, statements: &mut Vec<Box<dyn Statement>>) {
    if !unknown.is_empty() {
        statements.push(Box::new(Unknown::new(std::mem::take(unknown))));
    }
}

/// The expressions as the kernel lists them, without counts and without names that the kernel chose.
fn comparable(list: &[Expr]) -> Vec<Expr> {
    let one = |expr: &Expr| match expr.clone().into_listed() {
        Expr::Counter(_) => Counter::default().into(),
        Expr::Quota(quota) => Quota { consumed: 0, ..quota }.into(),
        Expr::Dynset(dynset) => {
            let own = dynset.expressions.into_iter();
            let expressions = own.map(Stateful::without_counts).collect();
            Dynset { expressions, ..dynset }.into()
        }
        Expr::Lookup(lookup) if is_anonymous(&lookup.set) => {
            Lookup { set: String::new(), ..lookup }.into()
        }
        Expr::Objref(Objref::Map { sreg, map, map_id }) if is_anonymous(&map) => {
            Objref::Map { sreg, map: String::new(), map_id }.into()
        }
        same => same,
    };
    list.iter().map(one).collect()
}
