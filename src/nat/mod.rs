//! Network address translation.

mod chains;
mod handle;
mod matches;
mod persistent;
mod rule;
mod target;
mod translation;

pub use handle::NatHandle;
pub use rule::NatRule;
pub use target::NatTarget;
