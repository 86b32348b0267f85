//! A thread that stays inside a namespace and runs closures there, one after another.

use std::panic::resume_unwind;
use std::sync::mpsc;

use nix::errno::Errno;

use super::enter::{enter, home_from, is_waited_for_by};
use super::handle::Netns;

use crate::error::{Cause, Error};
use crate::sys::process::OfProcess;
use crate::sys::thread::{self, JoinHandle};
use crate::sys::{self, Lent, spin};

/// A thread that stays inside a namespace and runs closures there, one after the other.
///
/// A closure costs two switches between threads. [`Netns::run`] instead starts a new thread, which
/// changes its namespace twice. Threads can share a worker. Dropping the worker ends its thread.
/// `/sys` is the caller's, as in [`Netns::run`].
///
/// ```
/// use netloom::Namespace;
/// # netloom::sandbox::enter()?;
///
/// let red = Namespace::anonymous().create()?;
/// let worker = red.worker()?;
/// let mut sockets = Vec::new();
/// for port in 8000..8010 {
///     sockets.push(worker.run(|| std::net::UdpSocket::bind(("0.0.0.0", port)))?.unwrap());
/// }
/// assert_eq!(sockets.len(), 10);
/// # Ok::<(), netloom::Error>(())
/// ```
#[derive(Debug)]
pub struct Worker {
    netns: Netns,
    thread: OfProcess<(JoinHandle<()>, mpsc::Sender<Lent>)>,
}

impl Netns {
    /// Starts a thread that stays inside the namespace.
    ///
    /// # Errors
    ///
    /// The errors of [`run`](Self::run).
    pub fn worker(&self) -> Result<Worker, Error> {
        self.start_worker().map_err(|cause| cause.doing("start a worker in", self))
    }

    fn start_worker(&self) -> Result<Worker, Cause> {
        let (closures, incoming) = mpsc::channel::<Lent>();
        let (entered, has_entered) = mpsc::channel();
        let (namespace, home) = (self.clone(), home_from(self.fd())?);
        let inside = move || {
            let enters = enter(namespace.fd(), home);
            drop(namespace);
            match enters {
                Ok(_home) => {
                    entered.send(Ok(())).ok();
                    while let Ok(lent) = spin::receive(&incoming) {
                        lent.run();
                    }
                }
                Err(cause) => drop(entered.send(Err(cause))),
            }
        };
        let thread = thread::spawn("netloom-worker", inside)?;
        let worker = Worker { netns: self.clone(), thread: OfProcess::new((thread, closures)) };
        has_entered.recv().unwrap_or(Err(Errno::ESRCH.into()))?;
        Ok(worker)
    }
}

impl Worker {
    /// Returns the worker's namespace.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }

    /// Runs a closure inside the namespace and returns its value. The closure may borrow. A panic
    /// of the closure continues in the caller, and the worker keeps running.
    ///
    /// If a closure calls the same worker, the inner closure runs at once. If a closure calls
    /// [`Netns::run`] and that one calls the worker, the innermost closure runs on a new thread,
    /// because the worker is busy.
    ///
    /// If a closure changes the thread's namespace, later closures run in the changed one.
    ///
    /// # Errors
    ///
    /// `is_not_found()` if the worker's thread has ended, as in a fork of the process that started
    /// it.
    pub fn run<T: Send>(&self, closure: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let Some((thread, closures)) = self.thread.get() else {
            return Err(self.has_ended());
        };
        if thread.thread().id() == thread::current().id() {
            return Ok(closure());
        }
        if is_waited_for_by(thread.thread().id()) {
            return self.netns.run(closure);
        }
        // If the closure can't be sent to the thread, it is returned and dropped.
        let outcome = sys::lend(closure, |lent| drop(closures.send(lent)));
        match outcome {
            Some(Ok(value)) => Ok(value),
            Some(Err(panic)) => resume_unwind(panic),
            None => Err(self.has_ended()),
        }
    }

    fn has_ended(&self) -> Error {
        Cause::from(Errno::ESRCH).doing("run on the worker in", &self.netns)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some((thread, closures)) = self.thread.take() {
            // The thread ends when its sender is dropped. A panic of a closure was passed to that
            // closure's caller.
            drop(closures);
            thread.join().ok();
        }
    }
}
