//! Layer 2, places: network namespaces, what runs inside them, and sockets opened inside them.

mod child;
mod command;
mod dead;
mod enter;
mod entry;
mod holders;
mod identity;
mod named;
mod namespace;
mod nsid;
mod open;
mod ping;
mod sockets;
mod sysctl;
mod worker;

pub use child::Child;
pub use command::Command;
pub use holders::{HeldBy, Holder};
pub use identity::NetnsId;
pub use namespace::Namespace;
pub use nsid::PeerId;
pub use ping::{EchoReply, Ping};
pub use sysctl::{Sysctl, SysctlHandle};
pub use worker::Worker;

pub(crate) use open::Quoted;
pub use open::{NamedNetns, Netns};
pub(crate) use sockets::NfTables;
