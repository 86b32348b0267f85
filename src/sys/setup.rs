//! Mounts and users: calls of a process that is set up between its fork and its exec. None
//! allocates.

use nix::NixPath;
use nix::errno::Errno;
use nix::mount::{self, MsFlags};
use nix::sched::{CloneFlags, unshare as nix_unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Pid, Uid, getppid, getuid, setgid, setgroups, setuid};

pub(crate) use nix::fcntl::open;
pub(crate) use nix::mount::umount2;
pub(crate) use nix::sys::stat::fchmod;
pub(crate) use nix::unistd::{chdir, write};

use crate::fault;

pub(crate) fn unshare(namespaces: CloneFlags) -> Result<(), Errno> {
    fault::system_call("unshare")?;
    nix_unshare(namespaces)
}

pub(crate) fn mount<P: NixPath + ?Sized>(
    source: Option<&P>,
    target: &P,
    kind: Option<&P>,
    flags: MsFlags,
    data: Option<&P>,
) -> Result<(), Errno> {
    fault::system_call("mount")?;
    mount::mount(source, target, kind, flags, data)
}

/// Changes the groups and the user. A user other than root keeps no groups of root's, as with std.
pub(crate) fn become_user(
    uid: Option<Uid>,
    gid: Option<Gid>,
    groups: Option<&[Gid]>,
) -> Result<(), Errno> {
    fault::system_call("setuid")?;
    match groups {
        Some(groups) => setgroups(groups)?,
        None if uid.is_some() && getuid().is_root() => setgroups(&[])?,
        None => {}
    }
    gid.map_or(Ok(()), setgid)?;
    uid.map_or(Ok(()), setuid)
}

/// Makes the kernel kill this process when its parent's thread ends (prctl(2)).
pub(crate) fn die_with(parent: Pid) -> Result<(), Errno> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have died before.
    if getppid() == parent { Ok(()) } else { Err(Errno::ESRCH) }
}
