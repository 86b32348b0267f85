//! The hook of a command: it runs between fork and exec.

use std::io;
use std::os::unix::process::CommandExt;
use std::panic::{self, AssertUnwindSafe};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;

use crate::fault;

/// Runs `setup` between the fork and the exec of `command`. For [`exec`](CommandExt::exec), there
/// is no fork.
///
/// `setup` may only make system calls on data that was prepared before. Another thread may have
/// held a lock at the fork, so anything else may wait forever. `doctor` does more, but sets an
/// alarm first.
pub(crate) fn pre_exec<E: Into<io::Error>>(
    command: &mut Command,
    mut setup: impl FnMut() -> Result<(), E> + Send + Sync + 'static,
) {
    // SAFETY: the closure must be async-signal-safe. It is this function's contract, and as the
    // function is private to the crate its callers are few: `sandbox` and `netns::command` pass
    // closures that make system calls on prepared C strings and descriptors, and nothing else.
    // The closure of `doctor` may wait for a lock, until its alarm ends the child.
    unsafe {
        command.pre_exec(move || setup().map_err(Into::into));
    }
}

/// Starts a command.
///
/// Where SIGCHLD is ignored, std panics if the command can't start: the kernel has no child left to
/// wait for. The reason is lost then, and the error is ECHILD.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    fault::system_call("fork")?;
    let spawn = AssertUnwindSafe(|| command.spawn());
    panic::catch_unwind(spawn).unwrap_or_else(|_| Err(Errno::ECHILD.into()))
}

/// Replaces this program by a command. Returns only if that fails.
pub(crate) fn exec(command: &mut Command) -> io::Error {
    command.exec()
}

/// A step of a hook that the kernel refused.
///
/// std passes the parent a single number, the OS error code. An errno takes 12 bits of it. The
/// other bits carry the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed {
    /// The number of the step.
    pub(crate) step: u8,
    /// The position of the step's file in the list of files.
    pub(crate) place: usize,
    pub(crate) errno: Errno,
}

impl Failed {
    pub(crate) fn at(step: u8) -> impl FnOnce(Errno) -> Self {
        move |errno| Self { step, place: 0, errno }
    }

    /// Reads the error of a command that did not start. Returns `None` if no step of its hook was
    /// refused.
    pub(crate) fn read(error: &io::Error) -> Option<Self> {
        let code = error.raw_os_error()?;
        let step = u8::try_from(code >> 12 & 0xff).ok()?.checked_sub(1)?;
        let place = usize::try_from(code >> 20).ok()?;
        Some(Self { step, place, errno: Errno::from_raw(code & 0xfff) })
    }
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> Self {
        let place = i32::from(u8::try_from(failed.place).unwrap_or(u8::MAX));
        let code = place << 20 | (i32::from(failed.step) + 1) << 12 | failed.errno as i32;
        Self::from_raw_os_error(code)
    }
}

/// The value that a command's hook uses. Each start of the command sets a new value.
///
/// The lock is free while the command is started, so the forked process never waits for it.
#[derive(Debug)]
pub(crate) struct Hook<T>(Arc<Mutex<Option<T>>>);

impl<T: Send + 'static> Hook<T> {
    /// Installs a hook. `run` may only make system calls on data that was prepared before, as
    /// [`pre_exec`] says.
    pub(crate) fn new<E: Into<io::Error>>(
        command: &mut Command,
        run: impl Fn(&T) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        let value = Arc::new(Mutex::new(None));
        let hook = Arc::clone(&value);
        pre_exec(command, move || {
            let value = hook.try_lock();
            let value = value.as_deref().ok().and_then(Option::as_ref);
            value.map_or(Err(Errno::EDEADLK.into()), |value| run(value).map_err(Into::into))
        });
        Self(value)
    }

    pub(crate) fn set(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_survives_its_way_through_an_error_code() {
        for (step, place) in [(0, 0), (7, 0), (4, 255), (254, 1)] {
            let failed = Failed { step, place, errno: Errno::EHWPOISON };
            assert_eq!(Failed::read(&failed.into()), Some(failed));
        }
        assert_eq!(Failed::read(&Errno::ENOENT.into()), None);
        assert_eq!(Failed::read(&io::Error::other("no code")), None);
    }
}
