//! What the persistent table knows of itself: notes, each the comment of an element, so that `nft` lists them
//! and loads them again. Finding one costs the same however many there are.
//!
//! What grows with every mapping is not written as a number. The kernel counts: each mapping leads to a chain, which
//! says how often it is led to. Or there are rows, of which none is missing: those of a tag, and groups of mappings
//! to a container, each as many as came at once; the last place that is there is found in a few steps. Elements can't
//! be changed, and whoever deleted one has to wait when he closes his socket, 10 ms and more; so a mapping that comes
//! deletes nothing.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::change::{Changes, Verdicts};
use super::note::{Note, Text};
use crate::error::Cause;
use crate::nat::port_forward::mapping::Port;
use crate::nat::port_forward::ruleset::{HAIRPIN, LOCAL, PortTable, TAGS};
use crate::nat::port_forward::tables::Step;
use crate::netlink::Socket;
use crate::nft::{Operations, read};
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::userdata::UserData;

/// How many notes are kept in mind from one change to the next.
const MOST: usize = 4096;

/// The notes of one family's table, of which some are known: as they are, and as they are to be.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) table: PortTable,
    notes: HashMap<Note, State>,
    /// Those that may be about to change, each once.
    touched: Vec<Note>,
    /// Mappings and groups of them that are about to come.
    coming: Vec<(Note, Text)>,
    /// Which notes there are none of besides.
    complete: Complete,
    in_force: InForce,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Complete {
    No,
    /// All but mappings and groups of them, of which there are too many.
    ButForRows,
    Yes,
}

/// Ports of mappings that are known to be there: nobody else has changed the table since.
#[derive(Debug)]
enum InForce {
    All,
    /// Each with the number of its mapping.
    These(HashSet<(Port, u64)>),
}

#[derive(Debug, Default)]
struct State {
    now: Option<Text>,
    before: Before,
}

/// What a note says until it is changed.
#[derive(Debug, Default)]
enum Before {
    #[default]
    Same,
    Was(Option<Text>),
}

impl Ledger {
    /// Of a table of which nothing was read yet.
    pub(crate) fn new(table: PortTable) -> Self {
        let (notes, touched, coming) = Default::default();
        let (complete, in_force) = (Complete::No, InForce::These(HashSet::new()));
        Self { table, notes, touched, coming, complete, in_force }
    }

    /// Of a table that has none.
    pub(crate) fn of_new(table: PortTable) -> Self {
        Self { complete: Complete::Yes, in_force: InForce::All, ..Self::new(table) }
    }

    /// What was to be is so now.
    pub(crate) fn committed(&mut self) {
        for note in self.touched.drain(..) {
            if let Some(state) = self.notes.get_mut(&note) {
                state.before = Before::Same;
            }
        }
        if self.notes.len() + self.coming.len() <= MOST {
            let known = |text| State { now: Some(text), before: Before::Same };
            self.notes.extend(self.coming.drain(..).map(|(note, text)| (note, known(text))));
        } else {
            self.forget_some();
        }
        if let InForce::These(ports) = &mut self.in_force
            && ports.len() > MOST
        {
            ports.clear();
        }
    }

    /// Rows first: the others are fewer, and asked for with each of them.
    fn forget_some(&mut self) {
        self.coming = Vec::new();
        self.notes.retain(|note, _| !note.is_row());
        self.complete = match self.complete {
            Complete::No => Complete::No,
            Complete::Yes | Complete::ButForRows => Complete::ButForRows,
        };
        if self.notes.len() > MOST {
            self.notes = HashMap::new();
            self.complete = Complete::No;
        }
    }

    /// That these ports are there from now on.
    pub(super) fn came(&mut self, ports: impl IntoIterator<Item = Port>, number: u64) {
        if let InForce::These(known) = &mut self.in_force {
            known.extend(ports.into_iter().map(|port| (port, number)));
        }
    }

    /// That they go; whether each is known to be there.
    pub(super) fn goes(&mut self, ports: impl IntoIterator<Item = Port>, number: u64) -> bool {
        match &mut self.in_force {
            InForce::All => true,
            InForce::These(known) => {
                ports.into_iter().filter(|port| !known.remove(&(*port, number))).count() == 0
            }
        }
    }

    /// Reads these, unless they are known.
    pub(super) fn read(
        &mut self,
        socket: &mut Socket,
        notes: impl IntoIterator<Item = Note>,
    ) -> Result<(), Cause> {
        let is_unknown = |note: &Note| match self.complete {
            Complete::Yes => false,
            Complete::ButForRows if !note.is_row() => false,
            _ => !self.notes.contains_key(note),
        };
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
            let now = found.map(|element| {
                let comment = element.userdata.as_ref().and_then(UserData::as_comment);
                Text::read(comment.unwrap_or_default(), note)
            });
            self.notes.insert(note, State { now, before: Before::Same });
        }
        for note in unknown {
            if note.row(1).is_some() && self.text(note).is_some() {
                let count = last_row(socket, &self.table, note)?;
                if let Some(State { now: Some(text), .. }) = self.notes.get_mut(&note) {
                    text.count = count;
                }
            }
            let Some(chain) = note.chain() else { continue };
            let chain = read::chain(socket, family, (table, &chain))?;
            let count = chain.and_then(|chain| chain.use_count).unwrap_or(0);
            let now = match self.text(note) {
                Some(text) => Some(Text { count, ..text.clone() }),
                None if note == Note::Whole && count > 0 => Some(Text::new(count, "")),
                None => None,
            };
            self.notes.insert(note, State { now, before: Before::Same });
        }
        Ok(())
    }

    /// What a note says that was read or set, but for its count; none where there is none.
    pub(super) fn get(&self, note: Note) -> Option<&str> {
        self.text(note).map(|text| text.rest.as_str())
    }

    pub(super) fn text(&self, note: Note) -> Option<&Text> {
        self.notes.get(&note)?.now.as_ref()
    }

    /// The number of a note, and the rest.
    pub(super) fn count(&self, note: Note) -> (u32, &str) {
        self.text(note).map_or((0, ""), |text| (text.count, &text.rest))
    }

    pub(super) fn set(&mut self, note: Note, text: Text) {
        *self.touch(note) = Some(text);
    }

    pub(super) fn clear(&mut self, note: Note) {
        *self.touch(note) = None;
    }

    /// Changes the number of a note; at none the note goes.
    pub(super) fn add(&mut self, note: Note, by: i32) {
        let now = self.touch(note);
        let text = now.get_or_insert_default();
        text.count = text.count.saturating_add_signed(by);
        if text.count == 0 {
            *now = None;
        }
    }

    /// One that comes, at a place where there is none.
    pub(super) fn comes(&mut self, row: Note, text: Text) {
        self.coming.push((row, text));
    }

    /// What a note is to be.
    fn touch(&mut self, note: Note) -> &mut Option<Text> {
        let state = self.notes.entry(note).or_default();
        if matches!(state.before, Before::Same) {
            state.before = Before::Was(state.now.clone());
            self.touched.push(note);
        }
        &mut state.now
    }

    /// Writes what has changed. `None`: it can't be put into an element.
    pub(super) fn push<'a>(&self, transaction: &mut Operations<'a>, step: Step<'a>) -> Option<()> {
        let changed = self.touched.iter().filter_map(|note| self.text(*note));
        let verdicts = Verdicts::of(changed.chain(self.coming.iter().map(|(_, text)| text)));
        let mut changes = Changes::new(&verdicts);
        changes.reserve(self.coming.len());
        for note in &self.touched {
            let Some(State { now, before: Before::Was(before) }) = self.notes.get(note) else {
                continue;
            };
            changes.add(*note, before.as_ref(), now.as_ref())?;
        }
        for (note, text) in &self.coming {
            changes.add(*note, None, Some(text))?;
        }
        changes.push(&self.table, transaction, step);
        Some(())
    }
}

/// The last place of those that a note counts: there is none without one before it.
fn last_row(socket: &mut Socket, table: &PortTable, note: Note) -> Result<u32, Cause> {
    let of = ElementsOf::new(&table.name, TAGS);
    let (mut last, mut behind) = (0_u32, u32::from(u16::MAX) + 1);
    // Most have few; then what is between is divided by 16 at a time.
    let mut places: Vec<u32> = (0..u16::BITS).map(|power| 1 << power).collect();
    while behind - last > 1 {
        let key = |place: &u32| note.row(u16::try_from(*place).ok()?)?.key();
        let keys: Vec<_> = places.iter().filter_map(key).map(|key| (&of, key)).collect();
        let found = read::elements(socket, table.family(), &keys)?;
        for (place, found) in places.iter().zip(&found) {
            if found.is_some() {
                last = last.max(*place);
            } else {
                behind = behind.min(*place);
            }
        }
        // Somebody else took one away.
        behind = behind.max(last + 1);
        let step = ((behind - last) / 16).max(1);
        places = (1..=16).map(|at| last + at * step).filter(|place| *place < behind).collect();
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::nat::port_forward::persistent::note::TagHash;

    #[test]
    fn counts_go_up_and_down_and_take_their_note_along() {
        let mut ledger = Ledger::new(PortTable::persistent(true));
        let note = Note::Tag(TagHash::of("web"));
        assert_eq!(ledger.count(note), (0, ""));
        ledger.set(note, Text::new(1, "web of two words"));
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
            let now = Some(Text::new(count, rest));
            ledger.notes.insert(note, State { now, before: Before::Same });
        }
        ledger.set(Note::Tag(hash), Text::new(1, "web"));
        let record = "0.0.0.0:8080->10.0.0.2:80/tcp%5#1f";
        let mapping = Note::Mapping(hash, 1);
        ledger.comes(mapping, Text::read(record, mapping));
        ledger.comes(Note::Group(5, address, 3), Text::new(1, ""));
        let before = Text::new(2, "");
        ledger
            .notes
            .insert(Note::Container(5, address), State { now: Some(before), before: Before::Same });
        ledger.add(Note::Container(5, address), 1);
        ledger.add(Note::Local(5), 1);
        let steps = |ledger: &Ledger| {
            let mut transaction = Operations::at_generation(1);
            ledger.push(&mut transaction, ("note", &"a mapping")).unwrap();
            format!("{transaction:?}").matches("note a mapping").count()
        };
        // What is new of `tags`.
        assert_eq!(steps(&ledger), 1);
        // The link goes with an element and a chain.
        ledger.clear(Note::Local(5));
        assert_eq!(steps(&ledger), 3);
        ledger.committed();
        assert_eq!(ledger.get(mapping), Some(record));
        assert_eq!(steps(&ledger), 0);
    }

    #[test]
    fn of_more_than_it_keeps_in_mind_it_forgets_mappings_first() {
        let hash = TagHash::of("web");
        let mut ledger = Ledger::of_new(PortTable::persistent(true));
        ledger.set(Note::Tag(hash), Text::new(5000, "web"));
        for at in 1..=5000 {
            ledger.comes(Note::Mapping(hash, at), Text::new(0, "a mapping"));
        }
        ledger.committed();
        assert_eq!(ledger.complete, Complete::ButForRows);
        assert_eq!(ledger.count(Note::Tag(hash)), (5000, "web"));
        assert_eq!(ledger.get(Note::Mapping(hash, 1)), None);
        for link in 0..5000 {
            ledger.add(Note::Local(link), 1);
        }
        ledger.committed();
        assert_eq!((ledger.complete, ledger.notes.len()), (Complete::No, 0));
    }
}
