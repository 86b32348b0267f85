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
pub(crate) use persistent::all_rules;
pub use port_forward::{PortForward, PortForwardHandle};
pub(crate) use port_forward::{all_ports, is_loopback_unsettled, settle_loopback};
pub use rule::NatRule;
pub use target::NatTarget;
