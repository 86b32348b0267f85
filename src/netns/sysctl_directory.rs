//! The directory of a namespace's sysctls.

use std::os::fd::OwnedFd;
use std::path::Path;

use super::enter::{calls, home_from};
use super::handle::Netns;
use crate::error::Cause;
use crate::sys::file::{self, OFlag};
use crate::sys::namespace::Target;

impl Netns {
    /// Opens a directory below `/proc/sys/net`, such as `ipv4`. Any thread can then use the
    /// descriptor for the namespace's sysctls, because the kernel chooses the namespace when the
    /// directory is opened.
    pub(crate) fn open_sysctl_directory(&self, name: &str) -> Result<OwnedFd, Cause> {
        let path = Path::new("/proc/sys/net").join(name);
        let Some(home) = home_from(self.fd())? else {
            return Ok(file::open(&path, OFlag::O_RDONLY)?);
        };
        let open = || file::open_inside(&path, OFlag::O_RDONLY);
        calls(Target::Open(self.fd()), &home, "open", open)
    }
}
