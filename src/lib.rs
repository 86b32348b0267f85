//! netloom
#![allow(dead_code, unreachable_pub, missing_docs)]
mod error;
mod input;
mod mac;
mod netlink;
mod netns;
mod owned;
mod sys;
mod wire;
pub use error::Error;
pub use input::Input;
pub use mac::{BadMacAddr, MacAddr};
pub use netns::{Command, NamedNetns, Namespace, Netns, NetnsId};
pub use owned::{DeleteError, Handle, Owned, on_drop_failure};
