//! Sets and maps that exist.

use std::fmt;

use super::find;
use super::number::Number;
use super::table::TableHandle;
use super::transaction::Transaction;
use crate::error::Error;
use crate::nft::model::element::Element;
use crate::nft::model::interval::Shape;
use crate::nft::model::set::{Map, Set};
use crate::owned::Owned;
use crate::owned::sealed::Remove;
use crate::wire::nft::set as wire;

macro_rules! create {
    ($name:ident) => {
        impl $name {
            /// Makes it and its elements, or nothing.
            ///
            /// # Errors
            ///
            /// What can be known wrong is refused before any system call: an element of another type,
            /// intervals that overlap. [`is_already_exists`](Error::is_already_exists) where the table
            /// has a set or map of this name.
            pub fn create(&self, table: &TableHandle) -> Result<Owned<SetHandle>, Error> {
                let mut transaction = Transaction::new(&table.netns);
                let handle = transaction.create(table, &self.0);
                transaction.commit()?;
                Ok(Owned::new(handle))
            }
        }
    };
}

create!(Set);
create!(Map);

/// A set or map of ours that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetHandle {
    pub(crate) table: TableHandle,
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) number: Number,
}

impl SetHandle {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The table it is in.
    pub fn table(&self) -> &TableHandle {
        &self.table
    }

    /// How a message names it: by its number, once that is known.
    pub(crate) fn known_as(&self) -> wire::Set {
        match self.number.if_known() {
            Some(number) => wire::Set::by_handle(&self.table.name, number),
            None => wire::Set::by_name(&self.table.name, &self.name),
        }
    }

    /// Adds elements, all or none; those that are there already stay as they are.
    ///
    /// # Errors
    ///
    /// What can be known wrong is refused before any system call: an element of another type, intervals
    /// that overlap among themselves. [`is_already_exists`](Error::is_already_exists) where one overlaps
    /// an interval of the set, or stands for something else in the map.
    #[doc(alias = "nft add element")]
    pub fn add(&self, elements: impl IntoIterator<Item = impl Into<Element>>) -> Result<(), Error> {
        let mut transaction = Transaction::new(&self.table.netns);
        transaction.add_elements(self, elements);
        Ok(transaction.commit()?)
    }

    /// Takes elements out, all or none.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where one is not there.
    #[doc(alias = "nft delete element")]
    pub fn remove(
        &self,
        elements: impl IntoIterator<Item = impl Into<Element>>,
    ) -> Result<(), Error> {
        let mut transaction = Transaction::new(&self.table.netns);
        transaction.delete_elements(self, elements);
        Ok(transaction.commit()?)
    }

    /// The element that has this key, or holds it.
    ///
    /// # Errors
    ///
    /// Where the key is of another type.
    #[doc(alias = "nft get element")]
    pub fn get(&self, key: impl Into<Element>) -> Result<Option<Element>, Error> {
        find::get_element(self, &key.into())
    }

    /// Whether a key is in it.
    ///
    /// # Errors
    ///
    /// Where the key is of another type.
    pub fn contains(&self, key: impl Into<Element>) -> Result<bool, Error> {
        self.get(key).map(|found| found.is_some())
    }

    /// All elements, in no order unless it has intervals.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where it is gone.
    #[doc(alias = "nft list set")]
    pub fn elements(&self) -> Result<Vec<Element>, Error> {
        find::elements(self)
    }

    /// Takes all elements out.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where it is gone.
    #[doc(alias = "nft flush set")]
    pub fn flush(&self) -> Result<(), Error> {
        let mut transaction = Transaction::new(&self.table.netns);
        transaction.flush_set(self);
        Ok(transaction.commit()?)
    }
}

impl fmt::Display for SetHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {} {}`", self.table.family, self.table.name, self.name)
    }
}

/// One that rules look up is busy (EBUSY).
impl Remove for SetHandle {
    fn remove(&self) -> Result<(), Error> {
        let mut transaction = Transaction::new(&self.table.netns);
        transaction.delete_set(self);
        Ok(transaction.commit()?)
    }
}
