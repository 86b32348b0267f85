//! The rows of the persistent table: a map in which a tag's mappings are found.
//!
//! The key is a hash of the tag and a place. Place 0 has the tag, the places from 1 on its mappings without a
//! gap. Each element refers to a counter, which is never incremented: the kernel keeps how many elements refer
//! to it. `tags` has one reference a tag; `link-5` and `local-5` have one a mapping by link 5, without and with
//! a loopback address.

use std::net::Ipv6Addr;

use super::mapping::Mapping;
use super::record::Record;
use super::ruleset::TAGS;
use super::table::PortTable;
use crate::error::Cause;
use crate::netlink::Socket;
use crate::nft::reader;
use crate::wire::attribute::Writer;
use crate::wire::nft::data::Value;
use crate::wire::nft::element::{ElementsOf, ListElement, PlainData, PlainElement};
use crate::wire::nft::object::{Object, ObjectKind};
use crate::wire::nft::userdata::{Comment, UserData};

/// The counter that the elements of tags refer to.
pub(super) const TAG_COUNTER: &str = "tags";

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

    /// Reads a key: the hash and the place.
    pub(super) fn of_key(key: &[u8]) -> Option<(Self, u16)> {
        let (hash, rest) = key.split_first_chunk()?;
        let (place, _) = rest.split_first_chunk()?;
        Some((Self(u128::from_be_bytes(*hash)), u16::from_be_bytes(*place)))
    }

    fn key(self, place: u16) -> Value {
        let mut key = Value::from(Ipv6Addr::from(self.0));
        key.append_bytes(place.to_be_bytes());
        key
    }
}

/// A row to be added; without content to be deleted.
#[derive(Debug, Clone)]
pub(super) struct Row {
    hash: TagHash,
    place: u16,
    content: Option<Content>,
}

/// The text of a row, and the counter it refers to.
#[derive(Debug, Clone)]
struct Content {
    text: String,
    counter: String,
}

impl Row {
    pub(super) fn of_tag(hash: TagHash, tag: &str) -> Self {
        let content = Content { text: tag.to_owned(), counter: TAG_COUNTER.to_owned() };
        Self { hash, place: 0, content: Some(content) }
    }

    pub(super) fn of_mapping(hash: TagHash, place: u16, record: &Record) -> Self {
        let Mapping { link, .. } = record.mapping;
        let counter = link_counter(link, record.mapping.covers_loopback());
        Self { hash, place, content: Some(Content { text: record.to_string(), counter }) }
    }

    pub(super) fn deleted(hash: TagHash, place: u16) -> Self {
        Self { hash, place, content: None }
    }
}

impl ListElement for Row {
    fn write(&self, out: &mut Writer<'_>) {
        let key = &self.hash.key(self.place);
        let (data, comment) = match &self.content {
            Some(Content { text, counter }) => {
                (Some(PlainData::Object(counter)), Comment::new(text))
            }
            None => (None, None),
        };
        PlainElement { key, data, comment }.write(out);
    }
}

/// Returns the name of the counter for the mappings by a link.
pub(super) fn link_counter(link: u32, covers_loopback: bool) -> String {
    format!("{}-{link}", if covers_loopback { "local" } else { "link" })
}

/// Reads the texts of rows, each at its place.
pub(super) fn texts(
    socket: &mut Socket,
    table: &PortTable,
    places: impl Iterator<Item = (TagHash, u16)>,
) -> Result<Vec<Option<String>>, Cause> {
    let of = ElementsOf::new(&table.name, TAGS);
    let keys: Vec<_> = places.map(|(hash, place)| (&of, hash.key(place))).collect();
    let found = reader::elements(socket, table.family(), &keys)?;
    let text = |element: crate::wire::nft::element::Element| {
        element.userdata.as_ref().and_then(UserData::as_comment).unwrap_or_default().to_owned()
    };
    Ok(found.into_iter().map(|element| element.map(text)).collect())
}

/// Returns how many mappings a tag has. As the places have no gap, few questions find the last one.
pub(super) fn count(socket: &mut Socket, table: &PortTable, hash: TagHash) -> Result<u16, Cause> {
    const BEYOND: u32 = 1 << 16;
    let (mut last, mut end) = (0_u32, BEYOND);
    while end - last > 1 {
        let step = ((end - last) / 16).max(1);
        // Most tags have few mappings.
        let at_once: u32 = if last == 0 { 3 } else { 16 };
        let is_open = end == BEYOND;
        let place = |nth| if is_open { (last + 1) << nth } else { last + (nth + 1) * step };
        let places = (0..at_once).map(place).filter(|place| *place < end);
        let places: Vec<_> = places.filter_map(|place| u16::try_from(place).ok()).collect();
        let found = texts(socket, table, places.iter().map(|place| (hash, *place)))?;
        for (place, found) in places.into_iter().map(u32::from).zip(&found) {
            match found {
                Some(_) => last = last.max(place),
                None => end = end.min(place),
            }
        }
        // Another program may have deleted a row in between.
        end = end.max(last + 1);
    }
    Ok(u16::try_from(last).unwrap_or(u16::MAX))
}

/// Returns how many elements refer to a counter.
pub(super) fn references(
    socket: &mut Socket,
    table: &PortTable,
    counter: &str,
) -> Result<u32, Cause> {
    let object = Object::by_name(&table.name, ObjectKind::Counter, counter);
    let found = reader::object(socket, table.family(), &object)?;
    Ok(found.and_then(|object| object.use_count).unwrap_or(0))
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
    fn a_key_is_read_as_it_was_written() {
        let hash = TagHash::of("web");
        for place in [0, 0x0102] {
            let key = hash.key(place);
            assert_eq!(TagHash::of_key(key.as_slice()), Some((hash, place)));
            assert_eq!(TagHash::of_key(&key.as_slice()[..17]), None);
        }
    }
}
