//! The builder of tables.

use std::fmt;

use super::chain::Chain;
use super::family::Family;
use super::flowtable::Flowtable;
use super::name;
use super::object::Object;
use super::set::{Map, Set, Spec};
use super::statements::is_rule;
use crate::error::Error;

use crate::wire::nft::rule as wire_rule;
use crate::wire::nft::set as wire_set;
use crate::wire::nft::table as wire;
use crate::wire::nft::table::TableFlags;
use crate::wire::nft::userdata::UserData;

/// A table with its chains, sets and maps. One transaction creates the table with all contents.
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
/// By default a table is **held**: it has the owner flag, so no other program can change it, and
/// `nft flush ruleset` skips it. The kernel deletes the table when the last clone of its
/// [`Netns`](crate::Netns) is dropped or the process dies, even by SIGKILL.
///
/// A [`persistent`](Self::persistent) table has a tag, by which a later process finds it. It exists
/// until a program deletes it. The kernel can't turn a held table into a persistent one, or back.
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

/// The beginning of the comment of a persistent table. Another program's comment is unlikely to
/// begin like this.
const TAG: &str = "netloom:";

impl Table {
    /// Returns a held, empty table of this family and name.
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

    /// Makes the table outlive the process.
    /// [`nft_tables_with_tag`](crate::Netns::nft_tables_with_tag) finds the table by this tag of at
    /// most 119 bytes. Default: held.
    pub fn persistent(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Makes the table dormant: its chains see no packets. Default: off.
    #[doc(alias = "NFT_TABLE_F_DORMANT")]
    pub fn dormant(mut self) -> Self {
        self.dormant = true;
        self
    }

    /// Adds a named object.
    pub fn object(mut self, object: Object) -> Self {
        self.objects.push(object);
        self
    }

    /// Adds a flowtable.
    pub fn flowtable(mut self, flowtable: Flowtable) -> Self {
        self.flowtables.push(flowtable);
        self
    }

    /// Adds a set.
    pub fn set(mut self, set: Set) -> Self {
        self.sets.push(set.0);
        self
    }

    /// Adds a map.
    pub fn map(mut self, map: Map) -> Self {
        self.sets.push(map.0);
        self
    }

    /// Adds a chain. Rules may jump to chains that are added later.
    pub fn chain(mut self, chain: Chain) -> Self {
        self.chains.push(chain);
        self
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the table outlive the process, without a tag. The comment identifies its creator.
    pub(crate) fn with_comment(mut self, comment: &'static str) -> Self {
        self.mark = Some(comment);
        self
    }

    /// Returns the comment of a table that outlives the process.
    pub(crate) fn comment(&self) -> Option<String> {
        let tagged = self.tag.as_ref().map(|tag| format!("{TAG}{tag}"));
        tagged.or_else(|| self.mark.map(str::to_owned))
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let refused = |reason| Error::invalid("create table", self, reason);
        name::check(&self.name).map_err(refused)?;
        self.tag.as_deref().map_or(Ok(()), name::check_tag).map_err(refused)
    }

    /// Returns whether these rules and sets are those of the table. Ignores others in between.
    pub(crate) fn is_whole(&self, rules: &[wire_rule::Rule], sets: &[wire_set::Set]) -> bool {
        let has_rules = |chain: &Chain| {
            let of_chain = |rule: &&wire_rule::Rule| rule.chain.as_deref() == Some(chain.name());
            let mut listed = rules.iter().filter(of_chain);
            let is_listed = |rule| listed.any(|one| is_rule(rule, self.family, &one.expressions));
            chain.rules.iter().all(is_listed)
        };
        let has_set = |spec: &Spec| sets.iter().any(|set| set.name.as_ref() == Some(&spec.name));
        self.chains.iter().all(has_rules) && self.sets.iter().all(has_set)
    }

    pub(crate) fn message(&self) -> wire::Table {
        const BOTH: TableFlags = TableFlags::OWNER.union(TableFlags::DORMANT);
        const NONE: TableFlags = TableFlags::empty();
        let comment = self.comment();
        wire::Table {
            flags: Some(match (comment.is_none(), self.dormant) {
                (true, true) => BOTH,
                (true, false) => TableFlags::OWNER,
                (false, true) => TableFlags::DORMANT,
                (false, false) => NONE,
            }),
            userdata: comment.and_then(|comment| UserData::comment(&comment)),
            ..wire::Table::by_name(&self.name)
        }
    }
}

/// Returns the tag in the comment of a persistent table.
pub(crate) fn tag_in(comment: &str) -> Option<&str> {
    comment.strip_prefix(TAG)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {}`", self.family, self.name)
    }
}
