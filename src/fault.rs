//! Injected faults: in netloom's own tests the k-th step of a program fails. Every other build has
//! only empty functions, which the compiler removes.
//!
//! A step is a request to the kernel, counted across datagrams, or a system call that follows
//! a call of [`system_call`].

#[cfg(not(test))]
pub(crate) use off::{on_return, patience, system_call};
#[cfg(test)]
mod every_step;
#[cfg(test)]
mod meanwhile;
#[cfg(test)]
mod no_return;
#[cfg(test)]
mod on;
#[cfg(test)]
pub(crate) mod small_buffers;

#[cfg(test)]
use crate::testing as support;
#[cfg(test)]
pub(crate) use on::{
    Fault, OnSocket, arm, disarm, meanwhile, on_return, patience, refuse_returns, system_call,
};

#[cfg(not(test))]
mod off {
    use std::time::Duration;

    use nix::errno::Errno;

    /// Stands before a system call that may fail.
    #[allow(clippy::unnecessary_wraps)] // its double in tests fails
    pub(crate) const fn system_call(_name: &'static str) -> Result<(), Errno> {
        Ok(())
    }

    /// Stands before a thread's return from another namespace.
    #[allow(clippy::unnecessary_wraps)] // its double in tests fails
    pub(crate) const fn on_return() -> Result<(), Errno> {
        Ok(())
    }

    /// Returns how long to wait for another program.
    pub(crate) const fn patience(wait: Duration) -> Duration {
        wait
    }
}
