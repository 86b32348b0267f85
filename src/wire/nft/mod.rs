//! `nf_tables`: messages, objects and expressions as bytes.
//!
//! Each object or expression has a file with its kernel name. Every file has the same order: a map
//! of the attributes in the header comment, the table or type, and tests against the bytes of
//! `nft`.
//!
//! Objects are decoded leniently: unknown attributes are skipped. Expressions are decoded strictly:
//! an expression with anything unknown becomes [`expr::Expr::Unknown`] and keeps its bytes. So a
//! rule is never misread, and is written back unchanged.
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
pub(super) mod testing;
pub(crate) mod userdata;
