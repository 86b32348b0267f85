//! A thread that stays inside a namespace, for many small closures.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::thread;

use nix::errno::Errno;

use super::enter::{enter, home_from};
use super::handle::Netns;
use crate::awake;
use crate::error::{Cause, Error};
use crate::fault;
use crate::process::Process;
use crate::sys::{self, Lent};

/// A thread that stays inside a namespace and runs closures there, one after the other.
///
/// For many small ones: a closure costs two switches between threads, not a thread and two changes of
/// its namespace as with [`Netns::run`]. It may be shared between threads. When it is dropped, its
/// thread goes home and ends.
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
    /// The process that its thread is in: one that is forked has no such thread.
    process: Process,
    thread: Option<thread::JoinHandle<()>>,
    /// Closed first, which ends the thread.
    closures: Option<mpsc::Sender<Lent>>,
}

impl Netns {
    /// Starts a thread that stays inside.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
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
                    while let Ok(lent) = awake::receive(&incoming) {
                        lent.run();
                    }
                }
                Err(cause) => drop(entered.send(Err(cause))),
            }
        };
        fault::system_call("clone")?;
        let thread = thread::Builder::new().name("netloom-worker".into()).spawn(inside)?;
        let worker = Worker {
            netns: self.clone(),
            process: Process::current(),
            thread: Some(thread),
            closures: Some(closures),
        };
        has_entered.recv().unwrap_or(Err(Errno::ESRCH.into()))?;
        Ok(worker)
    }
}

impl Worker {
    /// The namespace it is in.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }

    fn is_here(&self) -> bool {
        self.process == Process::current()
    }

    /// Runs a closure inside and returns its value; a panic in it goes on in the caller, and the worker
    /// is as good as before. The closure may borrow. From within another closure of the same worker it
    /// runs at once.
    ///
    /// A closure that changes the thread's namespace by itself changes it for those that follow.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where the worker's thread has ended, as in a process that was
    /// forked from the one that started it.
    pub fn run<T: Send>(&self, closure: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let own = self.thread.as_ref().map(|thread| thread.thread().id());
        if own == Some(thread::current().id()) {
            return Ok(closure());
        }
        let mut outcome = None;
        let run = || outcome = Some(catch_unwind(AssertUnwindSafe(closure)));
        sys::lend(run, |lent| {
            // Where it can't be sent it comes back and is dropped.
            if let Some(closures) = &self.closures
                && self.is_here()
            {
                closures.send(lent).ok();
            }
        });
        match outcome {
            Some(Ok(value)) => Ok(value),
            Some(Err(panic)) => resume_unwind(panic),
            None => Err(Cause::from(Errno::ESRCH).doing("run on the worker in", &self.netns)),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.closures.take());
        if let Some(thread) = self.thread.take()
            && self.is_here()
        {
            // It runs nothing that could panic outside of a closure, whose panic has its caller.
            thread.join().ok();
        }
    }
}
