//! The deadline of a wait.

use std::time::{Duration, Instant};

/// Longer than any wait: a clock can't be asked for much more.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The instant that long after `start`; a hundred years, where it is more.
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
