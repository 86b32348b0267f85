//! Ownership: a handle with the duty to delete the object it identifies.

use std::fmt;
use std::ops::Deref;

use crate::drop_scope;
use crate::error::Error;
use crate::sys::process::Process;

/// The identity of an object in the kernel. Dropping a handle deletes nothing.
///
/// The trait is sealed: only netloom's handles implement it. Handles can be shared between threads.
pub trait Handle: Clone + fmt::Debug + Send + Sync + sealed::Remove {}

impl<H: Clone + fmt::Debug + Send + Sync + sealed::Remove> Handle for H {}

pub(crate) mod sealed {
    use crate::drop_scope::Deferred;
    use crate::error::Error;

    /// The deletion of an object by its identity.
    pub trait Remove {
        /// Deletes the object. Returns `Gone` only after a lookup did not find the object: no errno
        /// proves that alone.
        fn remove(&self) -> Result<Removed, Error>;

        /// Called by `Owned::keep`. Removes the mark that ties the object to this process.
        fn kept(&self) {}

        /// Called by `Owned::adopt`. Puts the mark of this process on the object.
        fn adopted(&self) {}

        /// Hands the deletion to the open drop scope, if deleting many objects at once is faster.
        /// Returns whether it did.
        fn defer(&self, _deferred: &mut Deferred) -> bool {
            false
        }
    }

    /// The result of a deletion that did not fail.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Removed {
        /// The object existed and is now deleted.
        Deleted,
        /// The object no longer exists.
        Gone,
    }
}

/// A handle with the duty to delete its object. Every `create` returns one.
///
/// An owner dereferences to the handle. When it is dropped, the object is deleted:
///
/// ```
/// use netloom::{Bridge, Namespace};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// {
///     let bridge = Bridge::new("br0").create(&host)?;
///     assert_eq!(bridge.name(), "br0");
/// } // deleted here
/// assert!(host.link("br0").is_err());
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// [`Together`](crate::Together) holds owners of any kinds, and deletes many links faster.
///
/// `let _ = …create(&ns)?` deletes the object at once, at the end of the statement. Bind the owner
/// to a name, such as `_bridge`.
///
/// A failure to delete on drop is reported to [`log`](https://docs.rs/log) and to the hook of
/// [`on_drop_failure`](crate::on_drop_failure). [`delete`](Self::delete) returns the failure. It is
/// no failure if the object no longer exists. If another program may have replaced the object,
/// netloom does not touch it, and reports a failure. In a fork of the owner's process, drop does
/// nothing and `delete` fails.
#[must_use = "dropping an owner deletes its object: bind it to a name"]
#[derive(PartialEq, Eq)]
pub struct Owned<H: Handle> {
    handle: H,
    /// The process that has the duty to delete. `None` if nobody has the duty any more.
    process: Option<Process>,
}

impl<H: Handle> Owned<H> {
    /// Takes over the duty to delete the object of a handle: the inverse of [`keep`](Self::keep).
    ///
    /// A link or a namespace's name gets the mark of this process. [`reap`](crate::reap) leaves it
    /// alone while this process lives, and deletes it if the process is killed.
    pub fn adopt(handle: H) -> Self {
        handle.adopted();
        Self::new(handle)
    }

    /// Creates the owner of an object that this process has just created.
    pub(crate) fn new(handle: H) -> Self {
        Self { handle, process: Some(Process::current()) }
    }

    /// Ends the duty without any system call, as SIGKILL would.
    #[cfg(test)]
    pub(crate) fn abandoned(mut self) -> H {
        self.process = None;
        self.handle.clone()
    }

    /// Returns the handle, without the duty.
    pub fn handle(&self) -> &H {
        &self.handle
    }

    /// Copies the handle, without the duty. The method exists to warn about that: an owner cannot
    /// be copied.
    ///
    /// ```compile_fail
    /// #![deny(deprecated)]
    /// fn copy(bridge: &netloom::Owned<netloom::Link>) -> netloom::Link {
    ///     bridge.clone()
    /// }
    /// ```
    #[deprecated(note = "this copies the handle, which deletes nothing: say `.handle().clone()`")]
    #[expect(clippy::should_implement_trait, reason = "an owner can't be copied; the name warns")]
    pub fn clone(&self) -> H {
        self.handle.clone()
    }

    /// Returns the handle, which the creation completes step by step.
    pub(crate) fn handle_mut(&mut self) -> &mut H {
        &mut self.handle
    }

    /// Leaves the object in the kernel and returns its handle.
    pub fn keep(mut self) -> H {
        if self.take_duty() {
            self.handle.kept();
        }
        self.handle.clone()
    }

    /// Deletes the object.
    ///
    /// # Errors
    ///
    /// The error contains the owner, to try again or to [`keep`](Self::keep) the object.
    /// - The kernel refuses the deletion.
    /// - `ErrorKind::Replaced` if another object may have taken the place of this one. Neither is
    ///   deleted.
    /// - `is_invalid_input()` in a process that was forked from the owner's.
    ///
    /// An object that no longer exists is no error.
    pub fn delete(mut self) -> Result<(), DeleteError<H>> {
        if self.is_foreign() {
            return Err(DeleteError { error: Self::not_ours(), owned: self });
        }
        match self.finish() {
            Ok(()) => Ok(()),
            Err(error) => {
                self.process = Some(Process::current());
                Err(DeleteError { error, owned: self })
            }
        }
    }

    /// Deletes the object. Shared by `delete` and `drop`.
    fn finish(&mut self) -> Result<(), Error> {
        if self.take_duty() { remove_in_two(&self.handle) } else { Ok(()) }
    }

    /// Returns whether the duty belongs to a process that this process was forked from.
    fn is_foreign(&self) -> bool {
        self.process.is_some_and(|process| process != Process::current())
    }

    fn not_ours() -> Error {
        const WHY: &str = "its owner is in the process that this one was forked from";
        let name = std::any::type_name::<H>();
        Error::invalid("delete", name.rsplit("::").next().unwrap_or(name), WHY)
    }

    /// Ends the duty. Returns whether this process had the duty.
    fn take_duty(&mut self) -> bool {
        self.process.take() == Some(Process::current())
    }
}

/// Deletes an object. Tries again after a failure, because the answer may be lost or the object in
/// use.
pub(crate) fn remove_in_two(handle: &impl sealed::Remove) -> Result<(), Error> {
    handle.remove().or_else(|_| handle.remove()).map(drop)
}

impl<H: Handle> Drop for Owned<H> {
    fn drop(&mut self) {
        if self.is_foreign() {
            // The open scope collects this error only for the caller of a `delete`.
            drop(drop_scope::collect_failure(Self::not_ours()));
        } else if self.process.is_some()
            && drop_scope::defer(|deferred| self.handle.defer(deferred))
        {
            self.process = None;
        } else if let Err(error) = self.finish().or_else(drop_scope::collect_failure) {
            drop_scope::report(&error);
        }
    }
}

impl<H: Handle> Deref for Owned<H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.handle
    }
}

impl<H: Handle> fmt::Debug for Owned<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Owned").field(&self.handle).finish()
    }
}

/// Writes the handle.
impl<H: Handle + fmt::Display> fmt::Display for Owned<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.handle, f)
    }
}

/// The error of [`Owned::delete`], with the ownership.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct DeleteError<H: Handle> {
    #[source]
    error: Error,
    owned: Owned<H>,
}

impl<H: Handle> DeleteError<H> {
    /// Returns the reason.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns the ownership, to try again or to keep the object.
    pub fn into_owned(self) -> Owned<H> {
        self.owned
    }
}

/// Drops the owner, which tries the deletion once more.
impl<H: Handle> From<DeleteError<H>> for Error {
    fn from(failure: DeleteError<H>) -> Self {
        failure.error
    }
}

#[cfg(test)]
mod tests {
    use super::sealed::Removed;
    use super::*;
    use crate::error::Cause;
    use crate::together::Together;
    use nix::errno::Errno;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// An object that counts its deletions and answers with an errno.
    #[derive(Debug, Clone)]
    struct Fake(Arc<AtomicU32>, Option<Errno>);

    impl sealed::Remove for Fake {
        fn remove(&self) -> Result<Removed, Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            match self.1 {
                Some(errno) => Err(Cause::from(errno).doing("delete", "it")),
                None => Ok(Removed::Deleted),
            }
        }
    }

    fn fake(errno: Option<Errno>) -> (Owned<Fake>, impl Fn() -> u32) {
        let count = Arc::new(AtomicU32::new(0));
        let owned = Owned::new(Fake(Arc::clone(&count), errno));
        (owned, move || count.load(Ordering::Relaxed))
    }

    #[test]
    fn an_object_is_deleted_once_by_drop_or_delete_and_never_when_kept() {
        let (owned, count) = fake(None);
        drop(owned);
        assert_eq!(count(), 1);
        let (owned, count) = fake(None);
        owned.delete().unwrap();
        assert_eq!(count(), 1);
        let (owned, count) = fake(None);
        let handle = owned.keep();
        assert_eq!(count(), 0);
        drop(Owned::new(handle));
        assert_eq!(count(), 1);
    }

    #[test]
    fn a_failed_delete_gives_the_ownership_back() {
        let (owned, count) = fake(Some(Errno::EBUSY));
        let failure = owned.delete().unwrap_err();
        assert_eq!(failure.error().raw_os_error(), Some(16));
        let owned = failure.into_owned();
        assert_eq!(count(), 2, "a second attempt");
        drop(owned);
        assert_eq!(count(), 4, "drop tries again");
    }

    /// No errno of a deletion proves that the object is gone. Only a lookup does.
    #[test]
    fn no_errno_of_a_delete_stands_for_gone() {
        for errno in [Errno::ENODEV, Errno::ESRCH, Errno::ENOENT, Errno::EADDRNOTAVAIL] {
            let (owned, _) = fake(Some(errno));
            let failure = owned.delete().unwrap_err();
            assert_eq!(failure.error().errno(), Some(errno));
            let source = std::error::Error::source(&failure).unwrap();
            assert_eq!(source.to_string(), failure.to_string());
        }
    }

    #[test]
    fn another_process_deletes_nothing() {
        let (mut owned, count) = fake(None);
        owned.process = Some(Process::ANOTHER);
        drop(owned);
        assert_eq!(count(), 0);
    }

    #[test]
    fn a_delete_of_another_processs_object_is_refused() {
        let (mut owned, count) = fake(None);
        owned.process = Some(Process::ANOTHER);
        let failure = owned.delete().unwrap_err();
        assert!(failure.error().is_invalid_input(), "{failure}");
        assert!(failure.to_string().starts_with("delete Fake: its owner is in"), "{failure}");
        let (own, own_count) = fake(None);
        let failures = Together::new((failure.into_owned(), own)).delete().unwrap_err();
        assert_eq!((failures.errors().len(), own_count()), (1, 1));
        assert!(failures.to_string().contains("was forked from"), "{failures}");
        assert_eq!(count(), 0);
    }
}
