//! Waits for another thread that is nearly done, for example with a closure lent to it: spins at
//! first, then sleeps.
//!
//! While a thread sleeps, its core may sleep too. Waking both takes 20 to 40 µs, ten times as long
//! as a small closure runs. So a short wait is cheaper by spinning.

use std::sync::mpsc::{Receiver, RecvError, TryRecvError};
use std::time::{Duration, Instant};

use super::thread;

/// The longest time that spinning pays: as long as a wake-up takes.
const LIMIT: Duration = Duration::from_micros(50);

/// Spins until something is done or the time is up. The other thread may need this core, so each
/// turn yields it.
pub(crate) fn until(mut is_done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_done() && start.elapsed() < LIMIT {
        thread::yield_now();
    }
}

/// Receives as [`Receiver::recv`] does, spinning at first.
pub(crate) fn receive<T>(receiver: &Receiver<T>) -> Result<T, RecvError> {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        match receiver.try_recv() {
            Err(TryRecvError::Empty) => thread::yield_now(),
            received => return received.or(Err(RecvError)),
        }
    }
    receiver.recv()
}
