//! Network address translation.

mod chains;
mod guarded;
mod handle;
mod matches;
mod persistent;
mod port_forward;
mod rule;
mod target;
mod translation;

pub use handle::NatHandle;
pub use port_forward::{PortForward, PortForwardHandle};
pub(crate) use port_forward::{is_loopback_unsettled, settle_loopback};
pub use rule::NatRule;
pub use target::NatTarget;
