//! The handle of a NAT rule, and the held table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use nix::errno::Errno;

use super::chains::NatChain;
use super::persistent;
use super::rule::NatRule;
use crate::counter::Counter;
use crate::error::{Cause, Error};
use crate::netlink::Socket;
use crate::netns::{Netns, NfTables};
use crate::nft::{Operations, read};
use crate::owned::sealed::{Remove, Removed};
use crate::wire::message::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL};
use crate::wire::nft::codec::Codec;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::message::{Family, Message, MessageType};
use crate::wire::nft::rule::Rule;
use crate::wire::nft::table::{Table, TableFlags};

pub(super) const ACTION: &str = "add NAT rule";
pub(super) const FAMILY: Family = Family::Inet;

/// A NAT rule that exists: its table, and the number the kernel gave it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatHandle {
    pub(super) netns: Netns,
    pub(super) table: String,
    pub(super) chain: NatChain,
    pub(super) rule: u64,
    /// Of a persistent rule.
    pub(super) kept: Option<Kept>,
}

/// What a persistent rule is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) tag: String,
    /// The number of its table: another table of the same name has another.
    pub(super) table: u64,
}

impl NatHandle {
    /// The namespace it is in.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }

    /// The table it is in, in the family `inet`.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The chain it is in: `prerouting`, `output` or `postrouting`.
    pub fn chain(&self) -> &str {
        self.chain.name()
    }

    /// Its number in that table, as `nft -a list ruleset` shows it.
    pub fn number(&self) -> u64 {
        self.rule
    }

    /// Its tag, where it is persistent.
    pub fn tag(&self) -> Option<&str> {
        self.kept.as_ref().map(|kept| kept.tag.as_str())
    }

    /// What it has counted, as `nft list ruleset` and `iptables -t nat -L -v` show it: the first packets
    /// of the connections it was for.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where the rule is gone.
    pub fn counter(&self) -> Result<Counter, Error> {
        let which = (self.table.as_str(), self.chain.name(), self.rule);
        let counted = |rule: Rule| {
            rule.expressions.into_iter().find_map(|expr| match expr {
                Expr::Counter(counter) => Some(Counter::new(counter.packets, counter.bytes)),
                _ => None,
            })
        };
        self.netns
            .netfilter(|socket| {
                let rule = read::rule(socket, FAMILY, which)?.ok_or(Errno::ENOENT)?;
                // Its table is there still: then it was when the rule was read.
                if let Some(kept) = &self.kept {
                    let table = read::table(socket, FAMILY, &self.table)?;
                    table.filter(|table| table.handle == Some(kept.table)).ok_or(Errno::ENOENT)?;
                }
                counted(rule).ok_or(Cause::Malformed("the rule has no counter"))
            })
            .map_err(|cause| cause.doing("read counter of", self).in_namespace(&self.netns))
    }
}

impl fmt::Display for NatHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NAT rule {} of table `{}`", self.rule, self.table)
    }
}

/// The rules of the held table, by number: the first brings it, the last takes it along.
#[derive(Debug, Default)]
struct HeldRules {
    chains: BTreeSet<NatChain>,
    rules: BTreeMap<u64, NatChain>,
}

/// The table's name: the socket's number makes it unique in the namespace for as long as it lives.
fn table_name(socket: &Socket) -> String {
    format!("netloom-{}", socket.port())
}

/// Adds a rule to the held table, in one transaction with what of it is not there yet.
pub(super) fn add(
    netns: &Netns,
    chain: NatChain,
    expressions: Vec<Expr>,
    shown: &NatRule,
) -> Result<NatHandle, Error> {
    in_tables(netns, shown, |nf_tables| {
        let (socket, held) = state(nf_tables, shown)?;
        let table = table_name(socket);
        let mut transaction = Operations::new();
        if held.rules.is_empty() {
            held.chains.clear();
            let flags = Some(TableFlags::OWNER);
            let create = NLM_F_CREATE | NLM_F_EXCL;
            let table = Table { flags, ..Table::by_name(&table) };
            transaction.push(("add", &"a table"), MessageType::NewTable, create, FAMILY, &table);
        }
        if !held.chains.contains(&chain) {
            push_chain(&mut transaction, chain, &table);
        }
        let rule = Rule::new(&table, chain.name(), expressions);
        let number = commit_rule(transaction, socket, &rule, shown, &mut false, |_| ())
            .inspect_err(|error| {
                if error.is_outcome_unknown() {
                    forget_unknown(socket, held, &table);
                }
            })?;
        held.chains.insert(chain);
        held.rules.insert(number, chain);
        Ok(NatHandle { netns: netns.clone(), table, chain, rule: number, kept: None })
    })
}

/// After an answer was lost: a rule may be there whose number nobody knows. The table is ours alone, as
/// it has the owner flag, so what has no owner here goes; with no rule left, the table.
fn forget_unknown(socket: &mut Socket, held: &mut HeldRules, table: &str) {
    let mut transaction = Operations::new();
    let step = ("delete", &"what an unread answer told of" as &dyn fmt::Display);
    if held.rules.is_empty() {
        let table = Table::by_name(table);
        transaction.push(step, MessageType::DeleteTable, 0, FAMILY, &table);
    } else {
        // A chain that came along stays with the table, and may be added once more.
        let rules = read::rules(socket, FAMILY, table).unwrap_or_default();
        let has_owner = |rule: &Rule| rule.handle.is_none_or(|rule| held.rules.contains_key(&rule));
        for rule in rules.into_iter().filter(|rule| !has_owner(rule)) {
            let rule = Rule { expressions: Vec::new(), position: None, userdata: None, ..rule };
            transaction.push(step, MessageType::DeleteRule, 0, FAMILY, &rule);
        }
    }
    transaction.commit(socket, |_| ()).ok();
}

/// Adds the operation that makes a chain, or finds it as it is wanted.
pub(super) fn push_chain(transaction: &mut Operations<'_>, chain: NatChain, table: &str) {
    let chain = chain.in_table(table, FAMILY);
    let step = ("add", &"a NAT chain" as &dyn fmt::Display);
    transaction.push(step, MessageType::NewChain, NLM_F_CREATE, FAMILY, &chain);
}

/// Ends a transaction with a rule and tells the rule's number; `on_answer` sees what else is echoed.
pub(super) fn commit_rule<'a>(
    mut transaction: Operations<'a>,
    socket: &mut Socket,
    rule: &Rule,
    shown: &'a NatRule,
    is_done: &mut bool,
    mut on_answer: impl FnMut(Message<'_>),
) -> Result<u64, Error> {
    let mut number = None;
    let flags = NLM_F_CREATE | NLM_F_APPEND | NLM_F_ECHO;
    transaction.push((ACTION, shown), MessageType::NewRule, flags, FAMILY, rule);
    transaction.commit_noting(socket, is_done, |answer| {
        if answer.kind == MessageType::NewRule {
            number = Rule::decode(answer.attributes).and_then(|rule| rule.handle);
        } else {
            on_answer(answer);
        }
    })?;
    number.ok_or_else(|| Cause::Malformed("a rule without its number").doing(ACTION, shown))
}

fn state<'a>(
    nf_tables: &'a mut NfTables,
    shown: &dyn fmt::Display,
) -> Result<(&'a mut Socket, &'a mut HeldRules), Error> {
    nf_tables.with().map_err(|cause| cause.doing("find held rules for", shown))
}

fn in_tables<T>(
    netns: &Netns,
    shown: &dyn fmt::Display,
    work: impl FnOnce(&mut NfTables) -> Result<T, Error>,
) -> Result<T, Error> {
    netns
        .nf_tables(|nf_tables| Ok(work(nf_tables)))
        .map_err(|cause| cause.doing("open nf_tables for", shown))
        .flatten()
        .map_err(|error| error.in_namespace(netns))
}

/// By its number; the last rule takes the table along.
impl Remove for NatHandle {
    fn remove(&self) -> Result<Removed, Error> {
        Removed::unless_missing(self.remove_once())
    }
}

impl NatHandle {
    fn remove_once(&self) -> Result<(), Error> {
        if let Some(kept) = &self.kept {
            return persistent::remove(self, kept);
        }
        in_tables(&self.netns, self, |nf_tables| {
            let step = ("delete", self as &dyn fmt::Display);
            let (socket, held) = state(nf_tables, self)?;
            if !held.rules.contains_key(&self.rule) {
                return Err(Cause::from(Errno::ENOENT).doing(step.0, step.1));
            }
            let mut transaction = Operations::new();
            if held.rules.len() == 1 {
                let table = Table::by_name(&self.table);
                transaction.push(step, MessageType::DeleteTable, 0, FAMILY, &table);
            } else {
                let rule = Rule::by_handle(&self.table, self.chain.name(), self.rule);
                transaction.push(step, MessageType::DeleteRule, 0, FAMILY, &rule);
            }
            let deleted = transaction.commit(socket, |_| ());
            // Gone may be the work of a first try whose answer was lost.
            if deleted.as_ref().map_or_else(Error::is_not_found, |()| true) {
                held.rules.remove(&self.rule);
            }
            deleted
        })
    }
}
