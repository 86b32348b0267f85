//! Waiting for another thread that is nearly done: by spinning, and then by sleeping.
//!
//! A thread that sleeps lets its core sleep. Waking both takes 20 to 40 µs, ten times a small closure.

use std::sync::mpsc::{Receiver, RecvError, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

/// The longest time that spinning pays: as long as a wake-up takes.
const LIMIT: Duration = Duration::from_micros(50);

/// Spins until something is done or the time is up. The other thread may need this core, so each turn
/// yields it.
pub(crate) fn until(mut is_done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_done() && start.elapsed() < LIMIT {
        thread::yield_now();
    }
}

/// Receives as [`Receiver::recv`] does, spinning at first.
pub(crate) fn receive<T>(receiver: &Receiver<T>) -> Result<T, RecvError> {
    let mut received = Err(TryRecvError::Empty);
    until(|| {
        received = receiver.try_recv();
        !matches!(received, Err(TryRecvError::Empty))
    });
    match received {
        Ok(value) => Ok(value),
        Err(TryRecvError::Disconnected) => Err(RecvError),
        Err(TryRecvError::Empty) => receiver.recv(),
    }
}
