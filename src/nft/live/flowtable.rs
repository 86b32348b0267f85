//! Flowtables in the kernel.

use std::fmt;

use super::find;
use super::number::Number;
use super::table::TableHandle;
use super::transaction::Transaction;
use crate::error::Error;
use crate::nft::model::flowtable::Flowtable;
use crate::owned::Owned;
use crate::owned::sealed::Remove;
use crate::wire::nft::flowtable as wire;

impl Flowtable {
    /// Makes it.
    ///
    /// # Errors
    ///
    /// What can be known wrong is refused before any system call. [`is_unsupported`](Error::is_unsupported)
    /// where the kernel has no flowtables, [`is_not_found`](Error::is_not_found) where a link is not there,
    /// [`is_already_exists`](Error::is_already_exists) where the table has one of this name.
    pub fn create(&self, table: &TableHandle) -> Result<Owned<FlowtableHandle>, Error> {
        let mut transaction = Transaction::new(&table.netns);
        let handle = transaction.create_flowtable(table, self);
        transaction.commit()?;
        Ok(Owned::new(handle))
    }
}

/// A flowtable of ours that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowtableHandle {
    pub(crate) table: TableHandle,
    pub(crate) name: String,
    pub(crate) number: Number,
}

impl FlowtableHandle {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The table it is in.
    pub fn table(&self) -> &TableHandle {
        &self.table
    }

    /// How a message names it: by its number, once that is known.
    pub(crate) fn known_as(&self) -> wire::Flowtable {
        match self.number.if_known() {
            Some(number) => wire::Flowtable::by_handle(&self.table.name, number),
            None => wire::Flowtable::by_name(&self.table.name, &self.name),
        }
    }

    /// It as it is.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where it is gone.
    #[doc(alias = "nft list flowtable")]
    pub fn read(&self) -> Result<Flowtable, Error> {
        find::flowtable(self)
    }
}

impl fmt::Display for FlowtableHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {} {}`", self.table.family, self.table.name, self.name)
    }
}

/// One that rules put connections into is busy (EBUSY).
impl Remove for FlowtableHandle {
    fn remove(&self) -> Result<(), Error> {
        let mut transaction = Transaction::new(&self.table.netns);
        transaction.delete_flowtable(self);
        Ok(transaction.commit()?)
    }
}
