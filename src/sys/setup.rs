//! Mounts, directories and users, for the time between fork and exec. No function here allocates.

use nix::NixPath;
use nix::errno::Errno;
use nix::libc;
use nix::mount;
use nix::sched;
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{alarm, getppid, getuid, setgid, setgroups, setuid};

pub(crate) use nix::mount::{MntFlags, MsFlags};
pub(crate) use nix::sched::CloneFlags;
pub(crate) use nix::unistd::{Gid, Pid, Uid, chdir, fchdir, getegid, geteuid, mkdir};

use crate::fault;

pub(crate) fn unshare(namespaces: CloneFlags) -> Result<(), Errno> {
    fault::system_call("unshare")?;
    sched::unshare(namespaces)
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

pub(crate) fn umount<P: NixPath + ?Sized>(target: &P, flags: MntFlags) -> Result<(), Errno> {
    fault::system_call("umount")?;
    mount::umount2(target, flags)
}

/// The user and the groups that a command changes to.
#[derive(Debug, Clone, Default)]
pub(crate) struct User {
    pub(crate) uid: Option<Uid>,
    pub(crate) gid: Option<Gid>,
    pub(crate) groups: Option<Vec<Gid>>,
}

impl User {
    /// Changes the groups and the user. Like std, drops root's supplementary groups if the new user
    /// is not root.
    pub(crate) fn assume(&self) -> Result<(), Errno> {
        fault::system_call("setuid")?;
        match &self.groups {
            Some(groups) => setgroups(groups)?,
            None if self.uid.is_some() && getuid().is_root() => setgroups(&[])?,
            None => {}
        }
        self.gid.map_or(Ok(()), setgid)?;
        self.uid.map_or(Ok(()), setuid)
    }
}

/// Makes the kernel kill this process when its parent thread ends (prctl(2)).
pub(crate) fn die_with(parent: Pid) -> Result<(), Errno> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have died before this call.
    if getppid() == parent { Ok(()) } else { Err(Errno::ESRCH) }
}

/// Makes the kernel end this process after some seconds, even if the program ignores, blocks or
/// handles SIGALRM.
pub(crate) fn end_after(seconds: u32) -> Result<(), Errno> {
    // SAFETY: no handler is installed.
    unsafe { signal(Signal::SIGALRM, SigHandler::SigDfl) }?;
    SigSet::from(Signal::SIGALRM).thread_unblock()?;
    alarm::set(seconds);
    Ok(())
}

/// Ends a forked process without running the parent's exit handlers (`atexit`).
pub(crate) fn exit() -> ! {
    // SAFETY: the call takes a number and never returns.
    unsafe { libc::_exit(0) }
}
