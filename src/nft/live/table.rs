//! Tables in the kernel.

use std::fmt;
use std::sync::Arc;

use super::chain::ChainHandle;
use super::find;
use super::flowtable::FlowtableHandle;
use super::number::Number;
use super::object::ObjectHandle;
use super::ruleset;
use super::set::SetHandle;
use super::transaction::Transaction;
use crate::error::Error;
use crate::netns::Netns;
use crate::nft::model::family::Family;
use crate::nft::model::info::TableInfo;
use crate::nft::model::object_kind::ObjectKind;
use crate::nft::model::table::{Table, tag_of};
use crate::owned::Owned;
use crate::owned::sealed::Remove;
use crate::wire::nft::table as wire;
use crate::wire::nft::table::TableFlags;

impl Table {
    /// Makes it and all that is in it, or nothing.
    ///
    /// # Errors
    ///
    /// What can be known wrong is refused before any system call. Where a table of this family and name
    /// is there already it is [`is_already_exists`](Error::is_already_exists), and that one is left as it
    /// is; without `CAP_NET_ADMIN` [`is_permission_denied`](Error::is_permission_denied), and without
    /// `CAP_SYS_ADMIN` where it is the first use of `nf_tables` in a namespace that the thread is not in.
    pub fn create(&self, netns: &Netns) -> Result<Owned<TableHandle>, Error> {
        let mut transaction = Transaction::new(netns);
        let handle = transaction.create_table(self);
        transaction.commit()?;
        Ok(Owned::new(handle))
    }

    /// The persistent tables with this tag. [`Owned::adopt`] takes on the duty to delete one.
    ///
    /// ```
    /// use netloom::nft::{Family, Table};
    /// use netloom::{Namespace, Owned};
    /// # netloom::sandbox::enter()?;
    ///
    /// let netns = Namespace::anonymous().create()?;
    /// Table::new(Family::Inet, "web").persistent("my-plugin").create(&netns)?.keep();
    /// // Later, in another process:
    /// for table in Table::find_tagged(&netns, "my-plugin")? {
    ///     drop(Owned::adopt(table));
    /// }
    /// assert!(Table::find_tagged(&netns, "my-plugin")?.is_empty());
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn find_tagged(netns: &Netns, tag: &str) -> Result<Vec<TableHandle>, Error> {
        let mut tables = persistent_tables(netns)?;
        tables.retain(|table| table.tag() == Some(tag));
        Ok(tables)
    }
}

/// All persistent tables, whatever their tags.
pub(crate) fn persistent_tables(netns: &Netns) -> Result<Vec<TableHandle>, Error> {
    let handle = |(family, table): (Family, wire::Table)| {
        if table.flags.unwrap_or_default().contains(TableFlags::OWNER) {
            return None;
        }
        let tag = Some(tag_of(&table)?.into());
        let number = Number::known(table.handle?);
        Some(TableHandle { netns: netns.clone(), family, name: table.name?, number, tag })
    };
    Ok(ruleset::tables(netns)?.into_iter().filter_map(handle).collect())
}

/// A table of ours that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableHandle {
    pub(crate) netns: Netns,
    pub(crate) family: Family,
    pub(crate) name: String,
    pub(crate) number: Number,
    /// None of a held one.
    pub(crate) tag: Option<Arc<str>>,
}

impl TableHandle {
    /// The namespace it is in.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number the kernel gave it, as `nft -a list ruleset` shows it.
    pub fn number(&self) -> u64 {
        self.number.get()
    }

    /// Whether it goes with the process.
    pub fn is_held(&self) -> bool {
        self.tag.is_none()
    }

    /// Its tag, where it is persistent.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Whether another may have its name by now: nobody but us deletes a held one.
    pub(crate) fn may_be_anothers(&self) -> bool {
        self.tag.is_some() || self.number.may_be_gone()
    }

    /// All that is in it: chains with their rules, sets with their elements.
    ///
    /// Replaces `nft list table FAMILY NAME`.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where it is gone.
    #[doc(alias = "nft list table")]
    pub fn read(&self) -> Result<TableInfo, Error> {
        ruleset::read_table(self)
    }

    /// A chain of it.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where there is none of this name.
    pub fn chain(&self, name: &str) -> Result<ChainHandle, Error> {
        find::find_chain(self, name)
    }

    /// A set or map of it.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where there is none of this name.
    pub fn set(&self, name: &str) -> Result<SetHandle, Error> {
        find::find_set(self, name)
    }

    /// A flowtable of it.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where there is none of this name.
    pub fn flowtable(&self, name: &str) -> Result<FlowtableHandle, Error> {
        find::find_flowtable(self, name)
    }

    /// An object of it, by its kind and name.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where there is none.
    pub fn object(&self, kind: ObjectKind, name: &str) -> Result<ObjectHandle, Error> {
        find::find_object(self, kind, name)
    }
}

impl fmt::Display for TableHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {}`", self.family, self.name)
    }
}

/// By its number: a table that took its name is left alone.
impl Remove for TableHandle {
    fn remove(&self) -> Result<(), Error> {
        let mut transaction = Transaction::new(&self.netns);
        transaction.delete_table(self);
        Ok(transaction.commit()?)
    }
}
