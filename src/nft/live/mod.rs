//! The `nf_tables` objects of a namespace: handles, transactions, and reads.

mod chain;
mod device;
mod element;
mod find;
mod flowtable;
mod generation;
mod handle;
mod number;
mod object;
pub(crate) mod reader;
mod rule;
mod ruleset;
mod set;
mod single;
mod table;
mod transaction;

pub use element::ElementHandle;
pub use generation::Generation;
pub use handle::{ChainHandle, FlowtableHandle, ObjectHandle, RuleHandle, SetHandle, TableHandle};
pub use transaction::{Refused, Transaction, TransactionError};

pub(crate) use generation::{Step, at_one_generation, read_at_one_generation, with_socket};
pub(crate) use number::Number;
pub(crate) use ruleset::{base_chains, makers};
pub(crate) use table::persistent_tables;
