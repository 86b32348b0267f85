//! Owners that are deleted together: what can be deleted at once is collected while they are dropped,
//! and carried out when the last of them is.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::error::Error;
use crate::owned::report;
use crate::sys::process::Process;
use sealed::Later;

/// Owners that go together: with one wait of the kernel for all their links, where dropping them one
/// after the other waits for each.
///
/// The kernel takes 16 to 20 ms for every link that is deleted alone. Any value that contains owners, at
/// whatever depth and in whatever order, is dropped in a fraction of that inside a `Together`: a tuple, a
/// `Vec`, a structure of your own. It reads and works like the value.
///
/// ```
/// use netloom::{Bridge, Namespace, Netns, Error, Link, Owned, Together, Veth, VethEnd, VethPair};
/// # netloom::sandbox::enter()?;
///
/// struct Network {
///     bridge: Owned<Link>,
///     cables: Vec<Owned<Veth>>,
/// }
///
/// fn network(host: &Netns) -> Result<Together<Network>, Error> {
///     let bridge = Bridge::new("br0").up().create(host)?;
///     Ok(Together::new(Network { bridge, cables: Vec::new() }))
/// }
///
/// let host = Namespace::anonymous().create()?;
/// let mut network = network(&host)?;
/// for n in 0..10 {
///     let port = VethEnd::new(format!("port{n}")).master(&network.bridge).up();
///     let cable = VethPair::new(port, format!("eth{n}")).create(&host)?;
///     network.cables.push(cable);
/// }
/// drop(network); // eleven owners, one wait
/// assert_eq!(host.links()?.len(), 1, "only lo is left");
/// # Ok::<(), Error>(())
/// ```
///
/// An iterator of owners is collected into one: `.collect::<Result<Together<Vec<_>>, _>>()?`.
///
/// All names are free when it is gone. Links go last, when the value is dropped as a whole; all else goes
/// in the order in which the value drops it. Failures are told one by one, to the hook of
/// [`on_drop_failure`](crate::on_drop_failure); [`delete`](Self::delete) returns them. A `Together` in
/// another one goes with that.
#[derive(Default)]
#[must_use = "dropping it deletes what it owns: bind it to a name"]
pub struct Together<T> {
    // Fields are dropped in this order, also when the value panics.
    _begin: Begin,
    value: T,
    _end: End,
}

impl<T> Together<T> {
    /// Has what `value` owns go together.
    pub fn new(value: T) -> Self {
        Self { _begin: Begin, value, _end: End }
    }

    /// The value, whose owners are on their own again.
    pub fn into_inner(self) -> T {
        let Self { value, .. } = self;
        value
    }

    /// Deletes it now.
    ///
    /// ```
    /// use netloom::{Bridge, Namespace, Together};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let bridge = |n| Bridge::new(format!("br{n}")).create(&host);
    /// let bridges = (0..3).map(bridge).collect::<Result<Together<Vec<_>>, _>>()?;
    /// bridges.delete()?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// One for each that the kernel refused. The others are gone.
    pub fn delete(self) -> Result<(), NotDeleted> {
        let value = self.into_inner();
        let own = Own::begin();
        drop(value);
        let failures = own.end();
        if failures.is_empty() { Ok(()) } else { Err(NotDeleted(failures)) }
    }
}

impl<T> Deref for Together<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Together<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> From<T> for Together<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<A, T: FromIterator<A>> FromIterator<A> for Together<T> {
    /// Where the iterator panics half-way, what it brought goes together as well.
    fn from_iter<I: IntoIterator<Item = A>>(owners: I) -> Self {
        Self::new(owners.into_iter().collect())
    }
}

impl<A, T: Extend<A>> Extend<A> for Together<T> {
    fn extend<I: IntoIterator<Item = A>>(&mut self, owners: I) {
        self.value.extend(owners);
    }
}

impl<T: fmt::Debug> fmt::Debug for Together<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Together").field(&self.value).finish()
    }
}

/// What [`Together::delete`] could not delete: one error each.
#[derive(Debug)]
pub struct NotDeleted(Vec<Error>);

impl fmt::Display for NotDeleted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} could not be deleted: {}", self.0.len(), Listed(&self.0))
    }
}

impl std::error::Error for NotDeleted {}

impl NotDeleted {
    /// One for each that was refused.
    pub fn errors(&self) -> &[Error] {
        &self.0
    }

    /// The same, by value.
    pub fn into_errors(self) -> Vec<Error> {
        self.0
    }
}

/// The first of them.
impl From<NotDeleted> for Error {
    fn from(failures: NotDeleted) -> Self {
        let mut errors = failures.0.into_iter();
        errors.next().unwrap_or_else(|| Self::invalid("delete", "owners", "nothing was refused"))
    }
}

struct Listed<'a>(&'a [Error]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if at == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

pub(crate) mod sealed {
    use std::any::Any;

    use crate::error::Error;

    /// What is to be deleted at once, of one kind.
    pub(crate) trait Collected: Any + std::fmt::Debug {
        /// Deletes it all; the failures. What is gone already is none.
        fn remove(self: Box<Self>) -> Vec<Error>;
    }

    /// What the owners dropped so far have left to do, one value of a type.
    #[derive(Debug, Default)]
    pub struct Later(Vec<Box<dyn Collected>>);

    impl Later {
        /// What is collected under this type: its default at first.
        pub(crate) fn with<C: Collected + Default>(&mut self, collect: impl FnOnce(&mut C)) {
            for collected in &mut self.0 {
                let collected: &mut dyn Any = &mut **collected;
                if let Some(collected) = collected.downcast_mut::<C>() {
                    return collect(collected);
                }
            }
            let mut collected = C::default();
            collect(&mut collected);
            self.0.push(Box::new(collected));
        }

        pub(super) fn remove(self) -> impl Iterator<Item = Error> {
            self.0.into_iter().flat_map(Collected::remove)
        }
    }
}

/// One stretch of dropping on one thread.
struct Scope {
    /// How many values within each other it is for.
    depth: usize,
    /// A fork that drops them as well must not delete what its parent collected.
    process: Process,
    later: Later,
    /// Where failures are returned.
    failures: Option<Vec<Error>>,
}

impl Scope {
    fn new(failures: Option<Vec<Error>>) -> Self {
        Self { depth: 1, process: Process::current(), later: Later::default(), failures }
    }
}

thread_local! {
    /// The innermost last. Dropping a value is one uninterrupted stretch of one thread, and what it
    /// contains can be told of it in no other way: `Drop` has no arguments.
    static SCOPES: RefCell<Vec<Scope>> = const { RefCell::new(Vec::new()) };
}

/// Looks at the innermost scope. None where there is none, as when the thread is ending.
fn in_scope<T>(look: impl FnOnce(&mut Scope) -> Option<T>) -> Option<T> {
    SCOPES.try_with(|scopes| look(scopes.borrow_mut().last_mut()?)).ok()?
}

fn push(scope: Scope) {
    // A thread that is ending has none: then owners go one by one.
    let _ = SCOPES.try_with(|scopes| scopes.borrow_mut().push(scope));
}

fn pop() -> Option<Scope> {
    SCOPES.try_with(|scopes| scopes.borrow_mut().pop()).ok()?
}

/// Has what is dropped now collected, if somebody is to carry it out. `collect` tells whether it was.
pub(crate) fn collect(collect: impl FnOnce(&mut Later) -> bool) -> bool {
    in_scope(|scope| Some(collect(&mut scope.later))).unwrap_or(false)
}

/// Tells of a failure where the scope returns it. The error comes back where it does not.
pub(crate) fn tell(error: Error) -> Option<Error> {
    let mut error = Some(error);
    in_scope(|scope| {
        scope.failures.as_mut()?.extend(error.take());
        Some(())
    });
    error
}

/// Begins, when dropped: the first field.
#[derive(Default)]
struct Begin;

impl Drop for Begin {
    fn drop(&mut self) {
        let nested = in_scope(|scope| {
            scope.depth += 1;
            Some(())
        });
        if nested.is_none() {
            push(Scope::new(None));
        }
    }
}

/// Ends, when dropped, and carries out what was collected: the last field.
#[derive(Default)]
struct End;

impl Drop for End {
    fn drop(&mut self) {
        let left = in_scope(|scope| {
            scope.depth -= 1;
            Some(scope.depth)
        });
        if left == Some(0) {
            carry_out().iter().for_each(report);
        }
    }
}

/// A scope of its own, whatever it is within: what is deleted by a call is gone when that returns.
struct Own {
    is_open: bool,
}

impl Own {
    fn begin() -> Self {
        push(Scope::new(Some(Vec::new())));
        Self { is_open: true }
    }

    fn end(mut self) -> Vec<Error> {
        self.is_open = false;
        carry_out()
    }
}

/// Where the value panicked.
impl Drop for Own {
    fn drop(&mut self) {
        if self.is_open {
            carry_out().iter().for_each(report);
        }
    }
}

fn carry_out() -> Vec<Error> {
    let Some(Scope { process, later, failures, .. }) = pop() else { return Vec::new() };
    let mut failures = failures.unwrap_or_default();
    if process == Process::current() {
        failures.extend(later.remove());
    }
    failures
}
