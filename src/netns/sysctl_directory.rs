//! The directory of a namespace's settings.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::enter::{enter, home_from, on_thread};
use super::handle::Netns;
use crate::error::Cause;
use crate::fault;

impl Netns {
    /// Opens a directory below `/proc/sys/net`, such as `ipv4`. The descriptor shows the
    /// namespace's settings to any thread, because the kernel chooses the namespace when it looks
    /// up this name.
    pub(crate) fn open_sysctl_directory(&self, name: &str) -> Result<OwnedFd, Cause> {
        let path = Path::new("/proc/sys/net").join(name);
        let open = || {
            fault::system_call("open")?;
            Ok(File::open(path)?.into())
        };
        let Some(home) = home_from(self.fd())? else { return open() };
        on_thread(|| {
            let _home = enter(self.fd(), Some(home))?;
            open()
        })
    }
}
