//! netloom
#![allow(dead_code, unreachable_pub, missing_docs)]
mod address;
mod error;
mod forwarding;
mod input;
mod link;
mod mac;
mod nat;
mod neighbor;
mod netlink;
mod netns;
mod nft;
mod owned;
mod route;
mod sys;
mod wire;
pub use address::{Address, AddressHandle, AddressInfo};
pub use error::Error;
pub use forwarding::{Forwarding, ForwardingHandle};
pub use input::Input;
pub use link::{
    Bridge, BridgePortInfo, BridgePortState, Link, LinkFlags, LinkInfo, LinkRef, OperationalState,
    Veth, VethEnd, VethPair,
};
pub use mac::{BadMacAddr, MacAddr};
pub use nat::{NatHandle, NatRule};
pub use neighbor::{NeighborInfo, NeighborState};
pub use netns::{
    Command, EchoReply, NamedNetns, Namespace, Netns, NetnsId, Ping, Sysctl, SysctlHandle,
};
pub use owned::{DeleteError, Handle, Owned, on_drop_failure};
pub use route::{Destination, NextHop, Route, RouteHandle, RouteInfo, RouteType};
