//! `nf_tables`: messages, objects and expressions as bytes.
//!
//! One file an object or expression, named by its kernel name, always in the same order: the attribute
//! map in the header comment, constants, type, encode and decode, tests against what `nft` sends.
//!
//! Objects read leniently: an attribute nobody knows here is skipped. Expressions read strictly: one
//! that holds anything not understood stays [`expr::Expr::Unknown`] with all its bytes, so that a rule
//! is never read as something it is not, and is written back as it came.
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`.

pub(crate) mod chain;
pub(crate) mod codec;
pub(crate) mod data;
pub(crate) mod datatype;
pub(crate) mod element;
pub(crate) mod expr;
pub(crate) mod flowtable;
pub(crate) mod generation;
pub(crate) mod hook;
pub(crate) mod message;
pub(crate) mod object;
pub(crate) mod register;
pub(crate) mod rule;
pub(crate) mod set;
pub(crate) mod table;
#[cfg(test)]
mod testing;
pub(crate) mod userdata;
