//! The changes in a namespace, as an iterator of typed events without a gap.
//!
//! A [`Watcher`] has a socket in the namespace that receives the kernel's notifications. For each
//! kind of object, it has a model of the existing objects. The socket joins its groups before the
//! first list is read. So each change is in the list, in the queue, or in both.

mod builder;
mod connections;
mod doubt;
mod event;
mod filter;
mod kind;
mod model;
mod objects;
mod routes;
mod ruleset;
mod source;
mod wait;
mod watcher;

pub use builder::Watch;
pub use event::{Change, ConntrackEvent, Event, Resynced, RulesetChange};
pub use watcher::Watcher;
