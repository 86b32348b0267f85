//! The state that all handles of a link share.

use std::sync::{Arc, OnceLock, RwLock, RwLockWriteGuard, TryLockError, Weak};

use crate::netns::{LinkIdentity, Netns};
use crate::sys::thread;

/// The namespace and the identity of a link at one moment.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) netns: Netns,
    pub(super) id: LinkIdentity,
    /// The number of changes so far: of two snapshots, the newer one has the higher number.
    generation: u64,
}

/// The current snapshot of a link, stored twice.
///
/// When a thread forks, the child inherits locks that other threads of the parent hold, and nobody
/// releases them. A writer locks one copy at a time, so at least one copy stays readable in the
/// child. In the child, a writer skips a copy that stays locked.
#[derive(Debug)]
pub(super) struct Shared {
    copies: [RwLock<Arc<Snapshot>>; 2],
    /// The other end of a veth pair that this process created.
    pub(super) peer: OnceLock<Weak<Shared>>,
}

impl Shared {
    pub(super) fn new(netns: Netns, id: LinkIdentity) -> Self {
        let snapshot = Arc::new(Snapshot { netns, id, generation: 0 });
        Self { copies: [Arc::clone(&snapshot), snapshot].map(RwLock::new), peer: OnceLock::new() }
    }

    /// Returns the newest snapshot.
    pub(super) fn read(&self) -> Arc<Snapshot> {
        loop {
            let snapshots = self.copies.iter().filter_map(|copy| match copy.try_read() {
                Ok(snapshot) => Some(Arc::clone(&snapshot)),
                Err(TryLockError::Poisoned(snapshot)) => Some(Arc::clone(&snapshot.into_inner())),
                Err(TryLockError::WouldBlock) => None,
            });
            if let Some(newest) = snapshots.max_by_key(|snapshot| snapshot.generation) {
                return newest;
            }
            thread::yield_now();
        }
    }

    /// Stores a changed snapshot in both copies.
    pub(super) fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut change = Some(change);
        let mut newest: Option<Arc<Snapshot>> = None;
        for mut copy in self.copies.iter().filter_map(write) {
            if let Some(change) = change.take() {
                let mut snapshot = Snapshot::clone(&copy);
                change(&mut snapshot);
                snapshot.generation += 1;
                newest = Some(Arc::new(snapshot));
            }
            if let Some(newest) = newest.as_ref().filter(|new| new.generation > copy.generation) {
                *copy = Arc::clone(newest);
            }
        }
    }
}

/// Locks one of the two copies for writing. Returns `None` if the lock is still held after many
/// attempts: after a fork, the holder may be a thread that exists only in the parent.
fn write(copy: &RwLock<Arc<Snapshot>>) -> Option<RwLockWriteGuard<'_, Arc<Snapshot>>> {
    const ATTEMPTS: u32 = 10_000;
    (0..ATTEMPTS).find_map(|_| match copy.try_write() {
        Ok(snapshot) => Some(snapshot),
        Err(TryLockError::Poisoned(snapshot)) => Some(snapshot.into_inner()),
        Err(TryLockError::WouldBlock) => {
            thread::yield_now();
            None
        }
    })
}
