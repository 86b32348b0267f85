//! Running a closure inside a namespace, on a thread of its own.

use super::enter::inside;
use super::handle::Netns;
use crate::error::Error;

impl Netns {
    /// Runs a closure inside, as `ip netns exec NAME` does a command: on a thread of its own, which
    /// enters, runs, goes home and ends. The caller's thread never changes its namespace.
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
    /// Where no thread can be started, or entering is refused: it needs `CAP_SYS_ADMIN` in the user
    /// namespaces of both namespaces (setns(2)), unless the calling thread is inside already.
    pub fn run<T: Send>(&self, closure: impl FnOnce() -> T + Send) -> Result<T, Error> {
        inside(self.fd(), closure).map_err(|cause| cause.doing("enter", self))
    }
}
