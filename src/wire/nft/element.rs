//! Elements of a set or map, and the lists of elements in messages.
//!
//! ```text
//! NFTA_SET_ELEM_LIST_TABLE     1  string
//! NFTA_SET_ELEM_LIST_SET       2  string
//! NFTA_SET_ELEM_LIST_ELEMENTS  3  list of elements; the kernel does not look at their types
//!   NFTA_SET_ELEM_KEY          1  data
//!   NFTA_SET_ELEM_DATA         2  data     of a map
//!   NFTA_SET_ELEM_FLAGS        3  be32     end of an interval 1, catch-all 2
//!   NFTA_SET_ELEM_TIMEOUT      4  be64     milliseconds
//!   NFTA_SET_ELEM_EXPIRATION   5  be64     milliseconds that are left
//!   NFTA_SET_ELEM_USERDATA     6  bytes
//!   NFTA_SET_ELEM_EXPR         7  expression
//!   NFTA_SET_ELEM_OBJREF       9  string   of a map to objects
//!   NFTA_SET_ELEM_KEY_END     10  data     of a concatenation with intervals
//!   NFTA_SET_ELEM_EXPRESSIONS 11  list of expressions, if there are several
//! NFTA_SET_ELEM_LIST_SET_ID    4  be32     number of a set in this batch
//! ```
//!
//! A list is one attribute of at most 65,535 bytes. More elements need more messages.
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_set_elem_attributes`.

use std::borrow::Cow;
use std::iter::Peekable;
use std::time::Duration;

use super::codec::{Codec, Field, NFTA_LIST_ELEM, attribute_table, wire_flags};
use super::data::{Data, NFTA_DATA_VALUE, Value};
use super::expr::stateful::Stateful;
use super::userdata::{Comment, UserData};
use crate::wire::attribute::{Attribute, Attributes, Writer};

const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_SET_ELEM_LIST_SET_ID: u16 = 4;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_SET_ELEM_USERDATA: u16 = 6;
const NFTA_SET_ELEM_OBJREF: u16 = 9;

wire_flags! {
    #[doc(alias = "nft_set_elem_flags")]
    ElementFlags: u32, 0xffff_ffff {
        /// The element is the first key after an interval, not a member of the set.
        INTERVAL_END = 1,
        /// The catch-all element, for keys that no other element has.
        CATCHALL = 2,
    }
}

attribute_table! {
    #[derive(Default)]
    lenient struct Element {
        flags: ElementFlags = 3 unless_default,
        timeout: Option<Duration> = 4,
        expiration: Option<Duration> = 5,
        /// The key, or the first key of an interval. Only the catch-all element has none.
        key: Option<Value> = 1,
        /// The last key of an interval, field by field. Only in sets with
        /// [`super::set::SetFlags::CONCAT`].
        key_end: Option<Value> = 10,
        data: Option<Data> = 2,
        userdata: Option<UserData> = 6,
        object: Option<String> = 9,
        expressions: Vec<Stateful> = 7 or 11,
    }
}

impl Element {
    pub(crate) fn new(key: impl Into<Value>) -> Self {
        Self { key: Some(key.into()), ..Self::default() }
    }

    /// Creates an element of a map.
    pub(crate) fn with_data(key: impl Into<Value>, data: impl Into<Data>) -> Self {
        Self { data: Some(data.into()), ..Self::new(key) }
    }

    /// Creates the element that ends an interval; `key` is the first key after the interval.
    pub(crate) fn interval_end(key: impl Into<Value>) -> Self {
        Self { flags: ElementFlags::INTERVAL_END, ..Self::new(key) }
    }
}

/// The set that a list of elements belongs to. A deletion without a list deletes all elements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ElementsOf<'a> {
    pub(crate) table: Cow<'a, str>,
    pub(crate) set: Cow<'a, str>,
    /// The number of the set in the batch. Required if the kernel chooses the set's name.
    pub(crate) set_id: Option<u32>,
}

impl<'a> ElementsOf<'a> {
    pub(crate) fn new(table: &'a str, set: &'a str) -> Self {
        Self { table: table.into(), set: set.into(), set_id: None }
    }
}

impl Codec for ElementsOf<'_> {
    fn encode(&self, out: &mut Writer<'_>) {
        out.string(NFTA_SET_ELEM_LIST_TABLE, &self.table);
        out.string(NFTA_SET_ELEM_LIST_SET, &self.set);
        self.set_id.write(out, NFTA_SET_ELEM_LIST_SET_ID);
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        Some(Self {
            table: attributes.lenient::<String>(NFTA_SET_ELEM_LIST_TABLE)?.into(),
            set: attributes.lenient::<String>(NFTA_SET_ELEM_LIST_SET)?.into(),
            set_id: attributes.lenient(NFTA_SET_ELEM_LIST_SET_ID)?,
        })
    }
}

/// An element that can be written into a list.
pub(crate) trait ListElement {
    fn write(&self, out: &mut Writer<'_>);
}

impl ListElement for Element {
    fn write(&self, out: &mut Writer<'_>) {
        self.encode(out);
    }
}

impl<T: ListElement> ListElement for &T {
    fn write(&self, out: &mut Writer<'_>) {
        (*self).write(out);
    }
}

/// An element with a key, optional data and an optional comment. It borrows them, for long lists.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlainElement<'a> {
    pub(crate) key: &'a Value,
    pub(crate) data: Option<PlainData<'a>>,
    pub(crate) comment: Option<Comment<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum PlainData<'a> {
    Value(&'a Value),
    /// The name of an object, in a map to objects.
    Object(&'a str),
}

impl ListElement for PlainElement<'_> {
    fn write(&self, out: &mut Writer<'_>) {
        self.key.write(out, NFTA_SET_ELEM_KEY);
        match self.data {
            None => {}
            Some(PlainData::Value(value)) => value.write(out, NFTA_SET_ELEM_DATA),
            Some(PlainData::Object(name)) => out.string(NFTA_SET_ELEM_OBJREF, name),
        }
        if let Some(comment) = self.comment {
            comment.write(out, NFTA_SET_ELEM_USERDATA);
        }
    }
}

/// An element with a key of 8 bytes and optional data of 8 bytes. It is written faster than a
/// [`PlainElement`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct PairElement {
    pub(crate) key: [u8; 8],
    pub(crate) data: Option<[u8; 8]>,
}

impl ListElement for PairElement {
    fn write(&self, out: &mut Writer<'_>) {
        out.nested_exact(NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE, self.key);
        if let Some(data) = self.data {
            out.nested_exact(NFTA_SET_ELEM_DATA, NFTA_DATA_VALUE, data);
        }
    }
}

/// Writes as many elements as fit into one message, and returns their number. The others stay in
/// the iterator for the next message.
pub(crate) fn encode_list(
    of: &ElementsOf<'_>,
    elements: &mut Peekable<impl Iterator<Item = impl ListElement>>,
    out: &mut Writer<'_>,
) -> usize {
    of.encode(out);
    out.nested_while_fitting(NFTA_SET_ELEM_LIST_ELEMENTS, elements, |list, at, element| {
        list.nested(element_type(at), |nest| element.write(nest));
    })
}

/// Returns the attribute type of an element in a list: 1 for the first, as `nft` does.
fn element_type(at: usize) -> u16 {
    u16::try_from(at).ok().and_then(|at| at.checked_add(1)).unwrap_or(NFTA_LIST_ELEM)
}

/// Decodes the elements of a message lazily.
pub(crate) fn decode_list(attributes: Attributes<'_>) -> impl Iterator<Item = Element> {
    let list = attributes.get(NFTA_SET_ELEM_LIST_ELEMENTS).map(Attribute::nested);
    list.unwrap_or_default().iter().filter_map(|element| Element::decode(element.nested()))
}

#[cfg(test)]
#[path = "element_tests.rs"]
mod tests;
