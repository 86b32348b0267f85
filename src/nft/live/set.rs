//! Creates, changes, reads and deletes sets and maps in the kernel.

use nix::errno::Errno;

use super::handle::{SetHandle, TableHandle};
use super::single::{change, create, remove};
use super::transaction::Transaction;
use crate::error::{Cause, Error};
use crate::nft::model::element::Element;
use crate::nft::model::set::{Map, Set};
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};

macro_rules! create_from {
    ($($name:ident),+) => {$(
        impl $name {
            /// Creates the set and its elements, or nothing.
            ///
            /// Values that are known to be wrong are refused before any system call: elements of
            /// another type, intervals that overlap.
            ///
            /// # Errors
            ///
            /// [`is_already_exists`](Error::is_already_exists) if the table has a set or map of
            /// this name.
            pub fn create(&self, table: &TableHandle) -> Result<Owned<SetHandle>, Error> {
                create(&table.netns, |transaction| transaction.create(table, &self.0))
            }
        }
    )+};
}

create_from!(Set, Map);

impl SetHandle {
    /// Adds elements, all or none. An element that the set already has is not changed.
    ///
    /// Values that are known to be wrong are refused before any system call: elements of another
    /// type, intervals that overlap each other.
    ///
    /// # Errors
    ///
    /// [`is_already_exists`](Error::is_already_exists) if an element overlaps an interval of the
    /// set, or the map has its key with another value.
    #[doc(alias = "nft add element")]
    pub fn add(&self, elements: impl IntoIterator<Item = impl Into<Element>>) -> Result<(), Error> {
        change(&self.table.netns, |transaction| transaction.add_elements(self, elements))
    }

    /// Deletes elements, all or none.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the set lacks any of these elements.
    #[doc(alias = "nft delete element")]
    pub fn remove(
        &self,
        elements: impl IntoIterator<Item = impl Into<Element>>,
    ) -> Result<(), Error> {
        change(&self.table.netns, |transaction| transaction.delete_elements(self, elements))
    }

    /// Deletes all elements.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the set is gone.
    #[doc(alias = "nft flush set")]
    pub fn flush(&self) -> Result<(), Error> {
        change(&self.table.netns, |transaction| transaction.flush_set(self))
    }
}

impl SetHandle {
    /// Finds the set in the kernel. Fails with ENOENT if it is gone.
    fn look(&self) -> Result<Self, Error> {
        let gone = || Cause::from(Errno::ENOENT).doing("find set", self);
        let found = Some(self.table.set(&self.name)?).filter(|set| set.number == self.number);
        found.ok_or_else(|| gone().in_namespace(&self.table.netns))
    }
}

/// Deletes the set. Fails with EBUSY while rules use it.
impl Remove for SetHandle {
    fn remove(&self) -> Result<Removed, Error> {
        remove(&self.table.netns, self, Transaction::delete_set, || self.look())
    }
}
