//! The hook of a command: it runs between fork and exec.

use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;

use super::pre_exec;

/// The value that a command's hook uses, set anew for each start.
///
/// The lock is free while the command is started, so the forked process never waits for it.
#[derive(Debug)]
pub(crate) struct Hook<T>(Arc<Mutex<Option<T>>>);

impl<T: Send + 'static> Hook<T> {
    /// Installs a hook. `run` may only make system calls on what was prepared before, as
    /// [`pre_exec`] says.
    pub(crate) fn new(
        command: &mut Command,
        run: impl Fn(&T) -> Result<(), Errno> + Send + Sync + 'static,
    ) -> Self {
        let value = Arc::new(Mutex::new(None));
        let hook = Arc::clone(&value);
        pre_exec(command, move || {
            let value = hook.try_lock();
            let value = value.as_deref().ok().and_then(Option::as_ref);
            value.map_or(Err(Errno::EDEADLK), &run).map_err(io::Error::from)
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
