//! Creates and deletes named objects in the kernel.

use super::handle::{ObjectHandle, TableHandle};
use super::single::{create, remove};
use super::transaction::Transaction;
use crate::error::Error;
use crate::nft::model::object::Object;
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};

impl Object {
    /// Creates the object.
    ///
    /// # Errors
    ///
    /// [`is_already_exists`](Error::is_already_exists) if the table has an object of this name and
    /// kind.
    pub fn create(&self, table: &TableHandle) -> Result<Owned<ObjectHandle>, Error> {
        create(&table.netns, |transaction| transaction.create_object(table, self))
    }
}

/// Deletes the object. Fails with EBUSY while rules use it.
impl Remove for ObjectHandle {
    fn remove(&self) -> Result<Removed, Error> {
        remove(&self.table.netns, self, Transaction::delete_object, || {
            self.read().map(|_| self.clone())
        })
    }
}
