//! Undoes a transaction whose answer was lost: deletes what it created.

use super::Transaction;
use crate::error::{Cause, Error};
use crate::netlink::Socket;
use crate::nft::live::generation::Generation;
use crate::nft::live::reader;
use crate::wire::attribute::{Attribute, Attributes};
use crate::wire::message::{Message as Sent, NLM_F_EXCL, NLM_F_REPLACE, messages};
use crate::wire::nft::message::{Family, Message, MessageType};
use crate::wire::nft::rule::Rule;

/// Deletes the objects that the transaction created. Does nothing unless the transaction was
/// certainly applied and no other program can have replaced the objects.
///
/// An echo (`is_done`) proves that the transaction was applied. If it was the only change since the
/// generation `before`, no object was replaced. All tables are held if `before` is `None`; then no
/// other program can replace objects. Returns whether nothing of the transaction is left.
pub(super) fn undo(
    sent: &Transaction,
    socket: &mut Socket,
    before: Option<Generation>,
    is_done: bool,
) -> Result<bool, Error> {
    let doing = |cause: Cause| cause.doing("undo", "a transaction").in_namespace(&sent.netns);
    let now = Generation::read(socket).map_err(doing)?;
    if before == Some(now) {
        return Ok(true);
    }
    if !is_done || before.is_some_and(|before| now != before.next()) {
        return Ok(false);
    }
    let mut undo = match before {
        Some(_) => Transaction::decided_at(&sent.netns, now),
        None => Transaction::new(&sent.netns),
    };
    undo.begin("delete", "what an unread answer reported");
    sent.numbers.iter().for_each(|(_, number)| number.set_may_be_deleted());
    let created: Vec<_> =
        messages(sent.batch.bytes()).enumerate().filter_map(Created::read).collect();
    let is_in_new = |one: &&Created<'_>| created.iter().any(|table| table.is_table_of(one));
    let (tables, rest): (Vec<_>, Vec<_>) = created
        .iter()
        .filter(|one| one.is_table() || !is_in_new(one))
        .partition(|one| one.is_table());
    // Delete first what refers to other objects: elements, and the rules of chains.
    for one in &rest {
        if let Some(chain) = one.chain() {
            undo.push_rules(one, &chain, None);
        } else if one.kind == MessageType::NewElement {
            undo.push_deletion(MessageType::DeleteElement, one, &[1, 2, 3, 4]);
        }
    }
    undo.push_newest_rules(sent, socket, &rest).map_err(doing)?;
    for one in rest.iter().rev().chain(&tables) {
        // The attributes that identify the object. A chain's name is attribute 3; an object's type
        // is attribute 3.
        let (kind, naming): (_, &[u16]) = match one.kind {
            MessageType::NewTable => (MessageType::DeleteTable, &[1]),
            MessageType::NewChain => (MessageType::DeleteChain, &[1, 3]),
            MessageType::NewSet => (MessageType::DeleteSet, &[1, 2]),
            MessageType::NewObject => (MessageType::DeleteObject, &[1, 2, 3]),
            MessageType::NewFlowtable => (MessageType::DeleteFlowtable, &[1, 2]),
            _ => continue,
        };
        undo.push_deletion(kind, one, naming);
    }
    undo.commit_on(socket)?;
    Ok(true)
}

/// A message that creates an object, and that the kernel refuses if the object exists.
struct Created<'a> {
    place: usize,
    kind: MessageType,
    flags: u16,
    family: Family,
    table: String,
    attributes: Attributes<'a>,
}

impl<'a> Created<'a> {
    fn read((place, sent): (usize, Sent<'a>)) -> Option<Self> {
        let flags = sent.flags;
        let Message { kind, family, attributes, .. } = Message::decode(sent.kind, sent.payload)?;
        let is_created = kind == MessageType::NewRule || flags & NLM_F_EXCL != 0;
        // The first attribute of every message is the table's name.
        let table = attributes.get(1).filter(|_| is_created)?.string();
        Some(Self { place, kind, flags, family: family?, table, attributes })
    }

    fn is_table(&self) -> bool {
        self.kind == MessageType::NewTable
    }

    fn is_table_of(&self, other: &Self) -> bool {
        self.is_table() && (self.family, &self.table) == (other.family, &other.table)
    }

    /// Returns the name of the created chain, if the message creates a chain.
    fn chain(&self) -> Option<String> {
        let is_chain = self.kind == MessageType::NewChain;
        self.attributes.get(3).filter(|_| is_chain).map(Attribute::string)
    }

    /// Returns the chain of the created rule, if the message creates a rule.
    fn chain_of_rule(&self) -> Option<String> {
        let is_rule = self.kind == MessageType::NewRule;
        self.attributes.get(2).filter(|_| is_rule).map(Attribute::string)
    }

    fn is_in(&self, other: &Self, chain: &str) -> bool {
        let place = (self.family, &self.table);
        place == (other.family, &other.table) && self.chain_of_rule().as_deref() == Some(chain)
    }
}

impl Transaction {
    /// Deletes the object that a message created. Copies the attributes that identify the object
    /// from that message.
    fn push_deletion(&mut self, kind: MessageType, one: &Created<'_>, attributes: &[u16]) {
        self.push_with(kind, 0, one.family, |out| {
            for attribute in one.attributes.iter() {
                if attributes.contains(&attribute.kind) {
                    out.bytes(attribute.kind, attribute.value);
                }
            }
        });
    }

    /// Deletes the rule with this number, or all rules of the chain.
    fn push_rules(&mut self, one: &Created<'_>, chain: &str, handle: Option<u64>) {
        let rule = Rule { handle, ..Rule::new(&one.table, chain, Vec::new()) };
        self.push(MessageType::DeleteRule, 0, one.family, &rule);
    }

    /// Deletes the rules that the transaction added to existing chains. The kernel numbers rules
    /// upwards, whatever their position, so these have the highest numbers of their chain. A rule
    /// that replaced another is not deleted: its handle gets the new number.
    fn push_newest_rules(
        &mut self,
        sent: &Transaction,
        socket: &mut Socket,
        created: &[&Created<'_>],
    ) -> Result<(), Cause> {
        for (at, first) in created.iter().enumerate() {
            let Some(chain) = first.chain_of_rule() else { continue };
            let is_new_chain = created
                .iter()
                .any(|one| one.chain().as_ref() == Some(&chain) && one.table == first.table);
            let seen = created.iter().take(at).any(|one| one.is_in(first, &chain));
            if is_new_chain || seen {
                continue;
            }
            let rules: Vec<_> = created.iter().filter(|one| one.is_in(first, &chain)).collect();
            let numbers = rule_numbers(socket, first, &chain)?;
            let newest = numbers.len().saturating_sub(rules.len());
            for (rule, number) in rules.into_iter().zip(numbers.into_iter().skip(newest)) {
                let handle = sent.numbers.iter().find(|(place, _)| *place == rule.place);
                match handle {
                    Some((_, handle)) if rule.flags & NLM_F_REPLACE != 0 => handle.set(number),
                    _ => self.push_rules(rule, &chain, Some(number)),
                }
            }
        }
        Ok(())
    }
}

/// Returns the sorted numbers of a chain's rules.
fn rule_numbers(socket: &mut Socket, one: &Created<'_>, chain: &str) -> Result<Vec<u64>, Cause> {
    let of = Rule { table: one.table.clone(), ..Rule::default() };
    let listed: Vec<(_, Rule)> = reader::list(socket, MessageType::GetRule, one.family, &of)?;
    let chain = Some(chain);
    let in_chain = listed.into_iter().filter(|(_, rule)| rule.chain.as_deref() == chain);
    let mut numbers: Vec<_> = in_chain.filter_map(|(_, rule)| rule.handle).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::Netns;
    use crate::nft::{Family, Table};
    use crate::sandbox;

    /// Another program has just created the same table, so the kernel refuses the transaction.
    #[test]
    fn what_may_be_anothers_stays() {
        sandbox::run(|| {
            let netns = Netns::current().unwrap();
            let before = netns.nft_generation().unwrap();
            let theirs = Table::new(Family::Inet, "t").persistent("tag").create(&netns).unwrap();
            let mut refused = Transaction::new(&netns);
            refused.create_table(&Table::new(Family::Inet, "t").persistent("tag"));
            let undo = |is_done| {
                let undone = netns.nf_tables(|nf_tables| {
                    Ok(undo(&refused, &mut nf_tables.socket, Some(before), is_done))
                });
                undone.unwrap().unwrap()
            };
            assert!(!undo(false));
            assert!(theirs.read().is_ok());
            // The echo proves that the transaction was applied, and there was only one change.
            assert!(undo(true));
            assert!(theirs.read().unwrap_err().is_not_found());
        })
        .unwrap();
    }
}
