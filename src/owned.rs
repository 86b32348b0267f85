//! Ownership, the whole mechanism: a handle plus the duty to delete what it stands for.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use nix::errno::Errno;

use crate::error::Error;
use crate::sys::process::Process;
use crate::together;

/// The identity of something in the kernel. Dropping a handle does nothing.
///
/// Sealed: the handles are netloom's own. Threads share them.
pub trait Handle: Clone + fmt::Debug + Send + Sync + sealed::Remove {}

impl<H: Clone + fmt::Debug + Send + Sync + sealed::Remove> Handle for H {}

pub(crate) mod sealed {
    use crate::error::Error;
    use crate::together::sealed::Later;

    /// How a handle's object is deleted, by its identity.
    pub trait Remove {
        /// Deletes it. An error that says "not found" counts as done.
        fn remove(&self) -> Result<(), Error>;

        /// Told when it is kept: what says that it has an owner is taken off.
        fn kept(&self) {}

        /// Told when it is adopted: what says that it has an owner is put on.
        fn adopted(&self) {}

        /// Leaves it to be deleted with others, where that is quicker: whether it did.
        fn remove_later(&self, _later: &mut Later) -> bool {
            false
        }

        /// Deletes many, with an answer for each: together, where that is quicker.
        fn remove_all(handles: &[&Self]) -> Vec<Result<(), Error>> {
            handles.iter().map(|handle| handle.remove()).collect()
        }
    }
}

/// What every `create` returns: a handle, and the duty to delete what it stands for.
///
/// It reads and works like the handle. When it goes out of scope, the object goes too:
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
/// Links are deleted quicker in numbers: [`Together`](crate::Together) holds many owners, of any kinds.
///
/// `let _ = …create(&ns)?` deletes at once, at the end of that statement: give it a name, as `_bridge`.
///
/// A failure to delete on drop goes to [`log`](https://docs.rs/log) and to the hook of
/// [`on_drop_failure`]; [`delete`](Self::delete) returns it. What is gone already is no failure.
/// In a process that was forked from the one that made it, dropping does nothing, and `delete` is refused.
#[must_use = "dropping an owner deletes what it owns: bind it to a name"]
#[derive(PartialEq, Eq)]
pub struct Owned<H: Handle> {
    handle: H,
    /// The process whose duty it is; none once the duty is done or given up.
    process: Option<Process>,
}

impl<H: Handle> Owned<H> {
    /// Takes on the duty to delete what `handle` stands for: the inverse of [`keep`](Self::keep).
    ///
    /// A link and a namespace's name are this process's from then on: [`reap`](crate::reap) finds them once it
    /// was killed, and leaves them alone until then, whoever made them.
    pub fn adopt(handle: H) -> Self {
        handle.adopted();
        Self::new(handle)
    }

    /// Of what this process has just made.
    pub(crate) fn new(handle: H) -> Self {
        Self { handle, process: Some(Process::current()) }
    }

    /// As where its process was killed.
    #[cfg(test)]
    pub(crate) fn abandoned(mut self) -> H {
        self.process = None;
        self.handle.clone()
    }

    /// Leaves it in the kernel and returns the handle.
    pub fn keep(mut self) -> H {
        if self.take_duty() {
            self.handle.kept();
        }
        self.handle.clone()
    }

    /// Deletes it now.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses, the error comes with the ownership, to try again or to
    /// [`keep`](Self::keep). What is gone already is no error. In a process that was forked from the owner's
    /// it is refused, and stays the other's.
    pub fn delete(mut self) -> Result<(), DeleteError<H>> {
        if self.is_anothers() {
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

    /// Deletes many at once. Links go together, with one wait of the kernel for all instead of one for
    /// each: a thousand in a fraction of the time that dropping them one after the other takes.
    ///
    /// ```
    /// use netloom::{Namespace, Owned, VethPair};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let cable = |n| VethPair::new(format!("a{n}"), format!("b{n}")).create(&red);
    /// let cables = (0..10).map(cable).collect::<Result<Vec<_>, _>>()?;
    /// Owned::delete_all(cables).map_err(|mut failures| failures.remove(0))?;
    /// assert_eq!(red.links()?.len(), 1, "only lo is left");
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Each that the kernel refused, with its ownership. The others are gone.
    pub fn delete_all(owners: impl IntoIterator<Item = Self>) -> Result<(), Vec<DeleteError<H>>> {
        let (anothers, mut owners): (Vec<_>, Vec<_>) =
            owners.into_iter().partition(Self::is_anothers);
        let due: Vec<_> = owners.iter_mut().map(Self::take_duty).collect();
        let handles =
            owners.iter().zip(&due).filter(|(_, due)| **due).map(|(owned, _)| &owned.handle);
        let mut answers = H::remove_all(&handles.collect::<Vec<_>>()).into_iter();
        let refused = |owned: Self| DeleteError { error: Self::not_ours(), owned };
        let mut failures: Vec<_> = anothers.into_iter().map(refused).collect();
        for (mut owned, due) in owners.into_iter().zip(due) {
            let answer = if due { answers.next().unwrap_or(Ok(())) } else { Ok(()) };
            if let Err(error) = settled(answer) {
                owned.process = Some(Process::current());
                failures.push(DeleteError { error, owned });
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    /// The one way to the end, for `delete` and `drop`.
    fn finish(&mut self) -> Result<(), Error> {
        if !self.take_duty() {
            return Ok(());
        }
        settled_in_two(|| self.handle.remove())
    }

    /// Whether it is the duty of a process that this one was forked from.
    fn is_anothers(&self) -> bool {
        self.process.is_some_and(|process| process != Process::current())
    }

    fn not_ours() -> Error {
        const WHY: &str = "its owner is in the process that this one was forked from";
        let name = std::any::type_name::<H>();
        Error::invalid("delete", name.rsplit("::").next().unwrap_or(name), WHY)
    }

    /// Whether the duty to delete is this process's. It is taken: no second one will do it.
    fn take_duty(&mut self) -> bool {
        self.process.take() == Some(Process::current())
    }
}

/// Tries once more, whatever it was: a lost answer, memory, a moment in which it was in use. Deleting what
/// is gone by now is no failure.
pub(crate) fn settled_in_two(remove: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
    match settled(remove()) {
        Err(_) => settled(remove()),
        done => done,
    }
}

/// What is gone already is no failure.
fn settled(answer: Result<(), Error>) -> Result<(), Error> {
    match answer {
        Err(error) if !error.is_not_found() && error.errno() != Some(Errno::EADDRNOTAVAIL) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

impl<H: Handle> Drop for Owned<H> {
    fn drop(&mut self) {
        if self.is_anothers() {
            // Only who asked for the deletion is told that it is not done.
            drop(together::tell(Self::not_ours()));
        } else if self.process.is_some()
            && together::collect(|later| self.handle.remove_later(later))
        {
            self.process = None;
        } else if let Err(error) = self.finish()
            && let Some(error) = together::tell(error)
        {
            report(&error);
        }
    }
}

/// Tells of a failure to delete that nobody is there to be returned to.
pub(crate) fn report(error: &Error) {
    // A second panic while one unwinds would be the end of the process.
    let told = catch_unwind(AssertUnwindSafe(|| {
        log::warn!("left behind: {error}");
        if let Some(hook) = HOOK.get() {
            hook(error);
        }
    }));
    drop(told);
}

impl<H: Handle> Deref for Owned<H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.handle
    }
}

impl<H: Handle> DerefMut for Owned<H> {
    fn deref_mut(&mut self) -> &mut H {
        &mut self.handle
    }
}

impl<H: Handle> fmt::Debug for Owned<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Owned").field(&self.handle).finish()
    }
}

/// As the handle's.
impl<H: Handle + fmt::Display> fmt::Display for Owned<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.handle, f)
    }
}

static HOOK: OnceLock<fn(&Error)> = OnceLock::new();

/// Has `hook` told of every failure to delete on drop, in the whole process. Returns whether it was
/// set: the first one stays. A panic in it goes no further.
pub fn on_drop_failure(hook: fn(&Error)) -> bool {
    HOOK.set(hook).is_ok()
}

/// Why [`Owned::delete`] failed, with the ownership.
#[derive(Debug)]
pub struct DeleteError<H: Handle> {
    error: Error,
    owned: Owned<H>,
}

impl<H: Handle> fmt::Display for DeleteError<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<H: Handle> std::error::Error for DeleteError<H> {}

impl<H: Handle> DeleteError<H> {
    /// Why it failed.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The ownership, to try again or to give up.
    pub fn into_owned(self) -> Owned<H> {
        self.owned
    }
}

/// Gives up the ownership with a last try, as dropping does.
impl<H: Handle> From<DeleteError<H>> for Error {
    fn from(failure: DeleteError<H>) -> Self {
        failure.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Cause;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Counts how often it was removed, and answers with an errno.
    #[derive(Debug, Clone)]
    struct Fake(Arc<AtomicU32>, Option<Errno>);

    impl sealed::Remove for Fake {
        fn remove(&self) -> Result<(), Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            self.1.map_or(Ok(()), |errno| Err(Cause::from(errno).doing("delete", "it")))
        }
    }

    fn fake(errno: Option<Errno>) -> (Owned<Fake>, impl Fn() -> u32) {
        let count = Arc::new(AtomicU32::new(0));
        let owned = Owned::new(Fake(Arc::clone(&count), errno));
        (owned, move || count.load(Ordering::Relaxed))
    }

    #[test]
    fn it_is_deleted_once_by_drop_or_by_delete_and_never_when_kept() {
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
        assert_eq!(count(), 2, "it was tried once more");
        drop(owned);
        assert_eq!(count(), 4, "drop tries again");
    }

    #[test]
    fn what_is_gone_already_is_no_failure() {
        for errno in [Errno::ENODEV, Errno::ESRCH, Errno::ENOENT, Errno::EADDRNOTAVAIL] {
            let (owned, _) = fake(Some(errno));
            assert!(owned.delete().is_ok(), "{errno}");
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
    fn what_another_process_has_is_not_said_to_be_deleted() {
        let (mut owned, count) = fake(None);
        owned.process = Some(Process::ANOTHER);
        let failure = owned.delete().unwrap_err();
        assert!(failure.error().is_invalid_input(), "{failure}");
        assert!(failure.to_string().starts_with("delete Fake: its owner is in"), "{failure}");
        let (own, own_count) = fake(None);
        let failures = Owned::delete_all([failure.into_owned(), own]).unwrap_err();
        assert_eq!((failures.len(), own_count()), (1, 1));
        drop(failures);
        let (mut owned, _) = fake(None);
        owned.process = Some(Process::ANOTHER);
        let error = together::Together::new(owned).delete().unwrap_err();
        assert!(error.to_string().contains("was forked from"), "{error}");
        assert_eq!(count(), 0);
    }
}
