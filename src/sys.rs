//! The library's only `unsafe`: what std and nix leave to the caller to promise.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc;

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
    // function is private to the crate its callers are few: `sandbox` and `netns::command` pass
    // closures that make system calls on prepared C strings and descriptors, and nothing else.
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

/// A closure that borrows, on its way to another thread: to be run there, or dropped.
///
/// The fields are dropped in this order, which [`lend`] relies on.
pub(crate) struct Lent {
    closure: Box<dyn FnOnce() + Send>,
    returned: mpsc::Sender<()>,
}

impl Lent {
    pub(crate) fn run(self) {
        let Self { closure, returned } = self;
        closure();
        drop(returned);
    }
}

/// Has `submit` hand a closure to another thread, and returns when that one has run or dropped it.
pub(crate) fn lend<'a>(closure: impl FnOnce() + Send + 'a, submit: impl FnOnce(Lent)) {
    /// Waits when dropped, so that nothing leads past it, a panic neither.
    struct Wait(mpsc::Receiver<()>);

    impl Drop for Wait {
        fn drop(&mut self) {
            // Nothing is ever sent: this ends when the sender is dropped.
            while self.0.recv().is_ok() {}
        }
    }

    let (returned, wait) = mpsc::channel();
    let _wait = Wait(wait);
    let closure: Box<dyn FnOnce() + Send + 'a> = Box::new(closure);
    // SAFETY: only the lifetime changes. What the closure borrows outlives this call, which does not
    // end, be it by a panic, before `_wait` has seen the `returned` in `Lent` dropped. That is private
    // to `Lent` and dropped after the closure: by `run`, whose call consumes the closure, also when
    // it panics, and otherwise by the order of the fields. A `Lent` that is leaked waits for ever.
    let closure: Box<dyn FnOnce() + Send> = unsafe { std::mem::transmute(closure) };
    submit(Lent { closure, returned });
}
