//! The library's only `unsafe`: what std and nix leave to the caller to promise.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;

/// Runs `setup` between the fork and the exec of `command`; without a fork for
/// [`exec`](CommandExt::exec).
///
/// `setup` may only make system calls on what was prepared before: another thread may have held the
/// allocator's lock when the process was forked, so whatever allocates may wait for ever.
pub(crate) fn pre_exec(
    command: &mut Command,
    setup: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: the closure must be async-signal-safe. It is this function's contract, and as the
    // function is private to the crate its callers are few: `sandbox` passes closures that make
    // system calls on prepared C strings and descriptors, and nothing else.
    unsafe {
        command.pre_exec(setup);
    }
}

/// Takes over a descriptor that the process was started with, and closes it on the next exec.
/// Nothing when no such descriptor is open.
pub(crate) fn inherited(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_SETFD only reads and sets a flag of the descriptor's number; on a number that is
    // not open it fails with EBADF.
    let set = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    if set == -1 {
        return None;
    }
    // SAFETY: the descriptor is open, as F_SETFD has shown. It is nobody else's: the number comes
    // from the parent's marker, which names only what it left open for the caller, once.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}
