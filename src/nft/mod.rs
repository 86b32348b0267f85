//! `nf_tables`: changes to a namespace's packet filter, all or nothing.

mod transaction;

pub(crate) use transaction::Transaction;
