//! Sysctls below `net`, of a namespace or of one link. Their owners are counted across programs.

mod announce;
mod directory;
mod forwarding;
mod handle;
mod key;
mod owners;
mod record;
mod setting;

pub use forwarding::{Forwarding, ForwardingHandle};
pub use handle::{Sysctl, SysctlHandle};
pub use setting::{
    AcceptRa, ArpAccept, ArpAnnounce, ArpIgnore, Conf, RpFilter, Setting, SettingValue,
};
