//! Connection tracking: lists tracked connections and deletes some of them.

mod entry;
mod filter;

pub use entry::{ConntrackEntry, ConntrackTuple, IcmpQuery, TcpState};
pub use filter::ConntrackFilter;

pub(crate) use filter::Candidate;
