//! What the persistent table knows of itself: notes, each the comment of an element, so that `nft` lists them
//! and loads them again. Finding one costs the same however many there are.
//!
//! What grows with every mapping is counted by the kernel: each leads to a chain, which says how often it is
//! led to. Elements can't be changed, and whoever deleted one has to wait when he closes his socket, 10 ms and
//! more; so a mapping that comes deletes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};

use super::record::Record;
use crate::error::Cause;
use crate::nat::port_forward::ruleset::{HAIRPIN, LOCAL, MAPPINGS, PortTable, TAGS, hairpin};
use crate::netlink::Socket;
use crate::nft::{Operations, read};
use crate::wire::nft::chain::Chain;
use crate::wire::nft::data::{Data, Value, Verdict};
use crate::wire::nft::element::{Element, ElementsOf};
use crate::wire::nft::message::MessageType;
use crate::wire::nft::userdata::UserData;

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Note {
    /// The table: how many mappings and links it has, but for the mappings that a link has.
    Whole,
    /// A tag: how many mappings it has, and its text.
    Tag(TagHash),
    /// A mapping of a tag, from 1 to as many as there are.
    Mapping(TagHash, u16),
    /// A container and the link that leads to it: how many mappings do.
    Container(u32, IpAddr),
    /// A link that routes loopback addresses: for how many mappings, and whether it did so before.
    Local(u32),
}

/// A tag as part of a key: FNV-1a with 128 bits, <https://www.rfc-editor.org/rfc/rfc9923>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TagHash(u128);

impl TagHash {
    pub(super) fn of(tag: &str) -> Self {
        const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        let hash = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(PRIME);
        Self(tag.bytes().fold(OFFSET, hash))
    }
}

impl Note {
    /// The set whose element has it; none where it is a count alone.
    fn set(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Tag(_) | Self::Mapping(..) => Some(TAGS),
            Self::Container(..) => Some(HAIRPIN),
            Self::Local(_) => Some(LOCAL),
        }
    }

    /// The chain whose uses are its count.
    fn chain(self) -> Option<String> {
        match self {
            Self::Whole => Some(MAPPINGS.to_owned()),
            Self::Local(link) => Some(format!("{LOCAL}-{link}")),
            _ => None,
        }
    }

    /// What its element leads to, with this text.
    fn data(self, text: &str) -> Option<Data> {
        let goto = |chain: Option<String>| Some(Verdict::Goto(chain?.as_str().into()).into());
        match self {
            Self::Whole | Self::Container(..) => None,
            Self::Tag(_) => Some(Verdict::Return.into()),
            Self::Local(_) => goto(Self::Whole.chain()),
            Self::Mapping(..) => {
                let local = Record::local_link(text).map(Self::Local);
                goto(local.unwrap_or(Self::Whole).chain())
            }
        }
    }

    fn key(self) -> Option<Value> {
        let tag = |hash: u128, at: u16| {
            Value::concat(&[Value::new(&hash.to_be_bytes())?, Value::from(at)])
        };
        match self {
            Self::Whole => None,
            Self::Tag(TagHash(hash)) => tag(hash, 0),
            Self::Mapping(TagHash(hash), at) => tag(hash, at),
            Self::Container(link, address) => Some(hairpin(link, link, address)),
            Self::Local(link) => Some(Value::host_u32(link)),
        }
    }
}

/// How many notes are kept in mind from one change to the next.
const MOST: usize = 4096;

/// The notes of one family's table, of which some are known: as they are, and as they are to be.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) table: PortTable,
    notes: BTreeMap<Note, Text>,
    /// Those that may be about to change.
    touched: BTreeSet<Note>,
    /// Whether there is none besides.
    is_complete: bool,
}

#[derive(Debug, Default)]
struct Text {
    before: Option<String>,
    now: Option<String>,
}

impl Ledger {
    /// Of a table of which nothing was read yet.
    pub(crate) fn new(table: PortTable) -> Self {
        Self { table, notes: BTreeMap::new(), touched: BTreeSet::new(), is_complete: false }
    }

    /// Of a table that has none.
    pub(crate) fn of_new(table: PortTable) -> Self {
        Self { is_complete: true, ..Self::new(table) }
    }

    /// What was to be is so now.
    pub(crate) fn committed(&mut self) {
        if self.notes.len() > MOST {
            *self = Self::new(self.table.clone());
        }
        for note in std::mem::take(&mut self.touched) {
            if let Some(text) = self.notes.get_mut(&note) {
                text.before.clone_from(&text.now);
            }
        }
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
                comment.unwrap_or_default().to_owned()
            });
            self.notes.insert(note, Text { now: before.clone(), before });
        }
        for note in unknown {
            let Some(chain) = note.chain() else { continue };
            let chain = read::chain(socket, family, (table, &chain))?;
            let uses = chain.and_then(|chain| chain.use_count).unwrap_or(0);
            let before = match self.get(note) {
                Some(text) => Some(format!("{uses} {text}")),
                None if note == Note::Whole && uses > 0 => Some(uses.to_string()),
                None => None,
            };
            self.notes.insert(note, Text { now: before.clone(), before });
        }
        Ok(())
    }

    /// A note that was read or set; none where there is none.
    pub(super) fn get(&self, note: Note) -> Option<&str> {
        self.notes.get(&note)?.now.as_deref()
    }

    /// The number that a note begins with, and the rest.
    pub(super) fn count(&self, note: Note) -> (u32, &str) {
        let text = self.get(note).unwrap_or_default();
        let (number, rest) = text.split_once(' ').unwrap_or((text, ""));
        (number.parse().unwrap_or(0), rest)
    }

    pub(super) fn set(&mut self, note: Note, text: Option<String>) {
        self.notes.entry(note).or_default().now = text;
        self.touched.insert(note);
    }

    /// Changes the number that a note begins with; at none, unless it is to stay, the note goes.
    pub(super) fn add(&mut self, note: Note, by: i32) {
        let (number, rest) = self.count(note);
        let number = number.saturating_add_signed(by);
        let space = if rest.is_empty() { "" } else { " " };
        let text = (number > 0).then(|| format!("{number}{space}{rest}"));
        self.set(note, text);
    }

    /// Writes what has changed: what is to go first, as an element can't be changed.
    pub(super) fn push<'a>(
        &self,
        transaction: &mut Operations<'a>,
        step: (&'static str, &'a dyn fmt::Display),
    ) -> Option<()> {
        let create = NLM_F_CREATE | NLM_F_EXCL;
        for (chain, Text { before, now }) in self.link_chains() {
            if before.is_none() && now.is_some() {
                transaction.push(step, MessageType::NewChain, create, self.table.family(), &chain);
            }
        }
        for set in [TAGS, HAIRPIN, LOCAL] {
            let (mut gone, mut new) = (Vec::new(), Vec::new());
            for (note, Text { before, now }) in self.changed() {
                let is_counted = note.chain().is_some() && before.is_some() && now.is_some();
                if note.set() != Some(set) || is_counted {
                    continue;
                }
                if before.is_some() {
                    gone.push(Element::new(note.key()?));
                }
                if let Some(text) = now {
                    let (_, rest) = text.split_once(' ').unwrap_or_default();
                    let text = if note.chain().is_some() { rest } else { text };
                    let userdata = Some(UserData::comment(text)?);
                    let data = note.data(text);
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
        for (chain, Text { before, now }) in self.link_chains() {
            if before.is_some() && now.is_none() {
                transaction.push(step, MessageType::DeleteChain, 0, self.table.family(), &chain);
            }
        }
        Some(())
    }

    fn changed(&self) -> impl Iterator<Item = (&Note, &Text)> {
        let texts = self.touched.iter().filter_map(|note| self.notes.get_key_value(note));
        texts.filter(|(_, text)| text.before != text.now)
    }

    /// The chains of links that may come or go.
    fn link_chains(&self) -> impl Iterator<Item = (Chain, &Text)> {
        self.changed().filter_map(|(note, text)| {
            let chain = note.chain().filter(|_| *note != Note::Whole)?;
            Some((Chain::by_name(&self.table.name, &chain), text))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_hashed_as_the_rfc_does() {
        // Its test vectors: of nothing the offset itself, and of "a".
        assert_eq!(TagHash::of("").0, 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(TagHash::of("a").0, 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }

    #[test]
    fn counts_go_up_and_down_and_take_their_note_along() {
        let mut ledger = Ledger::new(PortTable::persistent(true));
        let note = Note::Tag(TagHash::of("web"));
        assert_eq!(ledger.count(note), (0, ""));
        ledger.set(note, Some("1 web of two words".into()));
        ledger.add(note, 1);
        assert_eq!(ledger.get(note), Some("2 web of two words"));
        ledger.add(note, -2);
        assert_eq!(ledger.get(note), None);
        ledger.add(Note::Whole, 1);
        assert_eq!(ledger.get(Note::Whole), Some("1"));
    }
    #[test]
    fn a_mapping_that_comes_deletes_nothing() {
        let (hash, address) = (TagHash::of("web"), IpAddr::from([10, 0, 0, 2]));
        let mut ledger = Ledger::new(PortTable::persistent(true));
        for (note, text) in [(Note::Whole, "3"), (Note::Local(5), "2 was 0")] {
            let text = Some(text.to_owned());
            ledger.notes.insert(note, Text { before: text.clone(), now: text });
        }
        ledger.set(Note::Tag(hash), Some("1 web".into()));
        let record = "0.0.0.0:8080->10.0.0.2:80/tcp%5#1f";
        ledger.set(Note::Mapping(hash, 1), Some(record.into()));
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
        ledger.set(Note::Local(5), None);
        assert_eq!(steps(&ledger), 4);
    }

    fn goto(chain: &str) -> Data {
        Verdict::Goto(chain.into()).into()
    }
}
