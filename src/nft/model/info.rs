//! What is there, as values: tables with all that is in them.

use super::chain::Chain;
use super::element::Element;
use super::family::Family;
use super::flowtable::Flowtable;
use super::object::Object;
use super::rule::Rule;
use super::set::{Map, Set};
use crate::counter::Counter;

/// A table as it is, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableInfo {
    /// Its family.
    pub family: Family,
    /// Its name.
    pub name: String,
    /// The number the kernel gave it.
    pub number: u64,
    /// The netlink port of the socket it goes with, if it has an owner.
    pub owner: Option<u32>,
    /// The tag of a persistent table of netloom's.
    pub tag: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
    /// Whether its chains see no packets.
    pub is_dormant: bool,
    /// Its chains, in the order they were made.
    pub chains: Vec<ChainInfo>,
    /// Its counters, quotas and limits.
    pub objects: Vec<Object>,
    /// Its flowtables.
    pub flowtables: Vec<Flowtable>,
    /// Its sets, without those written into rules.
    pub sets: Vec<SetInfo>,
}

/// A chain as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChainInfo {
    /// It as it would be made, without its rules.
    pub chain: Chain,
    /// The number the kernel gave it.
    pub number: u64,
    /// Its rules, first to last.
    pub rules: Vec<RuleInfo>,
}

/// A rule as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleInfo {
    /// It as it would be made. What is not understood of it survives.
    pub rule: Rule,
    /// The number the kernel gave it.
    pub number: u64,
    /// What its first counter has counted, if it has one.
    pub counter: Option<Counter>,
}

/// A set or map as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetInfo {
    /// It as it would be made, without its elements.
    pub set: SetOrMap,
    /// The number the kernel gave it.
    pub number: u64,
    /// What is in it.
    pub elements: Vec<Element>,
}

/// A set or a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetOrMap {
    /// Keys alone.
    Set(Set),
    /// Keys that stand for something.
    Map(Map),
}
