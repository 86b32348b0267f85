//! The directory of a namespace's settings.

use std::os::fd::OwnedFd;
use std::path::Path;

use super::enter::call_inside;
use super::handle::Netns;
use crate::error::Cause;
use crate::sys::file::{self, OFlag};

impl Netns {
    /// Opens a directory below `/proc/sys/net`, such as `ipv4`. The descriptor shows the
    /// namespace's settings to any thread, because the kernel chooses the namespace when it looks
    /// up this name.
    pub(crate) fn open_sysctl_directory(&self, name: &str) -> Result<OwnedFd, Cause> {
        let path = Path::new("/proc/sys/net").join(name);
        call_inside(self.fd(), "open", || file::open_inside(&path, OFlag::O_RDONLY))
    }
}
