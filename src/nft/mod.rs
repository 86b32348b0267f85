//! `nf_tables`: changes to a namespace's packet filter, all or nothing, and what is there.

pub(crate) mod read;
mod transaction;

pub(crate) use transaction::{Transaction, is_outdated};
