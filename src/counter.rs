//! What a counter has counted.

use std::fmt;

/// Packets and their bytes, as a rule or a connection counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counter {
    /// How many packets.
    pub packets: u64,
    /// How many bytes, with their IP headers.
    pub bytes: u64,
}

impl Counter {
    pub(crate) fn new(packets: u64, bytes: u64) -> Self {
        Self { packets, bytes }
    }
}

/// In the words of `nft`.
impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "packets {} bytes {}", self.packets, self.bytes)
    }
}
