//! The type of link indexes.

use std::fmt;

/// The index of a link in its namespace, as `if_nametoindex(3)` returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LinkIndex(u32);

impl LinkIndex {
    /// Returns the index as a number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl From<u32> for LinkIndex {
    fn from(index: u32) -> Self {
        Self(index)
    }
}

impl From<LinkIndex> for u32 {
    fn from(index: LinkIndex) -> Self {
        index.0
    }
}

/// Compares the index with a plain number.
impl PartialEq<u32> for LinkIndex {
    fn eq(&self, number: &u32) -> bool {
        self.0 == *number
    }
}

/// Writes the index as a plain number.
impl fmt::Display for LinkIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
