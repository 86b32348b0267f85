//! Routes: which way packets go.

mod builder;
mod destination;
mod handle;
mod info;

pub use builder::Route;
pub use destination::Destination;
pub use handle::RouteHandle;
pub use info::{NextHop, RouteInfo, RouteType};

pub(crate) use builder::explain;

/// Who made a route (`rtm_protocol`): netloom's own number, free in `include/uapi/linux/rtnetlink.h` and in
/// iproute2's `rt_protos`, so that our routes are told from all others.
pub(crate) const PROTOCOL: u8 = 78;
