//! What a container network needs of a packet filter, said in one place.

mod builder;
mod handle;
mod port;

pub use builder::Firewall;
pub use handle::FirewallHandle;
pub(crate) use handle::firewalls_among;
pub use port::{PortGuard, PortGuardHandle};
