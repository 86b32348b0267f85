//! Rules that outlive the program: in a table that nobody owns, each with a tag as its comment.

use std::fmt;

use nix::errno::Errno;

use super::chains::NatChain;
use super::guarded::{NotOurs, ours, repeat, with_socket};
use super::handle::{ACTION, FAMILY, Kept, NatHandle, commit_rule, push_chain};
use super::rule::NatRule;
use crate::error::{Cause, Error};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::{Operations, read};
use crate::wire::message::{NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL};
use crate::wire::nft::codec::Codec;
use crate::wire::nft::data::ChainRef;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::message::MessageType;
use crate::wire::nft::rule::Rule;
use crate::wire::nft::table::{Table, TableFlags};
use crate::wire::nft::userdata::UserData;

const TABLE: &str = "netloom";
/// What makes a table ours: its comment.
const MARK: &str = "NAT rules of netloom, by tag";

/// Adds a rule to the persistent table, in one transaction with what of it is not there yet.
pub(super) fn add(
    netns: &Netns,
    tag: &str,
    chain: NatChain,
    expressions: Vec<Expr>,
    shown: &NatRule,
) -> Result<NatHandle, Error> {
    let rule =
        Rule { userdata: UserData::comment(tag), ..Rule::new(TABLE, chain.name(), expressions) };
    let add = |socket: &mut Socket| {
        repeat(socket, (ACTION, shown), |socket, generation| {
            let mut transaction = Operations::at_generation(generation);
            let known = ours(socket, FAMILY, TABLE, MARK);
            let mut table = known.map_err(|reason| reason.explain(ACTION, shown))?;
            if table.is_none() {
                let table = Table {
                    flags: Some(TableFlags::empty()),
                    userdata: UserData::comment(MARK),
                    ..Table::by_name(TABLE)
                };
                let create = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO;
                let step = ("add", &"a table" as &dyn fmt::Display);
                transaction.push(step, MessageType::NewTable, create, FAMILY, &table);
            }
            push_chain(&mut transaction, chain, TABLE);
            let mut is_done = false;
            let number = commit_rule(transaction, socket, &rule, shown, &mut is_done, |answer| {
                if answer.kind == MessageType::NewTable {
                    table = Table::decode(answer.attributes).and_then(|table| table.handle);
                }
            });
            let number = match number {
                Err(error) if error.is_outcome_unknown() => {
                    if is_done {
                        forget_unknown(socket, generation, tag);
                        return Err(error);
                    }
                    return Err(maybe_done(socket, generation, error));
                }
                number => number?,
            };
            let table = table.ok_or_else(|| {
                Cause::Malformed("a table without its number").doing(ACTION, shown)
            })?;
            Ok((table, number))
        })
    };
    let (table, rule) = with_socket(netns, shown, add)?;
    let kept = Some(Kept { tag: tag.to_owned(), table });
    Ok(NatHandle { netns: netns.clone(), table: TABLE.to_owned(), chain, rule, kept })
}

/// After an answer was lost without a word of what became of the rest. That somebody changed the ruleset does not
/// say who: another program may have added the like.
fn maybe_done(socket: &mut Socket, before: u32, error: Error) -> Error {
    match read::generation(socket) {
        Ok(now) if now == before => error,
        _ => error.hint("it may have been done, and is found by its tag then"),
    }
}

/// After an answer was lost, of what the kernel has done for certain: where that is the only change since, the
/// newest rule with the tag is ours, as rules are numbered upwards.
fn forget_unknown(socket: &mut Socket, before: u32, tag: &str) {
    if read::generation(socket).ok() != Some(before.wrapping_add(1)) {
        return;
    }
    let Ok(rules) = read::rules(socket, FAMILY, TABLE) else { return };
    let is_tagged =
        |rule: &&Rule| rule.userdata.as_ref().and_then(UserData::as_comment) == Some(tag);
    let Some(newest) = rules.iter().filter(is_tagged).max_by_key(|rule| rule.handle) else {
        return;
    };
    let mut transaction = Operations::at_generation(before.wrapping_add(1));
    let step = ("delete", &"what an unread answer told of" as &dyn fmt::Display);
    let rule = Rule { expressions: Vec::new(), position: None, userdata: None, ..newest.clone() };
    if rules.len() == 1 {
        let table = Table::by_name(TABLE);
        transaction.push(step, MessageType::DeleteTable, 0, FAMILY, &table);
    } else {
        transaction.push(step, MessageType::DeleteRule, 0, FAMILY, &rule);
    }
    transaction.commit(socket, |_| ()).ok();
}

/// By its number, in the table of its number; the last rule takes the table along. It costs the same however
/// many rules there are.
pub(super) fn remove(handle: &NatHandle, kept: &Kept) -> Result<(), Error> {
    let step = ("delete", handle as &dyn fmt::Display);
    with_socket(&handle.netns, handle, |socket| {
        repeat(socket, step, |socket, generation| {
            let doing = |cause: Cause| cause.doing(step.0, step.1);
            let table = read::table(socket, FAMILY, TABLE).map_err(doing)?;
            let which = (TABLE, handle.chain.name(), handle.rule);
            let found = table.filter(|table| table.handle == Some(kept.table));
            let rule = read::rule(socket, FAMILY, which).map_err(doing)?;
            let (Some(table), Some(_)) = (found, rule) else {
                return Err(doing(Errno::ENOENT.into()));
            };
            let mut transaction = Operations::at_generation(generation);
            if is_last(socket, &table).map_err(doing)? {
                let table = Table::by_handle(kept.table);
                transaction.push(step, MessageType::DeleteTable, 0, FAMILY, &table);
            } else {
                let rule = Rule::by_handle(TABLE, handle.chain.name(), handle.rule);
                transaction.push(step, MessageType::DeleteRule, 0, FAMILY, &rule);
            }
            transaction.commit(socket, |_| ())
        })
    })
}

/// Whether the table has one rule left, and nothing that is not of ours.
fn is_last(socket: &mut Socket, table: &Table) -> Result<bool, Cause> {
    let (mut chains, mut rules) = (0, 0);
    for chain in NatChain::ALL {
        if let Some(chain) = read::chain(socket, FAMILY, (TABLE, chain.name()))? {
            chains += 1;
            rules += chain.use_count.unwrap_or(0);
        }
    }
    Ok(rules == 1 && table.use_count == Some(chains))
}

impl Netns {
    /// The persistent NAT rules with this tag, in the order of their chains; none is no error.
    ///
    /// [`Owned::adopt`](crate::Owned::adopt) takes on the duty to delete one.
    ///
    /// # Errors
    ///
    /// Without `CAP_NET_ADMIN` it is [`is_permission_denied`](Error::is_permission_denied).
    pub fn nat_rules(&self, tag: &str) -> Result<Vec<NatHandle>, Error> {
        list(self, ("list NAT rules tagged", &tag), |of| of == tag)
    }
}

/// The persistent NAT rules of a namespace, whatever their tags.
pub(crate) fn all_rules(netns: &Netns) -> Result<Vec<NatHandle>, Error> {
    list(netns, ("list", &"persistent NAT rules"), |_| true)
}

fn list(
    netns: &Netns,
    (action, shown): (&'static str, &dyn fmt::Display),
    is_meant: impl Fn(&str) -> bool,
) -> Result<Vec<NatHandle>, Error> {
    with_socket(netns, shown, |socket| {
        let doing = |cause: Cause| cause.doing(action, shown);
        let table = match ours(socket, FAMILY, TABLE, MARK) {
            Ok(Some(table)) => table,
            Ok(None) | Err(NotOurs::Foreign(_)) => return Ok(Vec::new()),
            Err(NotOurs::Unknown(cause)) => return Err(doing(cause)),
        };
        let rules = read::rules(socket, FAMILY, TABLE).map_err(doing)?;
        let handle = |rule: &Rule| {
            let tag = rule.userdata.as_ref()?.as_comment().filter(|tag| is_meant(tag))?;
            let Some(ChainRef::Name(chain)) = &rule.chain else { return None };
            Some(NatHandle {
                netns: netns.clone(),
                table: TABLE.to_owned(),
                chain: NatChain::by_name(chain)?,
                rule: rule.handle?,
                kept: Some(Kept { tag: tag.to_owned(), table }),
            })
        };
        Ok(rules.iter().filter_map(handle).collect())
    })
}
