//! The host's network namespace, and the lock for changes of shared objects.

use std::time::Duration;

use netloom::{Netns, NetnsLock};

use crate::failure::Failure;

/// The time limit for getting the lock, which other commands may hold.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The host's network namespace, with its lock.
///
/// Every command shares the lock. A command that creates a shared object (a bridge, its address, a
/// table) upgrades the lock to an exclusive one, so that it can delete the object if it fails.
///
/// The locks are taken in a fixed order: first the store's, then the host's. Otherwise two commands
/// could each hold the lock that the other one waits for.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) netns: Netns,
    lock: Option<NetnsLock>,
    is_alone: bool,
}

impl Host {
    pub(crate) fn share() -> Result<Self, Failure> {
        let netns = Netns::current()?;
        let lock = Some(netns.lock_shared(PATIENCE)?);
        Ok(Self { netns, lock, is_alone: false })
    }

    /// Upgrades the lock to an exclusive one. Returns whether other commands may have changed
    /// something meanwhile.
    pub(crate) fn alone(&mut self) -> Result<bool, Failure> {
        if self.is_alone {
            return Ok(false);
        }
        // Release the shared lock first. If two commands kept it, both would wait forever.
        drop(self.lock.take());
        self.lock = Some(self.netns.lock(PATIENCE)?);
        self.is_alone = true;
        Ok(true)
    }
}
