//! Elements that exist.

use super::set::SetHandle;
use super::transaction::Transaction;
use crate::error::Error;
use crate::nft::model::element::Element;
use crate::owned::Owned;
use crate::owned::sealed::Remove;

impl Element {
    /// Puts it into a set or map, where it must not be yet.
    ///
    /// # Errors
    ///
    /// What can be known wrong is refused before any system call.
    /// [`is_already_exists`](Error::is_already_exists) where it is there.
    pub fn create(&self, set: &SetHandle) -> Result<Owned<ElementHandle>, Error> {
        let mut transaction = Transaction::new(&set.table.netns);
        transaction.create_element(set, self);
        transaction.commit()?;
        Ok(Owned::new(ElementHandle { set: set.clone(), element: self.clone() }))
    }
}

/// An element of ours that exists. It is known by its key: where somebody deletes it and puts in another of the
/// same key, that is deleted as ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementHandle {
    set: SetHandle,
    element: Element,
}

impl ElementHandle {
    /// What it is.
    pub fn element(&self) -> &Element {
        &self.element
    }

    /// The set or map it is in.
    pub fn set(&self) -> &SetHandle {
        &self.set
    }
}

/// By its key.
impl Remove for ElementHandle {
    fn remove(&self) -> Result<(), Error> {
        self.set.remove([self.element.clone()])
    }
}
