//! Layer 2, places: network namespaces, what runs inside them, and sockets opened inside them.

mod birth;
mod child;
mod command;
mod dead;
mod echo;
mod enter;
mod entry;
mod held;
mod hold;
mod holders;
mod identity;
mod inet;
mod link_identity;
mod listener;
mod named;
mod namespace;
mod nsid;
mod open;
mod ping;
mod ping_summary;
mod pool;
mod setting;
mod setting_id;
mod sockets;
mod sysctl;
mod until;
mod ways;
mod worker;

pub use child::Child;
pub use command::Command;
pub use holders::{HeldBy, Holder};
pub use identity::NetnsId;
pub use listener::Listener;
pub use namespace::Namespace;
pub use nsid::PeerId;
pub use ping::{EchoReply, Ping};
pub use ping_summary::PingSummary;
pub use setting::{
    AcceptRa, ArpAccept, ArpAnnounce, ArpIgnore, Conf, RpFilter, Setting, SettingValue,
};
pub use sysctl::{Sysctl, SysctlHandle};
pub use ways::NamedNetns;
pub use worker::Worker;

pub(crate) use enter::on_thread;
pub(crate) use held::Access;
pub(crate) use inet::Opening;
pub(crate) use link_identity::Identity;
pub use open::Netns;
pub(crate) use open::Quoted;
pub(crate) use setting_id::SettingId;
pub(crate) use sockets::NfTables;
