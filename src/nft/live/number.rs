//! The number (handle) that the kernel gives an object when it is created.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The number of an object, shared by all clones of its handle. 0 before the object exists.
#[derive(Debug, Clone, Default)]
pub(crate) struct Number(Arc<Cell>);

#[derive(Debug, Default)]
struct Cell {
    number: AtomicU64,
    may_be_deleted: AtomicBool,
}

impl Number {
    pub(crate) fn known(number: u64) -> Self {
        let this = Self::default();
        this.set(number);
        this
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.number.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, number: u64) {
        self.0.number.store(number, Ordering::Release);
    }

    /// Records that this process deletes the object, after which another object may take the name.
    pub(crate) fn set_may_be_deleted(&self) {
        self.0.may_be_deleted.store(true, Ordering::Release);
    }

    pub(crate) fn may_be_deleted(&self) -> bool {
        self.0.may_be_deleted.load(Ordering::Acquire)
    }

    /// Returns an identity that all clones share, even before the object exists.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// Returns the number, or `None` before the object exists.
    pub(crate) fn if_known(&self) -> Option<u64> {
        Some(self.get()).filter(|&number| number != 0)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.if_known().is_some() && self.if_known() == other.if_known())
    }
}

impl Eq for Number {}
