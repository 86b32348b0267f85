//! Which process this is: told from those it was forked from, and from those forked from it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys;

/// The process that something was made in. A fork of it is another one, whatever its number: a process id comes
/// round again, and each namespace of processes has a first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u32);

/// The last number that a process took. A fork copies it, and so takes a higher one.
static LAST: AtomicU32 = AtomicU32::new(0);

impl Process {
    #[cfg(test)]
    pub(crate) const ANOTHER: Self = Self(0);

    /// This one, without a system call but for the first time.
    pub(crate) fn current() -> Self {
        let Some(mark) = sys::zeroed_by_fork() else { return Self(std::process::id()) };
        match mark.load(Ordering::Relaxed) {
            0 => Self::mark(mark),
            known => Self(known),
        }
    }

    fn mark(mark: &AtomicU32) -> Self {
        let number = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        match mark.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Self(number),
            // Another thread was quicker.
            Err(known) => Self(known),
        }
    }
}

/// What each process has for itself. A fork finds none of what was there, but the default.
#[derive(Debug)]
pub(crate) struct PerProcess<T>(Mutex<Own<T>>);

/// The value, and the process whose it is.
#[derive(Debug)]
pub(crate) struct Own<T> {
    process: Process,
    pub(crate) value: T,
}

impl<T: Default> PerProcess<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(Own { process: Process::current(), value }))
    }

    /// This process's own; in a fork, what was copied is dropped first. A panic meanwhile poisons nothing.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Own<T>> {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let process = Process::current();
        if own.process != process {
            *own = Own { process, value: T::default() };
        }
        own
    }
}
