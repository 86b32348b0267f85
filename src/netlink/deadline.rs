//! When a wait for the kernel ends.

use std::time::{Duration, Instant};

/// How long an answer may take. The kernel answers within the request's own system call, so this is
/// for a kernel that lost one, not for a slow one.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// When a wait ends, by the clock that never jumps. It begins where it is first asked for: the answer is there
/// by then, as a rule.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn passed(&mut self) -> bool {
        let now = Instant::now();
        now >= *self.0.get_or_insert(now + DEADLINE)
    }
}
