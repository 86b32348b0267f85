//! Running a closure inside a namespace: on a thread of its own, or on the calling thread.

use std::os::fd::AsFd;

use super::enter::{home_from, inside};
use super::handle::Netns;
use crate::error::{Cause, Error, SYS_ADMIN, takes};
use crate::sys::namespace::{Away, Refused};

impl Netns {
    /// Runs a closure inside, on a thread of its own, which enters, runs it, returns and ends. The caller's
    /// thread stays where it is.
    ///
    /// No code of the program's runs in another namespace unless it asks for it by this, by
    /// [`run_here`](Self::run_here), a [`worker`](Self::worker) or a [`command`](Self::command). netloom's own
    /// calls enter for single system calls only. On the main thread, other processes then see the target
    /// under `/proc/PID/ns/net` for some microseconds.
    ///
    /// Files: `/proc/thread-self/net` and `/proc/sys/net` are those of the namespace. `/sys` is still the
    /// caller's, as a mount shows the namespace it was made in; a [`command`](Self::command) has its own.
    ///
    /// The closure may borrow, and its value is returned; a panic in it goes on in the caller. What it
    /// opens (sockets, files) stays where it was opened and may be returned. For many small closures there
    /// is [`worker`](Self::worker).
    ///
    /// ```
    /// use netloom::Namespace;
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let devices = red.run(|| std::fs::read_to_string("/proc/thread-self/net/dev"))?;
    /// assert!(devices.is_ok_and(|devices| devices.contains("lo")));
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `is_permission_denied()` without `CAP_SYS_ADMIN` in the user namespaces of both namespaces (setns(2)),
    ///   unless the calling thread is inside already.
    /// - EAGAIN if no thread can be started.
    pub fn run<T: Send>(&self, closure: impl FnOnce() -> T + Send) -> Result<T, Error> {
        inside(self.fd(), closure).map_err(|cause| cause.doing("enter", self))
    }

    /// Runs a closure inside on the calling thread, which returns afterwards, also by a panic.
    ///
    /// This costs a few system calls, where [`run`](Self::run) starts a thread. The thread's other code
    /// is not to run meanwhile: while the closure runs, signal handlers run inside, too. On the main
    /// thread, other processes see this namespace under `/proc/PID/ns/net`.
    ///
    /// **If the thread can't return, the process aborts** with a line on standard error. The return is
    /// tried before the thread leaves, so this takes a closure that gives up `CAP_SYS_ADMIN`, or another
    /// thread that does meanwhile. Such code belongs into [`run`](Self::run).
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use netloom::Namespace;
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let listener = red.run_here(|| TcpListener::bind("0.0.0.0:80"))?.unwrap();
    /// assert_eq!(red.listeners()?.len(), 1);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `is_permission_denied()` if the kernel refuses the entry or the return. Both take `CAP_SYS_ADMIN` in
    /// the user namespaces of both namespaces (setns(2)), unless the thread is inside already.
    #[doc(alias = "setns")]
    pub fn run_here<T>(&self, closure: impl FnOnce() -> T) -> Result<T, Error> {
        let enter = || {
            let home = home_from(self.fd())?;
            let Some(home) = &home else { return Ok(closure()) };
            let _away = Away::enter(self.fd(), home.as_fd()).map_err(|refused| match refused {
                Refused::Return(errno) | Refused::Entry(errno) | Refused::Call(errno) => {
                    takes(SYS_ADMIN)(errno)
                }
            })?;
            Ok(closure())
        };
        enter().map_err(|cause: Cause| cause.doing("enter", self))
    }
}
