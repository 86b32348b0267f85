//! Layer 2, places: network namespaces, what runs inside them, and sockets opened inside them.

mod command;
mod enter;
mod identity;
mod named;
mod namespace;
mod open;
mod ping;
mod sockets;
mod sysctl;

pub use command::Command;
pub use identity::NetnsId;
pub use namespace::Namespace;
pub use ping::{EchoReply, Ping};
pub use sysctl::{Sysctl, SysctlHandle};

pub(crate) use open::Quoted;
pub use open::{NamedNetns, Netns};
pub(crate) use sockets::NfTables;
