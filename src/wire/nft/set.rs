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
//!   NFTA_SET_DESC_SIZE     1  be32   the maximum number of elements
//!   NFTA_SET_DESC_CONCAT   2  list of nests NFTA_SET_FIELD_LEN 1 be32
//! NFTA_SET_ID           10  be32     number of a set in this batch
//! NFTA_SET_TIMEOUT      11  be64     milliseconds
//! NFTA_SET_GC_INTERVAL  12  be32     milliseconds
//! NFTA_SET_USERDATA     13  bytes
//! NFTA_SET_OBJ_TYPE     15  be32     of a map to objects, see object.rs
//! NFTA_SET_HANDLE       16  be64
//! NFTA_SET_EXPR         17  expression of each element
//! NFTA_SET_EXPRESSIONS  18  list of expressions, if there are several
//! NFTA_SET_TYPE         19  string   the kernel's data structure; not read
//! NFTA_SET_COUNT        20  be32     the number of elements; listed by newer kernels (seen on 6.18)
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_set_attributes`.

use std::time::Duration;

use super::codec::{Field, attribute_table, named_in_table, wire_enum, wire_flags};
use super::datatype::DataType;
use super::expr::stateful::Stateful;
use super::object::ObjectKind;
use super::userdata::UserData;
use crate::wire::attribute::{Attribute, Writer};

wire_flags! {
    #[doc(alias = "nft_set_flags")]
    SetFlags: u32, 0xffff_ffff {
        /// Anonymous: bound to the rule that looks the set up, and deleted with that rule.
        ANONYMOUS = 1,
        /// The elements can't change after a rule has used the set.
        CONSTANT = 1 << 1,
        INTERVAL = 1 << 2,
        MAP = 1 << 3,
        TIMEOUT = 1 << 4,
        /// Rules may add and delete elements.
        EVAL = 1 << 5,
        /// The data are names of objects.
        OBJECT = 1 << 6,
        /// The keys are concatenations with intervals.
        CONCAT = 1 << 7,
        /// The elements have several expressions.
        EXPR = 1 << 8,
    }
}

wire_enum! {
    /// The resource that the kernel should save: time or memory.
    #[doc(alias = "nft_set_policies")]
    SetPolicy: u32 {
        Performance = 0,
        Memory = 1,
    }
}

attribute_table! {
    /// A set in a message. A new set needs most of these fields; a deletion needs a name or a
    /// handle.
    #[derive(Default)]
    lenient struct Set {
        table: String = 1,
        name: Option<String> = 2,
        handle: Option<u64> = 16,
        flags: Option<SetFlags> = 3,
        key_type: Option<DataType> = 4,
        key_len: Option<u32> = 5,
        data_type: Option<DataType> = 6,
        data_len: Option<u32> = 7,
        object_type: Option<ObjectKind> = 15,
        /// The number of the set in the batch. Required to create a set.
        id: Option<u32> = 10,
        policy: Option<SetPolicy> = 8,
        desc: Description = 9 unless_default,
        /// The timeout of elements that have no timeout of their own.
        timeout: Option<Duration> = 11,
        gc_interval: Option<Milliseconds> = 12,
        userdata: Option<UserData> = 13,
        expressions: Vec<Stateful> = 17 or 18,
        /// The number of elements; sent by the kernel only, and not by every version.
        count: Option<u32> = 20,
    }
}

named_in_table!(Set);

attribute_table! {
    /// The facts by which the kernel chooses a data structure for the set.
    #[derive(Default)]
    lenient struct Description {
        /// The maximum number of elements. If it is given, the kernel need not grow the set.
        size: Option<u32> = 1,
        /// The fields of a concatenation with intervals.
        fields: Vec<FieldLength> = 2 unless_default,
    }
}

attribute_table! {
    /// The length of one field in bytes, without padding.
    #[derive(Copy)]
    lenient struct FieldLength {
        length: u32 = 1,
    }
}

/// A duration in milliseconds, with 32 bits: at most about 49 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Milliseconds(u32);

impl Milliseconds {
    /// Converts a duration. Returns `None` if it is over 49 days.
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
