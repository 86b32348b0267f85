//! Routes: which way packets go.

mod builder;
mod destination;
mod handle;
mod info;
mod many;
mod view;

pub use builder::Route;
pub use destination::Destination;
pub use handle::RouteHandle;
pub use info::{NextHop, RouteInfo, RouteType};
pub use many::{CreateAllError, RoutesHandle};
pub use view::RouteView;

pub(crate) use builder::explain;

/// Who made a route (`rtm_protocol`): netloom's own number, free in `include/uapi/linux/rtnetlink.h` and in
/// iproute2's `rt_protos`, so that our routes are told from all others.
pub(crate) const PROTOCOL: u8 = 78;

pub(crate) const RTM_NEWROUTE: u16 = 24;
pub(crate) const RTM_DELROUTE: u16 = 25;
