//! Tables.

use std::fmt;
use std::sync::Arc;

use super::chain::{Chain, ChainHandle};
use super::family::Family;
use super::find;
use super::flowtable::{Flowtable, FlowtableHandle};
use super::info::TableInfo;
use super::name;
use super::number::Number;
use super::object::{Object, ObjectHandle, ObjectKind};
use super::ruleset;
use super::set::{Map, Set, Spec};
use super::set_handle::SetHandle;
use super::transaction::Transaction;
use crate::error::Error;
use crate::netns::Netns;
use crate::owned::Owned;
use crate::owned::sealed::Remove;
use crate::wire::nft::table as wire;
use crate::wire::nft::table::TableFlags;
use crate::wire::nft::userdata::UserData;

/// A table to be, with its chains, sets and maps: all of it is made in one transaction.
///
/// Replaces `nft add table FAMILY NAME` and `nft -f`.
///
/// ```
/// use netloom::nft::{Chain, CtState, Family, Hook, Policy, Priority, Rule, Set, Table, Type};
/// use netloom::Namespace;
/// # netloom::sandbox::enter()?;
///
/// let netns = Namespace::anonymous().create()?;
/// let _table = Table::new(Family::Inet, "filter")
///     .set(Set::new("blocked", Type::Ipv4).interval().elements(["192.0.2.0/24"]))
///     .chain(
///         Chain::new("in")
///             .hook(Hook::Input, Priority::FILTER)
///             .policy(Policy::Drop)
///             .rule(Rule::new().ct_state(CtState::ESTABLISHED | CtState::RELATED).accept())
///             .rule(Rule::new().in_set([netloom::nft::Field::Ip4Source], "blocked").drop())
///             .rule(Rule::new().tcp().dport(22).accept()),
///     )
///     .create(&netns)?;
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// # Held or persistent
///
/// A table is **held** unless it says otherwise: it has the owner flag, so nobody else can change it, `nft
/// flush ruleset` passes it by, and the kernel removes it when the last clone of the [`Netns`] it was made
/// with goes, also on SIGKILL. A [`persistent`](Self::persistent) one carries a tag by which a later process
/// finds it; it stays until it is deleted. The kernel lets nobody change that later.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Table {
    pub(super) family: Family,
    pub(super) name: String,
    pub(super) tag: Option<String>,
    pub(super) dormant: bool,
    pub(super) objects: Vec<Object>,
    pub(super) flowtables: Vec<Flowtable>,
    pub(super) sets: Vec<Spec>,
    pub(super) chains: Vec<Chain>,
}

/// What the comment of a persistent table begins with: nobody else's does by chance.
const TAG: &str = "netloom:";

impl Table {
    /// One of this family and name, held and empty.
    #[doc(alias("nft add table", "NFT_TABLE_F_OWNER"))]
    pub fn new(family: Family, name: impl Into<String>) -> Self {
        Self {
            family,
            name: name.into(),
            tag: None,
            dormant: false,
            objects: Vec::new(),
            flowtables: Vec::new(),
            sets: Vec::new(),
            chains: Vec::new(),
        }
    }

    /// Stays when the process ends. It carries this tag, 119 bytes at most, by which
    /// [`find_tagged`](Self::find_tagged) finds it. Default: held.
    pub fn persistent(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Its chains see no packets. Default: they do.
    #[doc(alias = "NFT_TABLE_F_DORMANT")]
    pub fn dormant(mut self) -> Self {
        self.dormant = true;
        self
    }

    /// With this counter, quota or limit; may be called again for more.
    pub fn object(mut self, object: Object) -> Self {
        self.objects.push(object);
        self
    }

    /// With this flowtable; may be called again for more.
    pub fn flowtable(mut self, flowtable: Flowtable) -> Self {
        self.flowtables.push(flowtable);
        self
    }

    /// With this set; may be called again for more.
    pub fn set(mut self, set: Set) -> Self {
        self.sets.push(set.0);
        self
    }

    /// With this map; may be called again for more.
    pub fn map(mut self, map: Map) -> Self {
        self.sets.push(map.0);
        self
    }

    /// With this chain; may be called again for more. Rules may jump to chains that come later.
    pub fn chain(mut self, chain: Chain) -> Self {
        self.chains.push(chain);
        self
    }

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

    pub(super) fn check(&self) -> Result<(), Error> {
        let refused = |reason| Error::invalid("create table", self, reason);
        name::check(&self.name).map_err(refused)?;
        match &self.tag {
            None => Ok(()),
            Some(tag) if tag.is_empty() => Err(refused("a tag can't be empty".into())),
            Some(tag) => name::check_comment(&format!("{TAG}{tag}")).map_err(refused),
        }
    }

    pub(super) fn message(&self) -> wire::Table {
        let mut flags = TableFlags::empty();
        flags.set(TableFlags::OWNER, self.tag.is_none());
        flags.set(TableFlags::DORMANT, self.dormant);
        let comment = self.tag.as_ref().map(|tag| format!("{TAG}{tag}"));
        wire::Table {
            flags: Some(flags),
            userdata: comment.and_then(|comment| UserData::comment(&comment)),
            ..wire::Table::by_name(&self.name)
        }
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

/// The tag of a persistent table.
pub(super) fn tag_of(table: &wire::Table) -> Option<&str> {
    table.userdata.as_ref()?.as_comment()?.strip_prefix(TAG)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {}`", self.family, self.name)
    }
}

/// A table of ours that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableHandle {
    pub(super) netns: Netns,
    pub(super) family: Family,
    pub(super) name: String,
    pub(super) number: Number,
    /// None of a held one.
    pub(super) tag: Option<Arc<str>>,
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
    pub(super) fn may_be_anothers(&self) -> bool {
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
