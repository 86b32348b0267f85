//! The iterator of events.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use super::builder::Watch;
use super::event::Event;
use super::source::{Source, Step};
use crate::error::{Cause, Error};
use crate::sys::process::Process;
use crate::sys::socket::{any_readable, wait_readable};

/// An iterator of existing objects and of changes, made by [`Watch::start`].
///
/// All existing objects come first, as [`Change::Existing`](crate::Change::Existing). Then come the
/// changes, in the order of the kernel's notifications for each kind of object. A notification that
/// changes nothing yields no event.
///
/// A watcher has no thread: it reads its socket when it is asked for an event. Errors do not end a
/// watcher: the next call continues, with a [`Resynced`](Event::Resynced) if notifications were
/// lost. In a forked process the watcher opens its own socket, and its next event is a `Resynced`.
///
/// # Event loops
///
/// The descriptor is readable while notifications are queued. Call [`try_next`](Self::try_next)
/// until it returns `None`: before the first wait, and each time the descriptor is readable.
pub struct Watcher {
    watch: Watch,
    /// The sockets with their models, one for each protocol.
    sources: Vec<Source>,
    /// A descriptor that is readable as soon as one of several sockets is readable.
    any: Option<OwnedFd>,
    ready: VecDeque<Event>,
    /// The events of the current step, kept to reuse the memory.
    new: Vec<Event>,
    process: Process,
}

impl Watch {
    /// Starts to watch, and reads the existing objects.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` if nothing was chosen, before any system call
    /// - `is_permission_denied()` in another namespace without `CAP_SYS_ADMIN`
    /// - `ErrorKind::Interrupted` if the lists changed during all attempts to read them
    pub fn start(&self) -> Result<Watcher, Error> {
        if self.kinds.is_empty() {
            let reason = "nothing was chosen: call `links`, `addresses` or another of its setters";
            return Err(Error::invalid("watch", self, reason).in_namespace(&self.netns));
        }
        self.filter.connections.check("watch")?;
        Watcher::start(self)
    }
}

/// The end of a wait for an event.
#[derive(Debug, Clone, Copy)]
enum End {
    Now,
    At(Instant),
    Never,
}

impl Watcher {
    fn start(watch: &Watch) -> Result<Self, Error> {
        let sources = watch.open()?;
        let mut watcher = Self {
            watch: watch.clone(),
            any: any_of(&sources).map_err(|cause| watch.failed(cause))?,
            sources,
            ready: VecDeque::new(),
            new: Vec::new(),
            process: Process::current(),
        };
        while watcher.sources.iter().any(Source::is_new) {
            watcher.step()?;
        }
        Ok(watcher)
    }

    /// Returns the next event, or `None` if there is none before the deadline.
    ///
    /// # Errors
    ///
    /// - `ErrorKind::Interrupted` if more changes than the buffer holds came during each of many
    ///   attempts to read the lists
    /// - The kernel refuses to list, or a system call fails
    pub fn next_until(&mut self, deadline: Instant) -> Result<Option<Event>, Error> {
        self.wait(End::At(deadline))
    }

    /// Returns the next event, or `None` if there is none within this time.
    ///
    /// # Errors
    ///
    /// The errors of [`next_until`](Self::next_until).
    pub fn next_within(&mut self, wait: Duration) -> Result<Option<Event>, Error> {
        match Instant::now().checked_add(wait) {
            Some(deadline) => self.next_until(deadline),
            None => self.wait(End::Never),
        }
    }

    /// Returns the next event, if there is one. Never waits for a change.
    ///
    /// # Errors
    ///
    /// The errors of [`next_until`](Self::next_until).
    pub fn try_next(&mut self) -> Result<Option<Event>, Error> {
        self.wait(End::Now)
    }

    /// Returns an iterator of the events until the deadline.
    pub fn until(&mut self, deadline: Instant) -> impl Iterator<Item = Result<Event, Error>> {
        std::iter::from_fn(move || self.next_until(deadline).transpose())
    }

    fn wait(&mut self, end: End) -> Result<Option<Event>, Error> {
        self.after_fork()?;
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.step()? == Step::Done {
                let is_late = matches!(end, End::At(end) if Instant::now() >= end);
                if is_late && self.ready.is_empty() {
                    return Ok(None);
                }
                continue;
            }
            let end = match end {
                End::Now => return Ok(None),
                End::At(end) => Some(end),
                End::Never => None,
            };
            let readable = wait_readable(&[self.as_fd()], end);
            if !readable.map_err(|errno| self.watch.failed(errno.into()))? {
                return Ok(None);
            }
        }
    }

    fn step(&mut self) -> Result<Step, Error> {
        let mut step = Step::Idle;
        for source in &mut self.sources {
            let result = source.step(&self.watch.netns, &mut self.new);
            self.ready.extend(self.new.drain(..));
            if result? == Step::Done {
                step = Step::Done;
            }
        }
        Ok(step)
    }

    /// Opens sockets of this process in place of the parent's.
    fn after_fork(&mut self) -> Result<(), Error> {
        if self.process.is_current() {
            return Ok(());
        }
        let opened = self.watch.open()?;
        self.any = any_of(&opened).map_err(|cause| self.watch.failed(cause))?;
        for (source, opened) in self.sources.iter_mut().zip(opened) {
            source.reopen(opened.subscription);
        }
        self.process = Process::current();
        Ok(())
    }
}

/// Returns a descriptor that is readable as soon as one of several sockets is readable. `None` for
/// a single socket.
fn any_of(sources: &[Source]) -> Result<Option<OwnedFd>, Cause> {
    if sources.len() < 2 {
        return Ok(None);
    }
    let sockets: Vec<_> = sources.iter().map(|source| source.subscription.as_fd()).collect();
    Ok(Some(any_readable(&sockets)?))
}

/// Yields events for ever, and waits for each.
impl Iterator for Watcher {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Result<Event, Error>> {
        self.wait(End::Never).transpose()
    }
}

/// The descriptor to wait for with poll(2), epoll(7) or tokio's `AsyncFd`.
impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let first = || self.sources.first().map(|source| source.subscription.as_fd());
        let any = self.any.as_ref().map(AsFd::as_fd).or_else(first);
        // Always a socket's descriptor: `start` refuses a watcher without a kind of object.
        any.unwrap_or(self.watch.netns.as_fd())
    }
}

/// The same descriptor, for tokio's `AsyncFd`.
impl AsRawFd for Watcher {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("watch", &self.watch).finish_non_exhaustive()
    }
}
