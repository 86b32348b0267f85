//! The builder of rules. What they look for is in `matches.rs`, what they do in `statement.rs`.

use std::fmt;

use super::context::Context;
use super::decode::without_dependencies;
use super::element::join;
use super::family::Family;
use super::name;
use super::part::Part;
use crate::error::Error;
use crate::input::FirstRejected;
pub use crate::wire::nft::expr::ct::{CtState, CtStatus};

/// A rule to be: what it looks for, then what it does, in the order of the calls.
///
/// Replaces `nft add rule FAMILY TABLE CHAIN …`. It is put into a chain with [`create`](Self::create), with
/// [`Chain::rule`](crate::nft::Chain::rule), or in a [`Transaction`](crate::nft::Transaction).
///
/// ```
/// use netloom::nft::{Chain, CtState, Family, Hook, Policy, Priority, Rule, Table};
/// use netloom::Namespace;
/// # netloom::sandbox::enter()?;
///
/// let netns = Namespace::anonymous().create()?;
/// let table = Table::new(Family::Inet, "filter").create(&netns)?;
/// let input = Chain::new("in").hook(Hook::Input, Priority::FILTER).create(&table)?;
/// let web = Rule::new()
///     .iifname("eth0")
///     .source("10.0.0.0/24")
///     .tcp()
///     .dport(80)
///     .ct_state(CtState::NEW | CtState::ESTABLISHED)
///     .counter()
///     .accept()
///     .create(&input)?;
/// assert_eq!(web.counter()?.packets, 0);
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Matches that follow from others are written by themselves: the family before an address in a table of
/// several families, the protocol before an ICMP type. In the words of `nft` a rule is what
/// [`to_string`](ToString::to_string) says. Source: nft(8).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "a builder does nothing until `create`"]
pub struct Rule {
    pub(crate) parts: Vec<Part>,
    pub(crate) comment: Option<String>,
    pub(crate) negated: bool,
    pub(crate) rejected: FirstRejected,
}

pub(crate) const ACTION: &str = "add rule";

impl Rule {
    /// A rule that looks for nothing and does nothing yet.
    #[doc(alias = "nft add rule")]
    pub fn new() -> Self {
        Self::default()
    }

    /// A comment, 127 bytes at most.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        let comment = comment.into();
        if let Err(reason) = name::check_comment(&comment) {
            self.rejected.reject("comment", &comment, reason);
        }
        self.comment = Some(comment);
        self
    }

    /// Adds a part. A family or protocol named right before what it follows from anyway is left out, as
    /// it will be when the rule is read back.
    pub(crate) fn push(&mut self, part: Part) {
        self.parts.push(part);
        self.parts = without_dependencies(Family::Inet, &self.parts);
    }

    /// Refuses what can be known wrong in a table of this family.
    pub(crate) fn check(&self, family: Family) -> Result<(), Error> {
        self.rejected.check(ACTION, self)?;
        if self.negated {
            return Err(Error::invalid(ACTION, self, "not(): no match comes after it"));
        }
        if self.parts.is_empty() {
            return Err(Error::invalid(ACTION, self, "it neither looks for nor does anything"));
        }
        let mut context = Context::new(family);
        for (at, part) in self.parts.iter().enumerate() {
            context.check(part).map_err(|reason| Error::invalid(ACTION, self, reason))?;
            if part.is_terminal() && at + 1 < self.parts.len() {
                let reason = format!("nothing of it can come after `{part}`");
                return Err(Error::invalid(ACTION, self, reason));
            }
            for dependency in context.missing(part) {
                context.learn(&dependency);
            }
            context.learn(part);
        }
        Ok(())
    }

    /// Whether it needs nothing of its table but the chain it is in.
    pub(crate) fn names_nothing(&self) -> bool {
        self.parts.iter().all(|part| part.names().is_none())
    }
}

/// In the words of `nft`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, &self.parts, " ")?;
        match &self.comment {
            Some(comment) if self.parts.is_empty() => write!(f, "comment \"{comment}\""),
            Some(comment) => write!(f, " comment \"{comment}\""),
            None => Ok(()),
        }
    }
}
