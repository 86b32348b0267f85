//! A firewall for container networks: filtering between networks, MSS clamping and guarded bridge
//! ports.

mod builder;
mod handle;
mod member;
mod port;

pub use builder::Firewall;
pub use handle::FirewallHandle;
pub(crate) use handle::firewalls_among;
pub use port::{PortGuard, PortGuardHandle};
