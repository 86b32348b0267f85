//! What the persistent table knows of itself: notes, each the comment of an element, so that `nft` lists them
//! and loads them again. Finding one costs the same however many there are.
//!
//! What grows with every mapping is counted by the kernel: each leads to a chain, which says how often it is
//! led to. Elements can't be changed, and whoever deleted one has to wait when he closes his socket, 10 ms and
//! more; so a mapping that comes deletes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};

use super::note::{Note, Text};
use crate::error::Cause;
use crate::nat::port_forward::elements::hairpin;
use crate::nat::port_forward::mapping::Port;
use crate::nat::port_forward::ruleset::{HAIRPIN, LOCAL, PortTable, TAGS};
use crate::netlink::Socket;
use crate::nft::{Operations, read};
use crate::wire::nft::chain::Chain;
use crate::wire::nft::element::{Element, ElementsOf};
use crate::wire::nft::message::MessageType;
use crate::wire::nft::userdata::UserData;

/// How many notes are kept in mind from one change to the next.
const MOST: usize = 4096;

/// The notes of one family's table, of which some are known: as they are, and as they are to be.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) table: PortTable,
    notes: BTreeMap<Note, State>,
    /// Those that may be about to change.
    touched: BTreeSet<Note>,
    /// Ports of mappings, each with its number, that were added to this table since it is known.
    in_force: BTreeSet<(Port, u64)>,
    /// Whether there is no note besides.
    is_complete: bool,
}

#[derive(Debug, Default)]
struct State {
    before: Option<Text>,
    now: Option<Text>,
}

impl Ledger {
    /// Of a table of which nothing was read yet.
    pub(crate) fn new(table: PortTable) -> Self {
        let (notes, touched, in_force) = Default::default();
        Self { table, notes, touched, in_force, is_complete: false }
    }

    /// Of a table that has none.
    pub(crate) fn of_new(table: PortTable) -> Self {
        Self { is_complete: true, ..Self::new(table) }
    }

    /// What was to be is so now.
    pub(crate) fn committed(&mut self) {
        if self.notes.len().max(self.in_force.len()) > MOST {
            *self = Self::new(self.table.clone());
        }
        for note in std::mem::take(&mut self.touched) {
            if let Some(text) = self.notes.get_mut(&note) {
                text.before.clone_from(&text.now);
            }
        }
    }

    /// That these ports are there from now on.
    pub(super) fn came(&mut self, ports: impl IntoIterator<Item = Port>, number: u64) {
        self.in_force.extend(ports.into_iter().map(|port| (port, number)));
    }

    /// That they go; whether each is known to be there.
    pub(super) fn goes(&mut self, ports: impl IntoIterator<Item = Port>, number: u64) -> bool {
        ports.into_iter().filter(|port| !self.in_force.remove(&(*port, number))).count() == 0
    }

    /// Reads these, unless they are known.
    pub(super) fn read(
        &mut self,
        socket: &mut Socket,
        notes: impl IntoIterator<Item = Note>,
    ) -> Result<(), Cause> {
        if self.is_complete {
            return Ok(());
        }
        let is_unknown = |note: &Note| !self.notes.contains_key(note);
        let unknown: BTreeSet<_> = notes.into_iter().filter(is_unknown).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let (family, table) = (self.table.family(), &self.table.name);
        let sets = [TAGS, HAIRPIN, LOCAL].map(|set| ElementsOf::new(table, set));
        let place = |note: &Note| {
            let set = note.set()?;
            Some((*note, (sets.iter().find(|of| of.set == set)?, note.key()?)))
        };
        let (noted, keys): (Vec<_>, Vec<_>) = unknown.iter().filter_map(place).unzip();
        for (note, found) in noted.into_iter().zip(read::elements(socket, family, &keys)?) {
            let before = found.map(|element| {
                let comment = element.userdata.as_ref().and_then(UserData::as_comment);
                Text::read(comment.unwrap_or_default(), note)
            });
            self.notes.insert(note, State { now: before.clone(), before });
        }
        for note in unknown {
            let Some(chain) = note.chain() else { continue };
            let chain = read::chain(socket, family, (table, &chain))?;
            let count = chain.and_then(|chain| chain.use_count).unwrap_or(0);
            let before = match self.get(note) {
                Some(rest) => Some(Text { count, rest: rest.to_owned() }),
                None if note == Note::Whole && count > 0 => Some(Text { count, ..Text::default() }),
                None => None,
            };
            self.notes.insert(note, State { now: before.clone(), before });
        }
        Ok(())
    }

    /// What a note says that was read or set, but for its count; none where there is none.
    pub(super) fn get(&self, note: Note) -> Option<&str> {
        self.text(note).map(|text| text.rest.as_str())
    }

    fn text(&self, note: Note) -> Option<&Text> {
        self.notes.get(&note)?.now.as_ref()
    }

    /// The number of a note, and the rest.
    pub(super) fn count(&self, note: Note) -> (u32, &str) {
        self.text(note).map_or((0, ""), |text| (text.count, &text.rest))
    }

    pub(super) fn set(&mut self, note: Note, count: u32, rest: impl Into<String>) {
        self.change(note, Some(Text { count, rest: rest.into() }));
    }

    pub(super) fn clear(&mut self, note: Note) {
        self.change(note, None);
    }

    fn change(&mut self, note: Note, text: Option<Text>) {
        self.notes.entry(note).or_default().now = text;
        self.touched.insert(note);
    }

    /// Changes the number of a note; at none the note goes.
    pub(super) fn add(&mut self, note: Note, by: i32) {
        let now = &mut self.notes.entry(note).or_default().now;
        let text = now.get_or_insert_default();
        text.count = text.count.saturating_add_signed(by);
        if text.count == 0 {
            *now = None;
        }
        self.touched.insert(note);
    }

    /// Writes what has changed: what is to go first, as an element can't be changed.
    pub(super) fn push<'a>(
        &self,
        transaction: &mut Operations<'a>,
        step: (&'static str, &'a dyn fmt::Display),
    ) -> Option<()> {
        let create = NLM_F_CREATE | NLM_F_EXCL;
        for (chain, State { before, now }) in self.link_chains() {
            if before.is_none() && now.is_some() {
                transaction.push(step, MessageType::NewChain, create, self.table.family(), &chain);
            }
        }
        for set in [TAGS, HAIRPIN, LOCAL] {
            let (mut gone, mut new) = (Vec::new(), Vec::new());
            for (note, State { before, now }) in self.changed() {
                let is_counted = note.chain().is_some() && before.is_some() && now.is_some();
                if note.set() != Some(set) || is_counted {
                    continue;
                }
                if before.is_some() {
                    gone.push(Element::new(note.key()?));
                }
                if let Some(text) = now {
                    let userdata = Some(text.comment(*note)?);
                    let data = note.data(&text.rest);
                    new.push(Element { data, userdata, ..Element::new(note.key()?) });
                }
                // What comes from here, too; see the module's page.
                if let Note::Container(link, address) = *note {
                    let key = hairpin(0, link, address);
                    match (before, now) {
                        (None, Some(_)) => new.push(Element::new(key)),
                        (Some(_), None) => gone.push(Element::new(key)),
                        _ => {}
                    }
                }
            }
            let (of, family) = (ElementsOf::new(&self.table.name, set), self.table.family());
            let (delete, add) = (MessageType::DeleteElement, MessageType::NewElement);
            transaction.push_elements(step, delete, 0, family, (&of, &gone));
            transaction.push_elements(step, add, create, family, (&of, &new));
        }
        for (chain, State { before, now }) in self.link_chains() {
            if before.is_some() && now.is_none() {
                transaction.push(step, MessageType::DeleteChain, 0, self.table.family(), &chain);
            }
        }
        Some(())
    }

    fn changed(&self) -> impl Iterator<Item = (&Note, &State)> {
        let texts = self.touched.iter().filter_map(|note| self.notes.get_key_value(note));
        texts.filter(|(_, text)| text.before != text.now)
    }

    /// The chains of links that may come or go.
    fn link_chains(&self) -> impl Iterator<Item = (Chain, &State)> {
        self.changed().filter_map(|(note, text)| {
            let chain = note.chain().filter(|_| *note != Note::Whole)?;
            Some((Chain::by_name(&self.table.name, &chain), text))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::nat::port_forward::persistent::note::TagHash;
    use crate::nat::port_forward::ruleset::MAPPINGS;
    use crate::wire::nft::data::{Data, Verdict};

    #[test]
    fn counts_go_up_and_down_and_take_their_note_along() {
        let mut ledger = Ledger::new(PortTable::persistent(true));
        let note = Note::Tag(TagHash::of("web"));
        assert_eq!(ledger.count(note), (0, ""));
        ledger.set(note, 1, "web of two words");
        ledger.add(note, 1);
        assert_eq!(ledger.count(note), (2, "web of two words"));
        ledger.add(note, -2);
        assert_eq!(ledger.get(note), None);
        ledger.add(Note::Whole, 1);
        assert_eq!(ledger.count(Note::Whole), (1, ""));
    }

    #[test]
    fn a_mapping_that_comes_deletes_nothing() {
        let (hash, address) = (TagHash::of("web"), IpAddr::from([10, 0, 0, 2]));
        let mut ledger = Ledger::new(PortTable::persistent(true));
        for (note, count, rest) in [(Note::Whole, 3, ""), (Note::Local(5), 2, "route_localnet")] {
            let text = Some(Text { count, rest: rest.into() });
            ledger.notes.insert(note, State { before: text.clone(), now: text });
        }
        ledger.set(Note::Tag(hash), 1, "web");
        let record = "0.0.0.0:8080->10.0.0.2:80/tcp%5#1f";
        ledger.set(Note::Mapping(hash, 1), 0, record);
        ledger.add(Note::Container(5, address), 1);
        ledger.add(Note::Local(5), 1);
        let steps = |ledger: &Ledger| {
            let mut transaction = Operations::at_generation(1);
            ledger.push(&mut transaction, ("note", &"a mapping")).unwrap();
            format!("{transaction:?}").matches("note a mapping").count()
        };
        // What is new of `tags`, and of `hairpin`.
        assert_eq!(steps(&ledger), 2);
        assert_eq!(Note::Mapping(hash, 1).data(record), Some(goto("local-5")));
        let elsewhere = "10.0.0.1:8080->10.0.0.2:80/tcp%5#1f";
        assert_eq!(Note::Mapping(hash, 1).data(elsewhere), Some(goto(MAPPINGS)));
        // The link goes with an element and a chain.
        ledger.clear(Note::Local(5));
        assert_eq!(steps(&ledger), 4);
    }

    fn goto(chain: &str) -> Data {
        Verdict::Goto(chain.into()).into()
    }
}
