//! The statements, one file each: value, setter, text, encoder, decoder, checks.

pub(crate) mod unknown;

use self::unknown::Unknown;
use super::family::Family;
use super::reader::{KnownSets, Reader, is_anonymous};
use super::rule::{Rule, encode};
use super::statement::{self, Statement};
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::counter::Counter;
use crate::wire::nft::expr::lookup::Lookup;
use crate::wire::nft::expr::objref::Objref;
use crate::wire::nft::expr::stateful::Stateful;

type Decoder = fn(&mut Reader<'_>, &Expr) -> Option<Box<dyn Statement>>;

/// Lists the statements by file and type. Decoders are tried in this order.
macro_rules! statements {
    ($($file:ident::$statement:ident,)*) => {
        $(pub(crate) mod $file;)*

        const DECODERS: &[Decoder] = &[$(boxed::<$file::$statement>,)*];
    };
}

statements! {
    network_match::NetworkMatch,
    matching::Match,
    verdict::VerdictStatement,
    counter::Counter,
    limit::Limit,
    log::Log,
    reject::RejectStatement,
    nat::Nat,
    mark::SetMark,
    set_update::SetUpdate,
    object_ref::ObjectRef,
    quota::Quota,
    connections::Connlimit,
    notrack::Notrack,
    clamp_mss::ClampMss,
    flow_add::FlowOffload,
    queue::Queue,
    dup::Dup,
    fwd::Fwd,
    tproxy::Tproxy,
    synproxy::Synproxy,
}

fn boxed<T: Statement>(reader: &mut Reader<'_>, expr: &Expr) -> Option<Box<dyn Statement>> {
    Some(Box::new(T::decode(reader, expr)?))
}

/// Decodes a rule. If the decoded rule would not encode to the same expressions, returns a single
/// unknown statement.
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
    vec![Box::new(Unknown(list.to_vec()))]
}

/// Returns whether these expressions are read as the statements of a rule, whatever its comment.
pub(crate) fn is_rule(rule: &Rule, family: Family, list: &[Expr]) -> bool {
    decode(family, list, &KnownSets::default()) == rule.statements
}

fn next(reader: &mut Reader<'_>) -> Option<Box<dyn Statement>> {
    let expr = reader.next_use()?;
    DECODERS.iter().find_map(|decode| decode(reader, expr))
}

/// Appends the expressions that no decoder accepted, as one unknown statement.
fn flush(unknown: &mut Vec<Expr>, statements: &mut Vec<Box<dyn Statement>>) {
    if !unknown.is_empty() {
        statements.push(Box::new(Unknown(std::mem::take(unknown))));
    }
}

/// Returns the listed expressions without counts and without names that the kernel chose, for
/// comparison.
fn comparable(list: &[Expr]) -> Vec<Expr> {
    let one = |expr: &Expr| {
        let mut one = expr.clone().into_listed();
        match &mut one {
            Expr::Counter(counter) => *counter = Counter::default(),
            Expr::Quota(quota) => quota.consumed = 0,
            Expr::Dynset(dynset) => {
                let own = std::mem::take(&mut dynset.each.expressions).into_iter();
                dynset.each.expressions = own.map(Stateful::without_counts).collect();
            }
            Expr::Lookup(Lookup { set, .. }) | Expr::Objref(Objref::Map { map: set, .. })
                if is_anonymous(set) =>
            {
                set.clear();
            }
            _ => {}
        }
        one
    };
    list.iter().map(one).collect()
}
