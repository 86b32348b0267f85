//! Links: what carries packets in a namespace. One file a kind, and what all kinds share.

mod bridge;
mod change;
mod configure;
mod create;
mod group;
mod handle;
mod info;
mod list;
mod message;
mod port;
mod reference;
mod settings;
mod tagged;
mod veth;

pub use bridge::Bridge;
pub use handle::Link;
pub use info::{LinkFlags, LinkInfo, OperationalState};
pub use port::{BridgePortInfo, BridgePortState};
pub use reference::LinkRef;
pub(crate) use tagged::{dead, remove_dead};
pub use veth::{Veth, VethEnd, VethPair};
