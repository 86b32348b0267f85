//! Elements in the kernel.

use super::handle::SetHandle;
use super::transaction::Transaction;
use crate::error::Error;
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
        let mut transaction = Transaction::new(&set.table.netns);
        transaction.create_element(set, self);
        transaction.commit()?;
        Ok(Owned::new(ElementHandle { set: set.clone(), element: self.clone() }))
    }
}

/// A handle of an element, identified by its key. If another program deletes the element and adds
/// one with the same key, the owner deletes that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementHandle {
    set: SetHandle,
    element: Element,
}

impl ElementHandle {
    /// The element.
    pub fn element(&self) -> &Element {
        &self.element
    }

    /// The set or map.
    pub fn set(&self) -> &SetHandle {
        &self.set
    }
}

/// Deletes by the key.
impl Remove for ElementHandle {
    fn remove(&self) -> Result<Removed, Error> {
        Removed::unless_missing(self.set.remove([self.element.clone()]))
    }
}
