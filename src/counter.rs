//! The values of counters.

use std::fmt;

/// The packets and bytes that a rule or a connection counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Counter {
    /// The number of packets.
    pub packets: u64,
    /// The number of bytes, IP headers included.
    pub bytes: u64,
}

impl Counter {
    pub(crate) fn new(packets: u64, bytes: u64) -> Self {
        Self { packets, bytes }
    }
}

/// Writes the counter in the words of `nft`.
impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "packets {} bytes {}", self.packets, self.bytes)
    }
}
