//! The deadline of a wait.

use std::time::{Duration, Instant};

/// The upper bound of a wait: adding much more to an `Instant` may overflow.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Returns the instant `duration` after `start`, at most a hundred years later.
pub(super) fn end_of_wait(start: Instant, duration: Duration) -> Instant {
    start + duration.min(FOR_EVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_for_ever_has_an_end() {
        let now = Instant::now();
        assert_eq!(end_of_wait(now, Duration::from_secs(1)), now + Duration::from_secs(1));
        assert_eq!(end_of_wait(now, Duration::MAX), now + FOR_EVER);
    }
}
