//! Layer 0, the wire: the layout of messages. No I/O, no knowledge of any layer above. Messages are
//! read leniently, so that one odd attribute never costs the rest of a message.

pub(crate) mod attribute;
pub(crate) mod conntrack;
pub(crate) mod extack;
mod indexed;
pub(crate) mod link;
pub(crate) mod message;
pub(crate) mod netlink_diag;
pub(crate) mod nft;
pub(crate) mod packet;
pub(crate) mod route;
mod route_tuple;
pub(crate) mod sock_diag;
pub(crate) mod vlan;
