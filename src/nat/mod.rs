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
pub use rule::NatRule;
pub use target::NatTarget;
