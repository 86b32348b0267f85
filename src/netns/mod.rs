//! Layer 2, places: network namespaces, what runs inside them, and sockets opened inside them.

mod command;
mod enter;
mod identity;
mod named;
mod namespace;
mod open;
mod sockets;

pub use command::Command;
pub use identity::NetnsId;
pub use namespace::Namespace;
pub(crate) use open::Quoted;
pub use open::{NamedNetns, Netns};
