//! Injected faults, for netloom's own tests: the k-th step of a program fails. In every other build
//! these functions are empty, and the compiler removes them.
//!
//! A step is a request to the kernel (each request of a datagram counts), or a call of
//! [`system_call`].

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

    /// Marks a system call that may fail. A test injects the failure here.
    #[allow(clippy::unnecessary_wraps)] // its double in tests fails
    pub(crate) const fn system_call(_name: &'static str) -> Result<(), Errno> {
        Ok(())
    }

    /// Marks a thread's return from another namespace. A test injects a failure here.
    #[allow(clippy::unnecessary_wraps)] // its double in tests fails
    pub(crate) const fn on_return() -> Result<(), Errno> {
        Ok(())
    }

    /// Returns how long to wait for another program. A test shortens the time.
    pub(crate) const fn patience(wait: Duration) -> Duration {
        wait
    }
}
