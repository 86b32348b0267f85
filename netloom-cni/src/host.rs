//! The host's network namespace, and the lock for changes of shared objects.

use std::time::Duration;

use netloom::{Netns, NetnsLock};

use crate::failure::Failure;

/// The time limit for waiting on the commands of other containers.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The host's network namespace, with its lock.
///
/// Every command shares the lock. A command that creates a shared object (a bridge, its address, a
/// table) upgrades the lock to an exclusive one, so that it can delete the object if it fails.
///
/// The order of locks is store before host. Otherwise a command that shares the host's lock and
/// waits for a store could block the command that has the store and wants the host's lock alone.
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

    /// Takes the lock alone. Returns whether other commands may have changed something meanwhile.
    pub(crate) fn alone(&mut self) -> Result<bool, Failure> {
        if self.is_alone {
            return Ok(false);
        }
        // Released first: two commands that both upgrade a shared lock would wait for ever.
        drop(self.lock.take());
        self.lock = Some(self.netns.lock(PATIENCE)?);
        self.is_alone = true;
        Ok(true)
    }
}
