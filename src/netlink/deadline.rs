//! When a wait for the kernel ends.

use std::time::{Duration, Instant};

/// How long an answer may take. The kernel answers within the request's own system call, so this is
/// for a kernel that lost one, not for a slow one.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// When a wait ends, by the clock that never jumps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    /// As long from now as an answer may take.
    pub(super) fn start() -> Self {
        Self(Instant::now() + DEADLINE)
    }

    pub(super) fn passed(&self) -> bool {
        Instant::now() >= self.0
    }
}
