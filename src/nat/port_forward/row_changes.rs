//! Changes of the rows that name the mappings of each tag.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nix::errno::Errno;

use super::mapping::Mapping;
use super::record::Record;
use super::rows::Row;
use super::state::{TagRows, Turn};
use super::table::{NEW, PortTable};
use super::tag::{Number, TagHash, link_counter};
use crate::error::Error;
use crate::nft::Transaction;
use crate::wire::nft::message::MessageType;
/// The rows to delete and to add, so that the places of each tag keep no gap.
#[derive(Debug, Default)]
pub(super) struct RowChanges {
    old: Vec<Row>,
    new: Vec<Row>,
    /// The rows that each tag has afterwards.
    pub(super) tags: Vec<(TagHash, TagRows)>,
    /// The number of tags without a row afterwards.
    pub(super) ended_tags: u32,
}

impl RowChanges {
    pub(super) fn new(
        turn: &mut Turn<'_>,
        table: &PortTable,
        numbers: impl Iterator<Item = Number>,
    ) -> Result<Self, Error> {
        let mut of_tags: BTreeMap<TagHash, BTreeSet<u16>> = BTreeMap::new();
        for (hash, place) in numbers.map(TagHash::of_number) {
            of_tags.entry(hash).or_default().insert(place);
        }
        let mut changes = Self::default();
        for (hash, deleted) in of_tags {
            let last = turn.row_count(table, hash)?;
            let left = last.saturating_sub(u16::try_from(deleted.len()).unwrap_or(u16::MAX));
            // Rows behind the new end move to the free places before it.
            let moved = (left + 1..=last).filter(|place| !deleted.contains(place));
            let moved: Vec<_> = moved.collect();
            let free = deleted.iter().copied().filter(|place| *place <= left);
            let texts = turn.texts(table, moved.iter().map(|place| (hash, *place)))?;
            for (place, text) in free.zip(texts) {
                let record = text.as_deref().and_then(Record::read);
                // The row was changed meanwhile, and this attempt has changed nothing, so it may be
                // repeated.
                let record = record.ok_or_else(|| turn.failed(Errno::EBADMSG.into()))?;
                let Mapping { link, .. } = record.mapping;
                let counter = link_counter(link, record.mapping.covers_loopback());
                changes.new.push(Row::of_mapping(hash, place, &record, Arc::from(counter)));
            }
            let rows = turn.ports.known.rows.get(&(table.is_ipv4, hash));
            let was_moved = rows.is_some_and(|rows| rows.is_moved);
            // If rows of the tag moved, another program may have deleted the row with the tag's
            // name.
            let is_ended =
                left == 0 && (!was_moved || turn.texts(table, [(hash, 0)].into_iter())? != [None]);
            changes.ended_tags += u32::from(is_ended);
            let is_moved = was_moved || !moved.is_empty();
            changes.tags.push((hash, TagRows { count: left, is_moved }));
            let old = deleted.into_iter().chain(moved).chain(is_ended.then_some(0));
            changes.old.extend(old.map(|place| Row::deleted(hash, place)));
        }
        Ok(changes)
    }

    pub(super) fn push(&self, table: &PortTable, transaction: &mut Transaction) {
        Row::push(transaction, table, (MessageType::DeleteElement, 0), &self.old);
        Row::push(transaction, table, NEW, &self.new);
    }
}
