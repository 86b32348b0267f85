//! Links: what carries packets in a namespace. One file a kind, and what all kinds share.

mod announce;
mod bridge;
mod bridge_info;
mod bridge_vlan;
mod change;
mod configure;
mod create;
mod group;
mod handle;
mod index;
mod info;
mod ipv4_conf;
mod list;
mod message;
mod port;
mod port_settings;
mod reference;
mod settings;
mod sockets;
mod tagged;
mod veth;
mod view;

pub use bridge::Bridge;
pub use bridge_info::BridgeInfo;
pub use bridge_vlan::{BridgeVlan, BridgeVlanHandle, BridgeVlanInfo};
pub use handle::Link;
pub use index::LinkIndex;
pub use info::{LinkFlags, LinkInfo, OperationalState};
pub use ipv4_conf::{Ipv4Conf, LinkSetting, LinkSettingHandle};
pub use port::{BridgePortInfo, BridgePortState};
pub use reference::LinkRef;
pub(crate) use tagged::{dead, remove_dead};
pub use veth::{Veth, VethEnd, VethPair};
pub use view::LinkView;
