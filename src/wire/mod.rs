//! Layer 0, the wire: encodes and decodes messages. Does no I/O and knows nothing of the layers
//! above. Decoding is lenient, so that one invalid attribute never costs the rest of a message.

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
