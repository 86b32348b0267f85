//! The number the kernel gives an object; known once the object is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by all clones of a handle. Zero before the object is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Number(Arc<Cell>);

#[derive(Debug, Default)]
struct Cell {
    number: AtomicU64,
    may_be_gone: AtomicBool,
}

impl Number {
    pub(crate) fn known(number: u64) -> Self {
        let number = AtomicU64::new(number);
        Self(Arc::new(Cell { number, may_be_gone: AtomicBool::new(false) }))
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.number.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, number: u64) {
        self.0.number.store(number, Ordering::Release);
    }

    /// We are about to delete it: what has its name from now on may be another's.
    pub(crate) fn doubt(&self) {
        self.0.may_be_gone.store(true, Ordering::Release);
    }

    pub(crate) fn may_be_gone(&self) -> bool {
        self.0.may_be_gone.load(Ordering::Acquire)
    }

    /// What tells it from all others, also before the object is made: the same for all clones.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// `None` before the object is made.
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
