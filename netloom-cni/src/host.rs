//! The host's network namespace, and who may change what attachments share there.

use std::fs::File;

use netloom::Netns;

use crate::failure::{Code, Failure};

/// The lock is one on the namespace itself: whoever works in it holds it together with others;
/// whoever makes what others share (a bridge, its address, a table) holds it alone until the
/// command is over, so that it can be taken back where the command fails.
///
/// A network's store is locked before it, never after it: who waits for a store while it holds
/// this, be it together with others, keeps the one who has the store from ever having this alone.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) netns: Netns,
    lock: File,
    is_alone: bool,
}

impl Host {
    pub(crate) fn share() -> Result<Self, Failure> {
        let open = || {
            let lock = File::open("/proc/thread-self/ns/net")?;
            lock.lock_shared()?;
            Ok(lock)
        };
        let lock = open().map_err(|error| failed(&error))?;
        Ok(Self { netns: Netns::current()?, lock, is_alone: false })
    }

    /// Upgrades the lock to an exclusive one. Returns whether others may have changed something
    /// meanwhile.
    pub(crate) fn alone(&mut self) -> Result<bool, Failure> {
        if self.is_alone {
            return Ok(false);
        }
        // Given up and taken anew: two that wait for each other to give it up would wait for ever.
        self.lock.unlock().and_then(|()| self.lock.lock()).map_err(|error| failed(&error))?;
        self.is_alone = true;
        Ok(true)
    }
}

fn failed(error: &std::io::Error) -> Failure {
    Failure::new(Code::Io, format!("lock the host's network namespace: {error}"))
}
