//! Tables with their content, as the kernel lists them.

use super::chain::Chain;
use super::element::Element;
use super::family::Family;
use super::flowtable::Flowtable;
use super::object::Object;
use super::rule::Rule;
use super::set::{Map, Set};
use crate::counter::Counter;

/// A listed table, of any program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TableInfo {
    /// The family.
    pub family: Family,
    /// The name.
    pub name: String,
    /// The handle number.
    pub number: u64,
    /// The netlink port of the socket that owns the table, if one does.
    pub owner: Option<u32>,
    /// The tag, if netloom made it as a persistent table.
    pub tag: Option<String>,
    /// The comment.
    pub comment: Option<String>,
    /// True if the chains see no packets.
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
    /// The builder that creates such a chain, without rules.
    pub chain: Chain,
    /// The handle number.
    pub number: u64,
    /// The rules, first to last.
    pub rules: Vec<RuleInfo>,
}

/// A listed rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RuleInfo {
    /// The builder that creates such a rule. Unknown expressions keep their bytes.
    pub rule: Rule,
    /// The handle number.
    pub number: u64,
    /// The counts of the first counter, if there is one.
    pub counter: Option<Counter>,
}

/// A listed set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SetInfo {
    /// The builder that creates such a set or map, without elements.
    pub set: SetOrMap,
    /// The handle number.
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
