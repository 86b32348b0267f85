//! Links: network interfaces of every kind. Each kind has a file in `kind/`. The files here serve
//! all kinds.

mod bridge_info;
mod bridge_vlan;
mod change;
mod configure;
mod create;
mod delete;
mod group;
mod handle;
mod index;
mod info;
pub(crate) mod kind;
mod list;
mod master;
mod message;
mod options;
mod port;
mod reference;
mod settings;
mod shared;
mod sockets;
mod tagged;
mod taken;

pub use bridge_info::BridgeInfo;
pub use bridge_vlan::{BridgeVlan, BridgeVlanHandle, BridgeVlanInfo};
pub use handle::Link;
pub use index::LinkIndex;
pub use info::{LinkFlags, LinkInfo, LinkView, OperationalState};
pub use kind::LinkKind;
pub(crate) use kind::builders;
pub(crate) use message::write_kind;
pub use port::{BridgePortInfo, BridgePortState};
pub use reference::LinkRef;
pub(crate) use tagged::{orphans, remove_orphan};
