//! The state that all handles of a link share.

use std::sync::{Arc, OnceLock, RwLock, RwLockWriteGuard, TryLockError, Weak};

use crate::netns::{LinkIdentity, Netns};
use crate::sys::thread;

/// The namespace and the identity of a link.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) netns: Netns,
    pub(super) id: LinkIdentity,
    /// Counts the changes, so that the newer one of two copies is known.
    generation: u64,
}

/// The place of a link, kept twice.
///
/// A fork may copy a lock that another thread holds. Only one copy is write-locked at a time, and a
/// copied read lock stops no reader, so a reader always finds a copy. A writer gives up on a copy
/// that stays locked.
#[derive(Debug)]
pub(super) struct Shared {
    copies: [RwLock<Arc<Place>>; 2],
    /// The other end of a veth pair that this process created.
    pub(super) peer: OnceLock<Weak<Shared>>,
}

impl Shared {
    pub(super) fn new(netns: Netns, id: LinkIdentity) -> Self {
        let place = Arc::new(Place { netns, id, generation: 0 });
        Self { copies: [Arc::clone(&place), place].map(RwLock::new), peer: OnceLock::new() }
    }

    /// Returns the newest place.
    pub(super) fn read(&self) -> Arc<Place> {
        loop {
            let places = self.copies.iter().filter_map(|copy| match copy.try_read() {
                Ok(place) => Some(Arc::clone(&place)),
                Err(TryLockError::Poisoned(place)) => Some(Arc::clone(&place.into_inner())),
                Err(TryLockError::WouldBlock) => None,
            });
            if let Some(newest) = places.max_by_key(|place| place.generation) {
                return newest;
            }
            thread::yield_now();
        }
    }

    /// Changes the place in both copies.
    pub(super) fn change(&self, change: impl FnOnce(&mut Place)) {
        let mut change = Some(change);
        let mut newest: Option<Arc<Place>> = None;
        for mut copy in self.copies.iter().filter_map(write) {
            if let Some(change) = change.take() {
                let mut place = Place::clone(&copy);
                change(&mut place);
                place.generation += 1;
                newest = Some(Arc::new(place));
            }
            if let Some(newest) = newest.as_ref().filter(|new| new.generation > copy.generation) {
                *copy = Arc::clone(newest);
            }
        }
    }
}

/// Locks a copy, unless a thread that no longer exists in a fork holds it.
fn write(copy: &RwLock<Arc<Place>>) -> Option<RwLockWriteGuard<'_, Arc<Place>>> {
    const ATTEMPTS: u32 = 10_000;
    (0..ATTEMPTS).find_map(|_| match copy.try_write() {
        Ok(place) => Some(place),
        Err(TryLockError::Poisoned(place)) => Some(place.into_inner()),
        Err(TryLockError::WouldBlock) => {
            thread::yield_now();
            None
        }
    })
}
