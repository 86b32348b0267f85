//! The handle of a NAT rule, and the table that netloom keeps them in.

use std::fmt;

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL};

use nix::errno::Errno;

use super::rule::NatRule;
use crate::error::{Cause, Error};
use crate::netlink::Socket;
use crate::netns::{Netns, NfTables};
use crate::nft::Operations as Transaction;
use crate::owned::sealed::Remove;
use crate::wire::nft::chain::{Chain, ChainType};
use crate::wire::nft::codec::Codec;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::hook::{Hook, HookPoint, Priority};
use crate::wire::nft::message::{Family, MessageType};
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
            transaction.commit(&mut nf_tables.socket, |answer| {
                if answer.kind == MessageType::NewRule {
                    number = Rule::decode(answer.attributes).and_then(|rule| rule.handle);
                }
            })?;
            let Some(rule) = number else {
                return Err(Cause::Malformed("a rule without its number").doing(ACTION, shown));
            };
            nf_tables.nat_rules.insert(rule);
            Ok(Self { netns: netns.clone(), table, rule })
        })
    }
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
            transaction.commit(&mut nf_tables.socket, |_| ())?;
            nf_tables.nat_rules.remove(&self.rule);
            Ok(())
        })
    }
}
