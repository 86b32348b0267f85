//! The elements of a set with intervals, to check changes that the kernel accepts wrongly.
//!
//! Linux before 7.0 accepts an element that overlaps an interval without an end, and deletes an
//! interval by its first key alone. It also accepts concatenations that enclose one another.
//! Source: `net/netfilter/nft_set_rbtree.c`, `nft_set_pipapo.c`.

use std::collections::BTreeMap;

use super::element::Element;
use super::interval::Shape;
use crate::wire::nft::data::{Data, Value};
use crate::wire::nft::element as wire;

/// An element with its first and last key (compared field by field), and its data in a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRange {
    first: Value,
    last: Value,
    data: Option<Box<Data>>,
    object: Option<String>,
}

impl KeyRange {
    /// Returns the interval of an element with both keys. Returns `None` for the catch-all element.
    pub(crate) fn new(element: &wire::Element) -> Option<Self> {
        let first = element.key?;
        let last = element.key_end.unwrap_or(first);
        let data = element.data.clone().map(Box::new);
        Some(Self { first, last, data, object: element.object.clone() })
    }
}

/// Returns the listed element that contains the whole interval `key`.
pub(crate) fn find(shape: &Shape, listed: Vec<wire::Element>, key: &KeyRange) -> Option<Element> {
    let whole = shape.join(listed);
    let ranges = Ranges { shape, elements: BTreeMap::new() };
    let holds = |one: &&wire::Element| {
        KeyRange::new(one)
            .is_some_and(|one| ranges.has(&one, &key.first) && ranges.has(&one, &key.last))
    };
    whole.iter().find(holds).map(|one| shape.decode_one(one))
}

/// The elements of a set, by their first keys.
pub(crate) struct Ranges<'s> {
    shape: &'s Shape,
    elements: BTreeMap<Value, KeyRange>,
}

impl<'s> Ranges<'s> {
    pub(crate) fn new(shape: &'s Shape, listed: Vec<wire::Element>) -> Self {
        let intervals = shape.join(listed).into_iter().filter_map(|one| KeyRange::new(&one));
        Self { shape, elements: intervals.map(|one| (one.first, one)).collect() }
    }

    pub(crate) fn clear(&mut self) {
        self.elements.clear();
    }

    /// Adds an interval. Succeeds if the same interval exists. Fails with the element that overlaps
    /// the interval.
    pub(crate) fn add(&mut self, new: KeyRange) -> Result<(), Element> {
        match self.elements.get(&new.first) {
            Some(same) if *same == new => return Ok(()),
            _ => {}
        }
        if let Some(other) = self.in_the_way(&new) {
            return Err(self.element(other));
        }
        self.elements.insert(new.first, new);
        Ok(())
    }

    /// Removes an interval. Returns whether the set had exactly this interval.
    pub(crate) fn remove(&mut self, old: &KeyRange) -> bool {
        let is_there = self.elements.get(&old.first).is_some_and(|one| one.last == old.last);
        is_there && self.elements.remove(&old.first).is_some()
    }

    /// Returns the element that contains the whole interval.
    pub(crate) fn holding(&self, key: &KeyRange) -> Option<&KeyRange> {
        let holds = |one: &&KeyRange| self.has(one, &key.first) && self.has(one, &key.last);
        if self.shape.is_concat() {
            return self.elements.values().find(holds);
        }
        self.elements.range(..=key.first).next_back().map(|(_, one)| one).filter(holds)
    }

    pub(crate) fn element(&self, interval: &KeyRange) -> Element {
        self.shape.element(interval.first, interval.last)
    }

    fn in_the_way(&self, new: &KeyRange) -> Option<&KeyRange> {
        if self.shape.is_concat() {
            return self.elements.values().find(|one| self.conflict(one, new));
        }
        let before = self.elements.range(..=new.last).next_back();
        before.map(|(_, one)| one).filter(|one| one.last >= new.first)
    }

    /// Returns whether two concatenations conflict. In a set they may cross, as the kernel allows,
    /// unless one contains a corner of the other: the kernel deletes by a corner. In a map any
    /// overlap conflicts, because the data would be ambiguous.
    fn conflict(&self, a: &KeyRange, b: &KeyRange) -> bool {
        if self.shape.data.is_some() {
            return self.fields(&a.first, &b.last).all(|(first, last)| first <= last)
                && self.fields(&b.first, &a.last).all(|(first, last)| first <= last);
        }
        let has_corner = |a, b: &KeyRange| self.has(a, &b.first) || self.has(a, &b.last);
        has_corner(a, b) || has_corner(b, a)
    }

    fn has(&self, interval: &KeyRange, key: &Value) -> bool {
        self.fields(&interval.first, key).all(|(first, key)| first <= key)
            && self.fields(key, &interval.last).all(|(key, last)| key <= last)
    }

    /// Returns the bytes of each field, for both keys.
    fn fields<'v>(
        &self,
        a: &'v Value,
        b: &'v Value,
    ) -> impl Iterator<Item = (&'v [u8], &'v [u8])> + use<'v, '_> {
        let mut start = 0;
        self.shape.key.iter().map(move |kind| {
            let field = start..start + kind.len() as usize;
            start = field.end.next_multiple_of(4);
            let bytes = |value: &'v Value| value.as_slice().get(field.clone()).unwrap_or_default();
            (bytes(a), bytes(b))
        })
    }
}
