//! Network address translation.

mod guarded;
mod handle;
mod port_forward;
mod rule;
mod statements;
mod target;

pub use handle::{NatRuleHandle, NatRuleInfo};
pub use port_forward::{PortForward, PortForwardHandle};
pub(crate) use port_forward::{is_loopback_left_over, restore_loopback};
pub use rule::NatRule;
pub use target::NatTarget;
