//! The builder of rules. The files of the matches and statements define its setters.

use std::any::Any;
use std::fmt;
use std::net::IpAddr;

use super::constant::Constant;
use super::context::Context;
use super::device::Device;
use super::element::Element;
use super::encoder::{Encoded, Encoder};
use super::family::Family;
use super::field::Field;
use super::interval::DataKind;
use super::name;
use super::set_ref::{MapLookup, SetRef, shape_of};
use super::statement::{self, Statement};
use crate::error::Error;
use crate::input::{FirstRejected, link_name_to_look_up};
use crate::link::LinkRef;
pub use crate::wire::nft::expr::ct::{CtState, CtStatus};

/// A rule: matches, then statements, in the order of the calls.
///
/// Replaces `nft add rule FAMILY TABLE CHAIN …`. [`create`](Self::create),
/// [`Chain::rule`](crate::nft::Chain::rule) and a [`Transaction`](crate::nft::Transaction) add it
/// to a chain.
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
/// netloom adds the matches that others need: the family before an address in a table of several
/// families, the protocol before an ICMP type. [`to_string`](ToString::to_string) returns the rule
/// as `nft` writes it in a table of the family `inet`. Source: nft(8).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "a builder does nothing until `create`"]
pub struct Rule {
    pub(crate) statements: Vec<Box<dyn Statement>>,
    pub(crate) comment: Option<String>,
    pub(crate) negated: bool,
    pub(crate) rejected: FirstRejected,
}

pub(crate) const ACTION: &str = "add rule";
const NO_KEY: &str = "the key has no fields";

impl Rule {
    /// Returns an empty rule, which matches every packet.
    #[doc(alias = "nft add rule")]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a comment of at most 127 bytes.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        let comment = comment.into();
        if let Err(reason) = name::check_comment(&comment) {
            self.rejected.reject("comment", &comment, reason);
        }
        self.comment = Some(comment);
        self
    }

    /// Appends a match. Removes the matches right before it that it implies.
    pub(crate) fn push(mut self, statement: impl Statement) -> Self {
        statement::push(Family::Inet, &mut self.statements, Box::new(statement));
        self
    }

    /// Appends a statement. Rejects it after `not()`.
    pub(crate) fn with(mut self, statement: impl Statement) -> Self {
        if std::mem::take(&mut self.negated) {
            self.rejected.reject(
                "not",
                &statement as &dyn Statement,
                "only a match can be negated",
            );
        }
        self.push(statement)
    }

    /// Returns the last statement, if its type is `T`.
    pub(crate) fn last_mut<T: Statement>(&mut self) -> Option<&mut T> {
        let last: &mut dyn Any = &mut **self.statements.last_mut()?;
        last.downcast_mut()
    }

    /// Rejects a name that no object of a table can have.
    pub(crate) fn check_name(&mut self, setter: &'static str, name: &str) {
        if let Err(reason) = name::check(name) {
            self.rejected.reject(setter, name, reason);
        }
    }

    /// Returns a reference to a link that must exist when the rule is created.
    pub(crate) fn device(&mut self, setter: &'static str, link: LinkRef) -> Device {
        if let Err(reason) = link_name_to_look_up(link.name()) {
            self.rejected.reject(setter, link.name(), reason);
        }
        Device::Link(link)
    }

    /// Returns the address, or rejects a value that is not an address.
    pub(crate) fn address_of(&mut self, setter: &'static str, value: &Constant) -> Option<IpAddr> {
        if let Constant::Address(address) = value {
            return Some(*address);
        }
        self.rejected.reject(setter, value, "not a valid address");
        None
    }

    /// Returns a look-up of these fields in a named set or map of the table.
    pub(crate) fn named(
        &mut self,
        setter: &'static str,
        fields: impl IntoIterator<Item = Field>,
        name: &str,
    ) -> MapLookup {
        let key: Vec<_> = fields.into_iter().collect();
        if let Err(reason) = name::check(name) {
            self.rejected.reject(setter, name, reason);
        } else if key.is_empty() {
            self.rejected.reject(setter, name, NO_KEY);
        }
        MapLookup { key, map: SetRef::Named(name.to_owned()) }
    }

    /// Returns a look-up of these fields in an anonymous set or map. Rejects elements that don't
    /// fit the key or the data.
    pub(crate) fn anonymous(
        &mut self,
        setter: &'static str,
        fields: impl IntoIterator<Item = Field>,
        elements: Vec<Element>,
        data: impl FnOnce(&[Element]) -> Result<Option<DataKind>, String>,
    ) -> MapLookup {
        let key: Vec<_> = fields.into_iter().collect();
        let map = SetRef::anonymous(elements);
        if let SetRef::Anonymous { elements, interval } = &map {
            let fits = || {
                let shape = shape_of(&key, data(elements)?, *interval);
                shape.encode_anonymous(elements).map(drop)
            };
            let shown = || elements.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            if key.is_empty() {
                self.rejected.reject(setter, "", NO_KEY);
            } else if elements.is_empty() {
                self.rejected.reject(setter, "", "the list of elements is empty");
            } else if let Err(reason) = fits() {
                self.rejected.reject(setter, shown(), reason);
            }
        }
        MapLookup { key, map }
    }

    /// Refuses a rule that is invalid in a table of this family.
    pub(crate) fn check(&self, family: Family) -> Result<(), Error> {
        let refused = |reason| Error::invalid(ACTION, self, reason);
        self.rejected.check(ACTION, self)?;
        if self.negated {
            return Err(refused("not(): no match comes after it".into()));
        }
        if self.statements.is_empty() {
            return Err(refused("the rule has no match and no statement".into()));
        }
        let mut context = Context::new(family);
        let mut end: Option<&dyn Statement> = None;
        for one in &self.statements {
            if let Some(end) = end {
                return Err(refused(format!("nothing can come after `{end}`")));
            }
            statement::check(context, &**one).map_err(refused)?;
            statement::learn(&mut context, &**one);
            end = Some(&**one).filter(|one| one.is_terminal());
        }
        Ok(())
    }
}

/// Encodes the statements of a rule for a table. `next_set` is the transaction's counter of sets.
pub(crate) fn encode(
    statements: &[Box<dyn Statement>],
    family: Family,
    table: &str,
    next_set: &mut u32,
) -> Result<Encoded, String> {
    let mut encoder = Encoder::new(family, table, next_set);
    for one in statements {
        for fact in statement::missing(encoder.context, &**one) {
            encoder.establish(fact);
        }
        one.encode(&mut encoder)?;
        one.establishes().into_iter().for_each(|fact| encoder.context.learn(fact));
    }
    Ok(encoder.encoded)
}

/// Formats the rule as `nft` does in a table of the family `inet`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut context = Context::new(Family::Inet);
        for (at, statement) in self.statements.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { " " })?;
            statement.fmt_in(context, f)?;
            statement::learn(&mut context, &**statement);
        }
        match &self.comment {
            Some(comment) if self.statements.is_empty() => write!(f, "comment \"{comment}\""),
            Some(comment) => write!(f, " comment \"{comment}\""),
            None => Ok(()),
        }
    }
}
