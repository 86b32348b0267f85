//! The imports of most expressions.

pub(super) use crate::wire::nft::codec::{attribute_table, wire_enum, wire_flags};
pub(super) use crate::wire::nft::data::Value;
pub(super) use crate::wire::nft::register::Register;
