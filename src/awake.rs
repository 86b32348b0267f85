//! Waiting for another thread that is about to be done: awake for a while, then asleep.
//!
//! A thread that sleeps lets its core sleep, and waking both takes 20 to 40 µs: ten times what a small closure
//! does.

use std::sync::mpsc::{Receiver, RecvError, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

/// How long it pays to stay awake: as long as waking takes.
const AWAKE: Duration = Duration::from_micros(50);

/// Looks again and again for a while. In between another thread may have the core: it may be the only one.
pub(crate) fn until(mut is_done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_done() && start.elapsed() < AWAKE {
        thread::yield_now();
    }
}

/// As [`Receiver::recv`], but awake at first.
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
