//! Routes.

mod builder;
mod create;
mod destination;
mod handle;
mod info;
mod list;
mod remove;

pub use builder::Route;
pub use destination::Destination;
pub use handle::RouteHandle;
pub use info::{NextHop, RouteInfo, RouteType, RouteView};

pub(crate) use builder::explain;

/// The protocol number (`rtm_protocol`) that marks routes created by netloom. The number is unused
/// in `include/uapi/linux/rtnetlink.h` and in iproute2's `rt_protos`.
pub(crate) const PROTOCOL: u8 = 78;

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
