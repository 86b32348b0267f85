//! Routes.

mod builder;
mod check;
mod create;
mod destination;
mod filter;
mod handle;
mod info;
mod kind;
mod list;
mod next_hop;
mod of_listed;
mod options;
mod query;
mod remove;
mod write;

pub use builder::Route;
pub use destination::Destination;
pub use filter::RouteFilter;
pub use handle::RouteHandle;
pub use info::{NextHopInfo, RouteInfo, RouteView};
pub use kind::{RoutePreference, RouteType};
pub use next_hop::NextHop;
pub use options::{RouteOption, RouteOptions};
pub use query::{RouteQuery, TakenRoute};

pub(crate) use check::explain;

/// The protocol number (`rtm_protocol`) that marks routes created by netloom. The number is unused
/// in `include/uapi/linux/rtnetlink.h` and in iproute2's `rt_protos`.
pub(crate) const PROTOCOL: u8 = 78;

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
