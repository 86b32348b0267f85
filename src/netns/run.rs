//! Running a closure inside a namespace: on a thread of its own, or on the calling thread.

use std::os::fd::AsFd;

use super::enter::{cause_of, inside};
use super::handle::Netns;
use super::identity::NetnsId;
use crate::error::{Cause, Error};
use crate::sys::namespace::{self, Away};

impl Netns {
    /// Runs a closure inside the namespace, on a new thread that ends afterwards. The calling
    /// thread stays in its own namespace.
    ///
    /// A program's code runs in another namespace only through this method,
    /// [`run_here`](Self::run_here), a [`worker`](Self::worker) or a [`command`](Self::command).
    /// netloom's own threads enter a namespace only for single system calls. If the main thread
    /// makes such a call, other processes see that namespace under `/proc/PID/ns/net` for some
    /// microseconds.
    ///
    /// Inside, `/proc/thread-self/net` and `/proc/sys/net` are the namespace's. `/sys` is still the
    /// caller's, because a mount shows the namespace in which it was made. A
    /// [`command`](Self::command) has its own `/sys`, and [`links`](Self::links) reads what
    /// `/sys/class/net` shows.
    ///
    /// The closure may borrow, and its value is returned. A panic of the closure continues in the
    /// caller. Sockets and files that the closure opens belong to the namespace, and may be
    /// returned. For many small closures, use a [`worker`](Self::worker).
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
    /// - `is_permission_denied()` without `CAP_SYS_ADMIN` in the user namespaces of both namespaces
    ///   (setns(2)), unless the calling thread is inside already.
    /// - EAGAIN if no thread can be started.
    pub fn run<T: Send>(&self, closure: impl FnOnce() -> T + Send) -> Result<T, Error> {
        inside(self.fd(), closure).map_err(|cause| cause.doing("enter", self))
    }

    /// Runs a closure inside the namespace, on the calling thread. The thread returns afterwards,
    /// even after a panic.
    ///
    /// This costs a few system calls; [`run`](Self::run) starts a thread. While the closure runs,
    /// the thread's signal handlers run inside, too. On the main thread, other processes see this
    /// namespace under `/proc/PID/ns/net`. `/sys` is still the caller's, as in [`run`](Self::run).
    ///
    /// **If the thread can't return, the process aborts** with a line on standard error. The thread
    /// tests the return before it leaves, so this happens only if the closure or another thread
    /// gives up `CAP_SYS_ADMIN` meanwhile. Use [`run`](Self::run) for such code.
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
    /// `is_permission_denied()` if the kernel refuses the entry or the return. Both take
    /// `CAP_SYS_ADMIN` in the user namespaces of both namespaces (setns(2)), unless the thread is
    /// inside already.
    #[doc(alias = "setns")]
    pub fn run_here<T>(&self, closure: impl FnOnce() -> T) -> Result<T, Error> {
        let enter = || {
            let home = namespace::own()?;
            if NetnsId::of(&home)? == self.id() {
                return Ok(closure());
            }
            let _away = Away::enter(self.fd(), home.as_fd()).map_err(cause_of)?;
            Ok(closure())
        };
        enter().map_err(|cause: Cause| cause.doing("enter", self))
    }
}
