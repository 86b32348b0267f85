//! Named objects in the kernel.

use std::fmt;

use super::find;
use super::number::Number;
use super::table::TableHandle;
use super::transaction::Transaction;
use crate::error::Error;
use crate::nft::model::object::Object;
use crate::nft::model::object_kind::ObjectKind;
use crate::owned::Owned;
use crate::owned::sealed::Remove;
use crate::wire::nft::object as wire;

impl Object {
    /// Makes it.
    ///
    /// # Errors
    ///
    /// A name that `nft` could not load is refused before any system call, and a quota or limit of nothing.
    /// [`is_already_exists`](Error::is_already_exists) where the table has one of this kind and name.
    pub fn create(&self, table: &TableHandle) -> Result<Owned<ObjectHandle>, Error> {
        let mut transaction = Transaction::new(&table.netns);
        let handle = transaction.create_object(table, self);
        transaction.commit()?;
        Ok(Owned::new(handle))
    }
}

/// A named object that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHandle {
    pub(crate) table: TableHandle,
    pub(crate) kind: ObjectKind,
    pub(crate) name: String,
    pub(crate) number: Number,
}

impl ObjectHandle {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    pub fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// The table it is in.
    pub fn table(&self) -> &TableHandle {
        &self.table
    }

    /// How a message names it: by its number, once that is known.
    pub(crate) fn known_as(&self) -> wire::Object {
        let (table, kind) = (&self.table.name, self.kind.wire());
        match self.number.if_known() {
            Some(number) => wire::Object::by_handle(table, kind, number),
            None => wire::Object::by_name(table, kind, &self.name),
        }
    }

    /// It as it is, with what it has [counted](Object::counted).
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where it is gone.
    #[doc(alias("nft list counter", "nft list quota"))]
    pub fn read(&self) -> Result<Object, Error> {
        find::object(self, false)
    }

    /// It as it was: it counts anew.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    #[doc(alias("nft reset counter", "nft reset quota"))]
    pub fn reset(&self) -> Result<Object, Error> {
        find::object(self, true)
    }
}

impl fmt::Display for ObjectHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TableHandle { family, name, .. } = &self.table;
        write!(f, "{} `{family} {name} {}`", self.kind, self.name)
    }
}

/// One that rules use is busy (EBUSY).
impl Remove for ObjectHandle {
    fn remove(&self) -> Result<(), Error> {
        let mut transaction = Transaction::new(&self.table.netns);
        transaction.delete_object(self);
        Ok(transaction.commit()?)
    }
}
