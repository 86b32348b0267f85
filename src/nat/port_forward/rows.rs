//! The rows of the persistent table: a map that lists the mappings of each tag.
//!
//! The key of a row is a hash of the tag and a place. Place 0 has the tag's name. The places from 1
//! on have the tag's mappings, without a gap. Each row refers to a counter, because the kernel
//! counts the references to a counter; the counter itself is never incremented. `tags` has one
//! reference for each tag. `link-5` has one for each mapping by link 5 without a loopback address,
//! `local-5` one for each with a loopback address.

use std::sync::Arc;

use super::record::Record;
use super::ruleset::TAGS;
use super::state::{TagRows, Turn};
use super::table::PortTable;
use super::tag::TagHash;
use crate::error::Error;
use crate::nft::{Transaction, reader};
use crate::wire::attribute::Writer;
use crate::wire::nft::element::{Element, ElementsOf, ListElement, PlainData, PlainElement};
use crate::wire::nft::message::MessageType;
use crate::wire::nft::object::{Object, ObjectKind};
use crate::wire::nft::userdata::{Comment, UserData};

/// The counter that the elements of tags refer to.
pub(super) const TAG_COUNTER: &str = "tags";

/// A row to add, or to delete if it has no content.
#[derive(Debug, Clone)]
pub(super) struct Row {
    hash: TagHash,
    place: u16,
    /// The text of the row, and the name of the counter that the row refers to.
    content: Option<(String, Arc<str>)>,
}

impl Row {
    pub(super) fn of_tag(hash: TagHash, tag: &str) -> Self {
        Self { hash, place: 0, content: Some((tag.to_owned(), TAG_COUNTER.into())) }
    }

    /// `counter` is the [`link_counter`] of the mapping.
    pub(super) fn of_mapping(
        hash: TagHash,
        place: u16,
        record: &Record,
        counter: Arc<str>,
    ) -> Self {
        Self { hash, place, content: Some((record.to_string(), counter)) }
    }

    pub(super) fn deleted(hash: TagHash, place: u16) -> Self {
        Self { hash, place, content: None }
    }

    /// Adds or deletes rows.
    pub(super) fn push<'r>(
        transaction: &mut Transaction,
        table: &PortTable,
        (kind, flags): (MessageType, u16),
        rows: impl IntoIterator<Item = &'r Self>,
    ) {
        let of = ElementsOf::new(&table.name, TAGS);
        transaction.push_elements(kind, flags, table.family(), &of, rows);
    }
}

impl ListElement for Row {
    fn write(&self, out: &mut Writer<'_>) {
        let key = &self.hash.key(self.place);
        let (data, comment) = match &self.content {
            Some((text, counter)) => (Some(PlainData::Object(counter)), Comment::new(text)),
            None => (None, None),
        };
        PlainElement { key, data, comment }.write(out);
    }
}

impl Turn<'_> {
    /// Reads the texts of the rows at these places.
    pub(super) fn texts(
        &mut self,
        table: &PortTable,
        places: impl Iterator<Item = (TagHash, u16)>,
    ) -> Result<Vec<Option<String>>, Error> {
        let of = ElementsOf::new(&table.name, TAGS);
        let keys: Vec<_> = places.map(|(hash, place)| (&of, hash.key(place))).collect();
        let found = reader::elements(self.socket, table.family(), &keys);
        let text = |element: Element| {
            element.userdata.as_ref().and_then(UserData::as_comment).unwrap_or_default().to_owned()
        };
        let found = found.map_err(|cause| self.failed(cause))?;
        Ok(found.into_iter().map(|element| element.map(text)).collect())
    }

    /// Returns how many mappings a tag has.
    pub(super) fn row_count(&mut self, table: &PortTable, hash: TagHash) -> Result<u16, Error> {
        let key = (table.is_ipv4, hash);
        if let Some(rows) = self.ports.known.rows.get(&key) {
            return Ok(rows.count);
        }
        let count = self.last_place(table, hash)?;
        self.ports.known.rows.insert(key, TagRows { count, is_moved: false });
        Ok(count)
    }

    /// Finds the last place of a tag. There is no gap, so a search with few requests finds it.
    fn last_place(&mut self, table: &PortTable, hash: TagHash) -> Result<u16, Error> {
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
            let found = self.texts(table, places.iter().map(|place| (hash, *place)))?;
            for (place, found) in places.into_iter().map(u32::from).zip(&found) {
                match found {
                    Some(_) => last = last.max(place),
                    None => end = end.min(place),
                }
            }
            // Another program may have deleted a row in between, and left a gap.
            end = end.max(last + 1);
        }
        Ok(u16::try_from(last).unwrap_or(u16::MAX))
    }

    /// Returns how many elements refer to a counter.
    pub(super) fn references(&mut self, table: &PortTable, counter: &str) -> Result<u32, Error> {
        let object = Object::by_name(&table.name, ObjectKind::Counter, counter);
        let found = reader::object(self.socket, table.family(), &object);
        let found = found.map_err(|cause| self.failed(cause))?;
        Ok(found.and_then(|object| object.use_count).unwrap_or(0))
    }

    /// Returns how many tags a table has.
    pub(super) fn tag_count(&mut self, table: &PortTable) -> Result<u32, Error> {
        let family = usize::from(table.is_ipv4);
        if let Some(count) = self.ports.known.tags[family] {
            return Ok(count);
        }
        let count = self.references(table, TAG_COUNTER)?;
        self.ports.known.tags[family] = Some(count);
        Ok(count)
    }
}
