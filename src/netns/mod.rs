//! Layer 2, places: network namespaces, what runs inside them, and sockets opened inside them.

mod child;
mod command;
mod command_setup;
mod deadline;
mod echo;
mod enter;
mod handle;
mod holders;
mod identity;
mod inet;
mod label;
mod link_identity;
mod listener;
mod lock;
mod name_file;
mod named;
mod namespace;
mod nsid;
mod open;
mod orphans;
mod ping;
mod ping_summary;
mod run;
mod socket_pool;
mod sockets;
mod sysctl_directory;
mod worker;

pub use child::Child;
pub use command::Command;
pub use holders::{HeldBy, Holder};
pub use identity::NetnsId;
pub use listener::Listener;
pub use lock::NetnsLock;
pub use namespace::Namespace;
pub use nsid::PeerId;
pub use open::NamedNetns;
pub use ping::{EchoReply, Ping};
pub use ping_summary::PingSummary;
pub use worker::Worker;

pub(crate) use enter::on_thread;
pub use handle::Netns;
pub(crate) use inet::Opening;
pub(crate) use label::Quoted;
pub(crate) use link_identity::{LinkIdentity, Look, Tagged, count_move};
pub(crate) use lock::Lock;
