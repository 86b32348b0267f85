//! Named objects in the kernel.

use super::handle::{ObjectHandle, TableHandle};
use super::remove::remove;
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
    /// [`is_already_exists`](Error::is_already_exists) if the table has an object of this name and kind.
    pub fn create(&self, table: &TableHandle) -> Result<Owned<ObjectHandle>, Error> {
        let mut transaction = Transaction::new(&table.netns);
        let handle = transaction.create_object(table, self);
        transaction.commit()?;
        Ok(Owned::new(handle))
    }
}

/// An object that rules use is busy (EBUSY).
impl Remove for ObjectHandle {
    fn remove(&self) -> Result<Removed, Error> {
        let delete = |transaction: &mut Transaction, object: &Self| {
            transaction.delete_object(object);
        };
        remove(&self.table.netns, self, delete, || self.read().map(|_| self.clone()))
    }
}
