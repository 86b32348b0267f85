//! Tables with their contents, as the kernel lists them.

use super::chain::Chain;
use super::element::Element;
use super::family::Family;
use super::flowtable::Flowtable;
use super::object::Object;
use super::rule::Rule;
use super::set::{Map, Set};
use crate::counter::Counter;

/// A listed table, whichever program created it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TableInfo {
    /// The family.
    pub family: Family,
    /// The name.
    pub name: String,
    /// The number (handle) of the table.
    pub number: u64,
    /// The netlink port of the socket that owns the table; `None` without an owner.
    pub owner: Option<u32>,
    /// The tag, if the table is a persistent table of netloom.
    pub tag: Option<String>,
    /// The comment.
    pub comment: Option<String>,
    /// True if the table is dormant: its chains see no packets.
    pub is_dormant: bool,
    /// The chains, in order of creation.
    pub chains: Vec<ChainInfo>,
    /// The named objects.
    pub objects: Vec<Object>,
    /// The flowtables.
    pub flowtables: Vec<Flowtable>,
    /// The named sets and maps.
    pub sets: Vec<SetInfo>,
}

/// A listed chain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ChainInfo {
    /// The builder of an equal chain, without rules.
    pub chain: Chain,
    /// The number (handle) of the chain.
    pub number: u64,
    /// The rules, first to last.
    pub rules: Vec<RuleInfo>,
}

/// A listed rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RuleInfo {
    /// The builder of an equal rule. Expressions that netloom does not know keep their bytes.
    pub rule: Rule,
    /// The number (handle) of the rule.
    pub number: u64,
    /// The counts of the rule's first counter; `None` without a counter.
    pub counter: Option<Counter>,
}

/// A listed set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SetInfo {
    /// The builder of an equal set or map, without elements.
    pub set: SetOrMap,
    /// The number (handle) of the set or map.
    pub number: u64,
    /// The elements.
    pub elements: Vec<Element>,
}

/// A set or a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetOrMap {
    /// A set of keys.
    Set(Set),
    /// A map from keys to data.
    Map(Map),
}

impl SetOrMap {
    /// Returns the name.
    pub fn name(&self) -> &str {
        match self {
            Self::Set(set) => set.name(),
            Self::Map(map) => map.name(),
        }
    }
}
