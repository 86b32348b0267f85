//! The handle of a NAT rule, and the table that netloom keeps them in.

use std::fmt;

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_ECHO, NLM_F_EXCL};

use nix::errno::Errno;

use super::rule::NatRule;
use crate::error::{Cause, Error};
use crate::netlink::{Batch, Socket};
use crate::netns::{Netns, NfTables};
use crate::nft::Transaction;
use crate::owned::sealed::Remove;
use crate::wire::attribute::Writer;
use crate::wire::message::Message as Answer;
use crate::wire::nft::chain::{Chain, ChainType};
use crate::wire::nft::codec::Codec;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::hook::{Hook, HookPoint, Priority};
use crate::wire::nft::message::{Family, Message, MessageType, append};
use crate::wire::nft::rule::Rule;
use crate::wire::nft::table::{Table, TableFlags};

pub(super) const ACTION: &str = "add NAT rule";
const CHAIN: &str = "postrouting";

/// A NAT rule that exists: its table, and the number the kernel gave it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatHandle {
    netns: Netns,
    table: String,
    rule: u64,
}

impl NatHandle {
    /// The table it is in, in the family `inet`.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Its number in that table, as `nft -a list ruleset` shows it.
    pub fn number(&self) -> u64 {
        self.rule
    }

    /// Adds a rule, and for the first one the table and its chain, in one transaction.
    pub(super) fn add(
        netns: &Netns,
        expressions: Vec<Expr>,
        shown: &NatRule,
    ) -> Result<Self, Error> {
        in_tables(netns, shown, |nf_tables| {
            let table = table_name(&nf_tables.socket);
            let rule = Rule::new(&table, CHAIN, expressions);
            let mut number = None;
            let mut transaction = Transaction::new();
            if nf_tables.nat_rules.is_empty() {
                bring_table(&mut transaction, &table);
            }
            let flags = NLM_F_CREATE | NLM_F_APPEND | NLM_F_ECHO;
            transaction.push((ACTION, shown), MessageType::NewRule, flags, Family::Inet, &rule);
            let committed = transaction.commit(&mut nf_tables.socket, |answer| {
                if answer.kind == MessageType::NewRule {
                    number = Rule::decode(answer.attributes).and_then(|rule| rule.handle);
                }
            });
            let rule = match (committed, number) {
                (Ok(()), Some(rule)) => rule,
                (Err(error), _) if !error.is_unknown_outcome() => return Err(error),
                (committed, _) => {
                    forget_unknown_rules(nf_tables, &table);
                    let cause = Cause::Malformed("a rule without its number");
                    return Err(committed.err().unwrap_or_else(|| cause.doing(ACTION, shown)));
                }
            };
            nf_tables.nat_rules.insert(rule);
            Ok(Self { netns: netns.clone(), table, rule })
        })
    }
}

/// After an answer was lost: a rule may be there whose number nobody knows. The table is ours alone, as
/// it has the owner flag, so what is not known to have an owner goes; with no rule left, the table.
fn forget_unknown_rules(nf_tables: &mut NfTables, table: &str) {
    let mut transaction = Transaction::new();
    if nf_tables.nat_rules.is_empty() {
        let table = Table::by_name(table);
        let step = ("delete", &"a table" as &dyn fmt::Display);
        transaction.push(step, MessageType::DeleteTable, 0, Family::Inet, &table);
    } else {
        let mut dump = Batch::default();
        let all = Rule { table: table.to_owned(), ..Rule::default() };
        dump.append(|out| {
            let encode = |attributes: &mut Writer<'_>| all.encode(attributes);
            append(out, MessageType::GetRule, NLM_F_DUMP, 0, Family::Inet, encode).ok();
        });
        let read = |answer: Answer<'_>| {
            let answer = Message::decode(answer.kind, answer.payload)?;
            let rule = Rule::decode(answer.attributes)?;
            (rule.table == table).then_some(rule.handle)?
        };
        let listed = nf_tables.socket.dump_batch(&mut dump, read).unwrap_or_default();
        for number in listed.into_iter().filter(|number| !nf_tables.nat_rules.contains(number)) {
            let rule = Rule::by_handle(table, CHAIN, number);
            let step = ("delete", &"a rule" as &dyn fmt::Display);
            transaction.push(step, MessageType::DeleteRule, 0, Family::Inet, &rule);
        }
    }
    transaction.commit(&mut nf_tables.socket, |_| ()).ok();
}

/// The table's name: the socket's number makes it unique in the namespace for as long as it lives.
fn table_name(socket: &Socket) -> String {
    format!("netloom-{}", socket.port())
}

fn bring_table(transaction: &mut Transaction<'_>, name: &str) {
    let create = NLM_F_CREATE | NLM_F_EXCL;
    let table = Table { flags: Some(TableFlags::OWNER), ..Table::by_name(name) };
    let chain = Chain {
        kind: Some(ChainType::Nat),
        hook: Hook::new(Family::Inet, HookPoint::Postrouting, Priority::SOURCE_NAT),
        ..Chain::by_name(name, CHAIN)
    };
    transaction
        .push(("add", &"a table"), MessageType::NewTable, create, Family::Inet, &table)
        .push(("add", &"a NAT chain"), MessageType::NewChain, create, Family::Inet, &chain);
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
    fn remove(&self) -> Result<(), Error> {
        in_tables(&self.netns, &self.table, |nf_tables| {
            let step = ("delete NAT rule of", &self.table as &dyn fmt::Display);
            if !nf_tables.nat_rules.contains(&self.rule) {
                return Err(Cause::from(Errno::ENOENT).doing(step.0, step.1));
            }
            let mut transaction = Transaction::new();
            if nf_tables.nat_rules.len() == 1 {
                let table = Table::by_name(&self.table);
                transaction.push(step, MessageType::DeleteTable, 0, Family::Inet, &table);
            } else {
                let rule = Rule::by_handle(&self.table, CHAIN, self.rule);
                transaction.push(step, MessageType::DeleteRule, 0, Family::Inet, &rule);
            }
            let result = transaction.commit(&mut nf_tables.socket, |_| ());
            // Gone may be the work of a first try whose answer was lost.
            if result.as_ref().map_or_else(Error::is_not_found, |()| true) {
                nf_tables.nat_rules.remove(&self.rule);
            }
            result
        })
    }
}
