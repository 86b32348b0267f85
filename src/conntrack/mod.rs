//! Connection tracking: which connections the kernel knows, and which of them it is to forget.

mod entry;
mod filter;

pub use entry::{ConntrackEntry, ConntrackTuple};
pub use filter::ConntrackFilter;

pub(crate) use filter::Candidate;
