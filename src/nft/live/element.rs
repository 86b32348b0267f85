//! Creates, finds and deletes elements in the kernel.

use nix::errno::Errno;

use super::handle::SetHandle;
use super::single::{create, remove};
use crate::error::{Cause, Error};
use crate::nft::model::element::Element;
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};

impl Element {
    /// Adds the element to a set or map.
    ///
    /// # Errors
    ///
    /// [`is_already_exists`](Error::is_already_exists) if the set has the key already.
    pub fn create(&self, set: &SetHandle) -> Result<Owned<ElementHandle>, Error> {
        create(&set.table.netns, |transaction| {
            transaction.create_element(set, self);
            ElementHandle { set: set.clone(), element: self.clone() }
        })
    }
}

/// A handle of an element, identified by its key. If another program deletes the element and adds
/// an element with the same key, the owner deletes the new element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementHandle {
    set: SetHandle,
    element: Element,
}

impl ElementHandle {
    /// Returns the element.
    pub fn element(&self) -> &Element {
        &self.element
    }

    /// Finds the element in the kernel. Fails with ENOENT if it is gone. An interval that contains
    /// the key is another element.
    fn look(&self) -> Result<Self, Error> {
        let found = self.set.get(self.element.clone())?;
        let gone = || Cause::from(Errno::ENOENT).doing("find element of set", &self.set);
        let is_it = found.is_some_and(|found| found.key() == self.element.key());
        is_it.then(|| self.clone()).ok_or_else(|| gone().in_namespace(&self.set.table.netns))
    }

    /// Returns the handle of the set or map.
    pub fn set(&self) -> &SetHandle {
        &self.set
    }
}

/// Deletes the element by its key.
impl Remove for ElementHandle {
    fn remove(&self) -> Result<Removed, Error> {
        let netns = &self.set.table.netns;
        let key = || [self.element.clone()];
        remove(netns, self, |all, one| all.delete_elements(&one.set, key()), || self.look())
    }
}
