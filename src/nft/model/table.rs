//! Tables.

use std::fmt;

use super::chain::Chain;
use super::family::Family;
use super::flowtable::Flowtable;
use super::name;
use super::object::Object;
use super::set::{Map, Set, Spec};
use crate::error::Error;

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
    pub(crate) family: Family,
    pub(crate) name: String,
    pub(crate) tag: Option<String>,
    pub(crate) mark: Option<&'static str>,
    pub(crate) dormant: bool,
    pub(crate) objects: Vec<Object>,
    pub(crate) flowtables: Vec<Flowtable>,
    pub(crate) sets: Vec<Spec>,
    pub(crate) chains: Vec<Chain>,
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
            mark: None,
            dormant: false,
            objects: Vec::new(),
            flowtables: Vec::new(),
            sets: Vec::new(),
            chains: Vec::new(),
        }
    }

    /// Stays when the process ends. It carries this tag, 119 bytes at most, by which
    /// [`nft_tables_with_tag`](crate::Netns::nft_tables_with_tag) finds it. Default: held.
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

    /// Makes the table outlive the process without a tag: the comment says whose it is.
    pub(crate) fn with_comment(mut self, comment: &'static str) -> Self {
        self.mark = Some(comment);
        self
    }

    /// The comment of a table that outlives the process.
    pub(crate) fn comment(&self) -> Option<String> {
        let tagged = self.tag.as_ref().map(|tag| format!("{TAG}{tag}"));
        tagged.or_else(|| self.mark.map(str::to_owned))
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let refused = |reason| Error::invalid("create table", self, reason);
        name::check(&self.name).map_err(refused)?;
        self.tag.as_deref().map_or(Ok(()), name::check_tag).map_err(refused)
    }

    pub(crate) fn message(&self) -> wire::Table {
        let mut flags = TableFlags::empty();
        let comment = self.comment();
        flags.set(TableFlags::OWNER, comment.is_none());
        flags.set(TableFlags::DORMANT, self.dormant);
        wire::Table {
            flags: Some(flags),
            userdata: comment.and_then(|comment| UserData::comment(&comment)),
            ..wire::Table::by_name(&self.name)
        }
    }
}

/// The tag in the comment of a persistent table.
pub(crate) fn tag_in(comment: &str) -> Option<&str> {
    comment.strip_prefix(TAG)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {}`", self.family, self.name)
    }
}
