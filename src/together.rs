//! Many owners that are deleted together.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::drop_scope::{self, Closes, Opens};
use crate::partial::PartialError;

/// A value whose owners are deleted together. The kernel then waits only once for all links.
///
/// The kernel takes 16 to 20 ms for each link that is deleted alone, but only once that long for a
/// group of links. A `Together` holds any value that contains owners, at any depth: a tuple, a
/// `Vec`, a struct of your own. It dereferences to the value. Published ports are also deleted in
/// few transactions.
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
/// An iterator of owners can be collected into a `Together`:
/// `.collect::<Result<Together<Vec<_>>, _>>()?`.
///
/// When the drop returns, all names are free. Links and published ports are deleted at the end of
/// the drop. All other objects are deleted in the value's own order. Each failure is passed to the
/// hook of [`on_drop_failure`](crate::on_drop_failure); [`delete`](Self::delete) returns the
/// failures. If a `Together` is inside another one, both are deleted with the outer one.
#[derive(Default)]
#[must_use = "dropping it deletes what it owns: bind it to a name"]
pub struct Together<T> {
    // Rust drops fields in this order, even if dropping the value panics.
    _opens: Opens,
    value: T,
    _closes: Closes,
}

impl<T> Together<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self { _opens: Opens, value, _closes: Closes }
    }

    /// Returns the value. Its owners are then deleted one by one.
    pub fn into_inner(self) -> T {
        let Self { value, .. } = self;
        value
    }

    /// Deletes everything that the value owns.
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
    /// One error for each object that could not be deleted. All other objects are deleted.
    pub fn delete(self) -> Result<(), PartialError> {
        PartialError::check(drop_scope::drop_collecting(self.into_inner()))
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
    /// Collects owners. If the iterator panics, the owners collected so far are deleted together.
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
