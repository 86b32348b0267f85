//! What the persistent table knows of itself: notes, each the comment of an element, so that `nft` lists them
//! and loads them again. Finding one costs the same however many there are.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};

use super::ruleset::{HAIRPIN, LOCAL, PortTable, TAGS};
use crate::error::Cause;
use crate::netlink::Socket;
use crate::nft::{Operations, read};
use crate::wire::nft::data::Value;
use crate::wire::nft::element::{Element, ElementsOf};
use crate::wire::nft::message::MessageType;
use crate::wire::nft::userdata::UserData;

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Note {
    /// The table: how many mappings and links it has.
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
    fn set(self) -> &'static str {
        match self {
            Self::Whole | Self::Tag(_) | Self::Mapping(..) => TAGS,
            Self::Container(..) => HAIRPIN,
            Self::Local(_) => LOCAL,
        }
    }

    fn key(self) -> Option<Value> {
        let tag = |hash: u128, at: u16| {
            Value::concat(&[Value::new(&hash.to_be_bytes())?, Value::from(at)])
        };
        match self {
            Self::Whole => tag(0, 0),
            Self::Tag(TagHash(hash)) => tag(hash, 0),
            Self::Mapping(TagHash(hash), at) => tag(hash, at),
            Self::Container(link, address) => container(link, link, address),
            Self::Local(link) => Some(Value::host_u32(link)),
        }
    }
}

fn container(from: u32, link: u32, address: IpAddr) -> Option<Value> {
    Value::concat(&[Value::host_u32(from), Value::host_u32(link), address.into()])
}

/// The notes of one family's table that a change is about: as they were read, and as they are to be.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) table: PortTable,
    notes: BTreeMap<Note, Text>,
}

#[derive(Debug, Default)]
struct Text {
    before: Option<String>,
    now: Option<String>,
}

impl Ledger {
    /// Of a table of which nothing was read yet.
    pub(super) fn new(table: PortTable) -> Self {
        Self { table, notes: BTreeMap::new() }
    }

    /// Reads these, unless they are known.
    pub(super) fn read(&mut self, socket: &mut Socket, notes: &[Note]) -> Result<(), Cause> {
        let mut unknown = notes.to_vec();
        unknown.retain(|note| !self.notes.contains_key(note));
        unknown.sort();
        unknown.dedup();
        let (family, table) = (self.table.family(), &self.table.name);
        let sets = [TAGS, HAIRPIN, LOCAL].map(|set| ElementsOf::new(table, set));
        let key = |note: &Note| Some((sets.iter().find(|of| of.set == note.set())?, note.key()?));
        let keys: Option<Vec<_>> = unknown.iter().map(key).collect();
        let keys = keys.ok_or(Cause::Malformed("a note without a key"))?;
        for (note, found) in unknown.into_iter().zip(read::elements(socket, family, &keys)?) {
            let before = found.map(|element| {
                let comment = element.userdata.as_ref().and_then(UserData::as_comment);
                comment.unwrap_or_default().to_owned()
            });
            self.notes.insert(note, Text { now: before.clone(), before });
        }
        Ok(())
    }

    /// Nothing is there, as the table is new.
    pub(super) fn is_new(&mut self, notes: &[Note]) {
        self.notes.extend(notes.iter().map(|note| (*note, Text::default())));
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
        for set in [TAGS, HAIRPIN, LOCAL] {
            let (mut gone, mut new) = (Vec::new(), Vec::new());
            for (note, Text { before, now }) in &self.notes {
                if note.set() != set || before == now {
                    continue;
                }
                if before.is_some() {
                    gone.push(Element::new(note.key()?));
                }
                if let Some(text) = now {
                    let userdata = Some(UserData::comment(text)?);
                    new.push(Element { userdata, ..Element::new(note.key()?) });
                }
                // What comes from here, too; see the module's page.
                if let Note::Container(link, address) = *note {
                    let key = container(0, link, address)?;
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
            let create = NLM_F_CREATE | NLM_F_EXCL;
            transaction.push_elements(step, add, create, family, (&of, &new));
        }
        Some(())
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
}
