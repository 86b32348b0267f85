//! A set; with data for each key, a map.
//!
//! ```text
//! NFTA_SET_TABLE         1  string
//! NFTA_SET_NAME          2  string
//! NFTA_SET_FLAGS         3  be32
//! NFTA_SET_KEY_TYPE      4  be32     for nft, see datatype.rs
//! NFTA_SET_KEY_LEN       5  be32     bytes
//! NFTA_SET_DATA_TYPE     6  be32     of a map: for nft, but 0xffffff00 is a verdict
//! NFTA_SET_DATA_LEN      7  be32     of a map: bytes
//! NFTA_SET_POLICY        8  be32     performance 0, memory 1
//! NFTA_SET_DESC          9  nest
//!   NFTA_SET_DESC_SIZE     1  be32   how many elements at most
//!   NFTA_SET_DESC_CONCAT   2  list of nests NFTA_SET_FIELD_LEN 1 be32
//! NFTA_SET_ID           10  be32     number of a set in this batch
//! NFTA_SET_TIMEOUT      11  be64     milliseconds
//! NFTA_SET_GC_INTERVAL  12  be32     milliseconds
//! NFTA_SET_USERDATA     13  bytes
//! NFTA_SET_OBJ_TYPE     15  be32     of a map to objects, see object.rs
//! NFTA_SET_HANDLE       16  be64
//! NFTA_SET_EXPR         17  expression of each element
//! NFTA_SET_EXPRESSIONS  18  list of them, when there are several
//! NFTA_SET_TYPE         19  string   how the kernel keeps it; not read
//! NFTA_SET_COUNT        20  be32     how many elements there are; kernels that list it (seen on 6.18)
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_set_attributes`.

use std::time::Duration;

use bitflags::bitflags;

use super::codec::{Codec, Field, flags_field, wire_enum};
use super::datatype::DataType;
use super::expr::{self, Expr, NFTA_LIST_ELEM};
use super::object::ObjectType;
use super::userdata::UserData;
use crate::wire::attribute::{Attribute, Attributes, Writer};

const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DATA_TYPE: u16 = 6;
const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_POLICY: u16 = 8;
const NFTA_SET_DESC: u16 = 9;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_TIMEOUT: u16 = 11;
const NFTA_SET_GC_INTERVAL: u16 = 12;
const NFTA_SET_USERDATA: u16 = 13;
const NFTA_SET_OBJ_TYPE: u16 = 15;
const NFTA_SET_HANDLE: u16 = 16;
const NFTA_SET_EXPR: u16 = 17;
const NFTA_SET_EXPRESSIONS: u16 = 18;
const NFTA_SET_COUNT: u16 = 20;
const NFTA_SET_DESC_SIZE: u16 = 1;
const NFTA_SET_DESC_CONCAT: u16 = 2;
const NFTA_SET_FIELD_LEN: u16 = 1;

bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[doc(alias = "nft_set_flags")]
    pub(crate) struct SetFlags: u32 {
        /// Bound to the rule that looks it up, and gone with it.
        const ANONYMOUS = 1;
        /// Its elements don't change once a rule looks it up.
        const CONSTANT = 1 << 1;
        const INTERVAL = 1 << 2;
        const MAP = 1 << 3;
        const TIMEOUT = 1 << 4;
        /// Rules may add to it.
        const EVAL = 1 << 5;
        /// A map to named objects.
        const OBJECT = 1 << 6;
        /// Its keys are concatenations with intervals.
        const CONCAT = 1 << 7;
        /// Its elements have several expressions.
        const EXPR = 1 << 8;
        const _ = !0;
    }
}
flags_field!(SetFlags: u32);

wire_enum! {
    /// What the kernel should save on.
    #[doc(alias = "nft_set_policies")]
    SetPolicy: u32 {
        Performance = 0,
        Memory = 1,
    }
}

/// What a message says of a set: to make one all that it is, to delete one a name or handle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) table: String,
    pub(crate) name: Option<String>,
    pub(crate) handle: Option<u64>,
    /// The kernel wants one to make a set.
    pub(crate) id: Option<u32>,
    pub(crate) flags: Option<SetFlags>,
    pub(crate) key_type: Option<DataType>,
    pub(crate) key_len: Option<u32>,
    pub(crate) data_type: Option<DataType>,
    pub(crate) data_len: Option<u32>,
    pub(crate) object_type: Option<ObjectType>,
    pub(crate) policy: Option<SetPolicy>,
    pub(crate) desc: Description,
    /// What elements get that have none of their own.
    pub(crate) timeout: Option<Duration>,
    pub(crate) gc_interval: Option<Milliseconds>,
    pub(crate) userdata: Option<UserData>,
    pub(crate) expressions: Vec<Expr>,
    /// Only the kernel tells, and not every one.
    pub(crate) count: Option<u32>,
}

impl Set {
    pub(crate) fn by_name(table: &str, name: &str) -> Self {
        Self { table: table.to_owned(), name: Some(name.to_owned()), ..Self::default() }
    }

    pub(crate) fn by_handle(table: &str, handle: u64) -> Self {
        Self { table: table.to_owned(), handle: Some(handle), ..Self::default() }
    }
}

impl Codec for Set {
    fn encode(&self, out: &mut Writer<'_>) {
        out.field(NFTA_SET_TABLE, &self.table);
        out.optional(NFTA_SET_NAME, self.name.as_ref());
        out.optional(NFTA_SET_HANDLE, self.handle.as_ref());
        out.optional(NFTA_SET_FLAGS, self.flags.as_ref());
        out.optional(NFTA_SET_KEY_TYPE, self.key_type.as_ref());
        out.optional(NFTA_SET_KEY_LEN, self.key_len.as_ref());
        out.optional(NFTA_SET_DATA_TYPE, self.data_type.as_ref());
        out.optional(NFTA_SET_DATA_LEN, self.data_len.as_ref());
        out.optional(NFTA_SET_OBJ_TYPE, self.object_type.as_ref());
        out.optional(NFTA_SET_ID, self.id.as_ref());
        out.optional(NFTA_SET_POLICY, self.policy.as_ref());
        if self.desc != Description::default() {
            out.field(NFTA_SET_DESC, &self.desc);
        }
        out.optional(NFTA_SET_TIMEOUT, self.timeout.as_ref());
        out.optional(NFTA_SET_GC_INTERVAL, self.gc_interval.as_ref());
        out.optional(NFTA_SET_USERDATA, self.userdata.as_ref());
        let (one, several) = (NFTA_SET_EXPR, NFTA_SET_EXPRESSIONS);
        expr::encode_one_or_several(&self.expressions, out, one, several);
        out.optional(NFTA_SET_COUNT, self.count.as_ref());
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        Some(Self {
            table: attributes.field(NFTA_SET_TABLE)?,
            name: attributes.field(NFTA_SET_NAME),
            handle: attributes.field(NFTA_SET_HANDLE),
            id: attributes.field(NFTA_SET_ID),
            flags: attributes.field(NFTA_SET_FLAGS),
            key_type: attributes.field(NFTA_SET_KEY_TYPE),
            key_len: attributes.field(NFTA_SET_KEY_LEN),
            data_type: attributes.field(NFTA_SET_DATA_TYPE),
            data_len: attributes.field(NFTA_SET_DATA_LEN),
            object_type: attributes.field(NFTA_SET_OBJ_TYPE),
            policy: attributes.field(NFTA_SET_POLICY),
            desc: attributes.field(NFTA_SET_DESC).unwrap_or_default(),
            timeout: attributes.field(NFTA_SET_TIMEOUT),
            gc_interval: attributes.field(NFTA_SET_GC_INTERVAL),
            userdata: attributes.field(NFTA_SET_USERDATA),
            expressions: expr::decode_one_or_several(
                attributes.get(NFTA_SET_EXPR),
                attributes.get(NFTA_SET_EXPRESSIONS),
            ),
            count: attributes.field(NFTA_SET_COUNT),
        })
    }
}

/// What lets the kernel choose how to keep the set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Description {
    /// How many elements there are at most. Declared, it spares growing.
    pub(crate) size: Option<u32>,
    /// Of a concatenation with intervals: the bytes of each field, without padding.
    pub(crate) field_lengths: Vec<u32>,
}

impl Field for Description {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        let desc = attribute.nested();
        let fields = desc.get(NFTA_SET_DESC_CONCAT).map(Attribute::nested).unwrap_or_default();
        Some(Self {
            size: desc.field(NFTA_SET_DESC_SIZE),
            field_lengths: fields
                .iter()
                .filter_map(|field| field.nested().field(NFTA_SET_FIELD_LEN))
                .collect(),
        })
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        out.nested(kind, |desc| {
            desc.optional(NFTA_SET_DESC_SIZE, self.size.as_ref());
            if self.field_lengths.is_empty() {
                return;
            }
            desc.nested(NFTA_SET_DESC_CONCAT, |fields| {
                for length in &self.field_lengths {
                    fields.nested(NFTA_LIST_ELEM, |field| field.field(NFTA_SET_FIELD_LEN, length));
                }
            });
        });
    }
}

/// 32 bits of milliseconds, about 49 days at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Milliseconds(u32);

impl Milliseconds {
    /// `None` over 49 days.
    pub(crate) fn new(duration: Duration) -> Option<Self> {
        u32::try_from(duration.as_millis()).ok().map(Self)
    }

    pub(crate) fn as_duration(self) -> Duration {
        Duration::from_millis(self.0.into())
    }
}

impl Field for Milliseconds {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        u32::read(attribute).map(Self)
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        self.0.write(out, kind);
    }
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
