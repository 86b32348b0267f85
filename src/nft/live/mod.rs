//! The `nf_tables` objects of a namespace: handles, transactions, reading.

mod chain;
mod device;
mod element;
mod find;
mod flowtable;
mod generation;
mod number;
mod object;
mod operations;
pub(crate) mod read;
mod request;
mod rule;
mod ruleset;
mod set;
mod table;
mod transaction;
mod undo;

pub use chain::ChainHandle;
pub use element::ElementHandle;
pub use flowtable::FlowtableHandle;
pub use generation::Generation;
pub use object::ObjectHandle;
pub use rule::RuleHandle;
pub use set::SetHandle;
pub use table::TableHandle;
pub use transaction::{Refused, Transaction, TransactionError};

pub(crate) use generation::at_one_generation;
pub(crate) use operations::{Operations, is_outdated};
pub(crate) use ruleset::{base_chains, makers};
pub(crate) use table::persistent_tables;
