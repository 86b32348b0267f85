//! Creates and deletes flowtables in the kernel.

use super::handle::{FlowtableHandle, TableHandle};
use super::single::{create, remove};
use super::transaction::Transaction;
use crate::error::Error;
use crate::nft::model::flowtable::Flowtable;
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};

impl Flowtable {
    /// Creates the flowtable.
    ///
    /// # Errors
    ///
    /// [`is_already_exists`](Error::is_already_exists) if the table has a flowtable of this name.
    pub fn create(&self, table: &TableHandle) -> Result<Owned<FlowtableHandle>, Error> {
        create(&table.netns, |transaction| transaction.create_flowtable(table, self))
    }
}

/// Deletes the flowtable. Fails with EBUSY while rules use it.
impl Remove for FlowtableHandle {
    fn remove(&self) -> Result<Removed, Error> {
        remove(&self.table.netns, self, Transaction::delete_flowtable, || {
            self.read().map(|_| self.clone())
        })
    }
}
