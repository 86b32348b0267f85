//! Threads.

use std::io;
use std::thread::{Builder, Scope, ScopedJoinHandle};

pub(crate) use std::thread::{JoinHandle, ThreadId, current, scope, sleep, yield_now};

use crate::fault;

/// Starts a thread.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    fault::system_call("clone")?;
    Builder::new().name(name.to_owned()).spawn(run)
}

/// Starts a thread that ends before its scope.
pub(crate) fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    run: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    fault::system_call("clone")?;
    Builder::new().name(name.to_owned()).spawn_scoped(scope, run)
}
