//! Creates, finds, reads and deletes tables in the kernel.

use nix::errno::Errno;

use super::handle::TableHandle;
use super::number::Number;
use super::single::{change, create, remove};
use super::transaction::Transaction;
use super::{reader, ruleset};
use crate::error::{Cause, Error};
use crate::netns::Netns;
use crate::nft::model::family::Family;
use crate::nft::model::info::TableInfo;
use crate::nft::model::table::Table;
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};
use crate::wire::nft::message::MessageType;
use crate::wire::nft::table as wire;
use crate::wire::nft::table::TableFlags;
use crate::wire::nft::userdata::UserData;

impl Table {
    /// Creates the table with all its contents, or nothing.
    ///
    /// Values that are known to be wrong are refused before any system call. An existing table with
    /// this family and name is not changed.
    ///
    /// # Errors
    ///
    /// - [`is_already_exists`](Error::is_already_exists) if there is a table of this family and
    ///   name
    /// - [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`, or without
    ///   `CAP_SYS_ADMIN` at the first use of `nf_tables` in a namespace that the thread is not in
    pub fn create(&self, netns: &Netns) -> Result<Owned<TableHandle>, Error> {
        create(netns, |transaction| transaction.create_table(self))
    }
}

impl Netns {
    /// Lists the persistent tables with this tag. To delete a table, adopt its handle with
    /// [`Owned::adopt`].
    ///
    /// ```
    /// use netloom::nft::{Family, Table};
    /// use netloom::{Namespace, Owned};
    /// # netloom::sandbox::enter()?;
    ///
    /// let netns = Namespace::anonymous().create()?;
    /// Table::new(Family::Inet, "web").persistent("my-plugin").create(&netns)?.keep();
    /// // Later, in another process:
    /// for table in netns.nft_tables_with_tag("my-plugin")? {
    ///     drop(Owned::adopt(table));
    /// }
    /// assert!(netns.nft_tables_with_tag("my-plugin")?.is_empty());
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn nft_tables_with_tag(&self, tag: &str) -> Result<Vec<TableHandle>, Error> {
        let mut tables = persistent_tables(self)?;
        tables.retain(|table| table.tag() == Some(tag));
        Ok(tables)
    }
}

impl Netns {
    /// Finds a table by its name, whoever made it.
    ///
    /// Other programs' tables change without notice: `iptables-nft` and `firewalld` rewrite theirs.
    ///
    /// ```
    /// use netloom::Namespace;
    /// use netloom::nft::{Chain, Family, Rule, Table};
    /// # netloom::sandbox::enter()?;
    ///
    /// let netns = Namespace::anonymous().create()?;
    /// let chain = Chain::new("FORWARD");
    /// Table::new(Family::Ip, "filter").persistent("a").chain(chain).create(&netns)?.keep();
    /// // Another program of ours accepts what a bridge forwards.
    /// let forward = netns.nft_table(Family::Ip, "filter")?.chain("FORWARD")?;
    /// Rule::new().iifname("br0").accept().create(&forward)?.keep();
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if there is no such table.
    #[doc(alias = "nft list table")]
    pub fn nft_table(&self, family: Family, name: &str) -> Result<TableHandle, Error> {
        let of = wire::Table::by_name(name);
        let found = self.nf_tables(|nf_tables| {
            reader::get(&mut nf_tables.socket, MessageType::GetTable, family, &of)
        });
        let handle = |table: Option<wire::Table>| {
            let table = table?;
            // A handle with a comment, even an empty one, stands for a table that is not held.
            let comment =
                table.userdata.as_ref().and_then(UserData::as_comment).unwrap_or_default();
            let comment = Some(comment.into());
            Some(TableHandle { comment, ..TableHandle::held(self, family, &table)? })
        };
        found.and_then(|table| handle(table).ok_or_else(|| Errno::ENOENT.into())).map_err(
            |cause: Cause| {
                cause.doing("find table", format!("`{family} {name}`")).in_namespace(self)
            },
        )
    }
}

/// Lists all tables created with [`Table::persistent`], with any tag.
pub(crate) fn persistent_tables(netns: &Netns) -> Result<Vec<TableHandle>, Error> {
    let handle = |(family, table): (Family, wire::Table)| {
        TableHandle::persistent(netns, family, &table).filter(|table| table.tag().is_some())
    };
    Ok(ruleset::tables(netns)?.into_iter().filter_map(handle).collect())
}

impl TableHandle {
    /// Makes a handle, as of a held table, from a table that the kernel listed. Does not check that
    /// the table is held. Returns `None` if the entry has no name or number.
    pub(crate) fn held(netns: &Netns, family: Family, table: &wire::Table) -> Option<Self> {
        Some(Self {
            netns: netns.clone(),
            family,
            name: table.name.clone()?,
            number: Number::known(table.handle?),
            comment: None,
        })
    }

    /// Returns the handle of a listed table that has a comment and no owner.
    pub(crate) fn persistent(netns: &Netns, family: Family, table: &wire::Table) -> Option<Self> {
        if table.flags.unwrap_or_default().contains(TableFlags::OWNER) {
            return None;
        }
        let comment = table.userdata.as_ref().and_then(UserData::as_comment)?;
        Some(Self { comment: Some(comment.into()), ..Self::held(netns, family, table)? })
    }

    /// Finds the table in the kernel. Fails with ENOENT if it is gone.
    fn look(&self) -> Result<Self, Error> {
        let found = self.netns.nf_tables(|nf_tables| self.verify(&mut nf_tables.socket));
        found.map_err(|cause| cause.doing("find table", self).in_namespace(&self.netns))?;
        Ok(self.clone())
    }

    /// Reads the contents of the table: chains with their rules, sets with their elements.
    ///
    /// Replaces `nft list table FAMILY NAME`.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the table is gone.
    #[doc(alias = "nft list table")]
    pub fn read(&self) -> Result<TableInfo, Error> {
        ruleset::read_table(self, true)
    }

    /// Reads the contents of the table, except the elements of named sets and maps. So the cost does
    /// not depend on the number of elements.
    ///
    /// Replaces `nft --terse list table FAMILY NAME`.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the table is gone.
    #[doc(alias = "nft -t list table")]
    pub fn read_terse(&self) -> Result<TableInfo, Error> {
        ruleset::read_table(self, false)
    }

    /// Makes the table dormant, so that its chains see no packets, or wakes it.
    ///
    /// Replaces `nft add table FAMILY NAME '{ flags dormant; }'`, and the command without the flag.
    ///
    /// ```
    /// use netloom::Namespace;
    /// use netloom::nft::{Chain, Family, Hook, Priority, Table};
    /// # netloom::sandbox::enter()?;
    ///
    /// let netns = Namespace::anonymous().create()?;
    /// let chain = Chain::new("in").hook(Hook::Input, Priority::FILTER);
    /// let table = Table::new(Family::Inet, "filter").persistent("fw").chain(chain).create(&netns)?;
    /// table.set_dormant(true)?;
    /// assert!(table.read()?.is_dormant);
    /// table.set_dormant(false)?;
    /// assert!(!table.read_terse()?.is_dormant);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`is_not_found`](Error::is_not_found) if the table is gone.
    /// - [`is_unsupported`](Error::is_unsupported) for a held table since Linux 6.9
    ///   (`net/netfilter/nf_tables_api.c`, `nf_tables_updtable`).
    #[doc(alias = "NFT_TABLE_F_DORMANT")]
    pub fn set_dormant(&self, on: bool) -> Result<(), Error> {
        change(&self.netns, |transaction| transaction.set_dormant(self, on))
    }
}

/// Deletes the table by its number. Another table that took the name is not deleted.
impl Remove for TableHandle {
    fn remove(&self) -> Result<Removed, Error> {
        remove(&self.netns, self, Transaction::delete_table, || self.look())
    }
}
