//! Network address translation.

mod handle;
mod matches;
mod rule;

pub use handle::NatHandle;
pub use rule::NatRule;
