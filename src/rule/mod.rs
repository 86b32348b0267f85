//! Policy rules: which table a packet's route is looked up in.

mod builder;
mod create;
mod handle;
mod info;
mod list;

pub use builder::PolicyRule;
pub use handle::PolicyRuleHandle;
pub use info::{PolicyRuleAction, PolicyRuleInfo};
