//! The list of persistent objects with any tag.

use std::fmt;

use crate::drop_scope::Deferred;
use crate::error::Error;
use crate::firewall::{FirewallHandle, firewalls_among};
use crate::nat::{NatRuleHandle, PortForwardHandle};
use crate::netns::Netns;
use crate::nft::{self, TableHandle};
use crate::owned::sealed::{Remove, Removed};

/// A persistent object that netloom created, as [`persistent`] lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Persistent {
    /// A firewall of [`Firewall::persistent`](crate::Firewall::persistent). Two tables of another
    /// program look the same if they share a name and a tag and have its families.
    Firewall(FirewallHandle),
    /// A table of [`nft::Table::persistent`](crate::nft::Table::persistent), with its content.
    Table(TableHandle),
    /// A rule of [`NatRule::persistent`](crate::NatRule::persistent).
    NatRule(NatRuleHandle),
    /// A port of [`PortForward::persistent`](crate::PortForward::persistent).
    PortForward(PortForwardHandle),
}

/// Calls the same method of the handle, for every variant.
macro_rules! each {
    ($persistent:expr, $handle:ident => $result:expr) => {
        match $persistent {
            Persistent::Firewall($handle) => $result,
            Persistent::Table($handle) => $result,
            Persistent::NatRule($handle) => $result,
            Persistent::PortForward($handle) => $result,
        }
    };
}

impl Persistent {
    /// Returns the tag.
    pub fn tag(&self) -> &str {
        // The list has only objects with a tag.
        each!(self, handle => handle.tag()).unwrap_or_default()
    }
}

impl fmt::Display for Persistent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Firewall(firewall) => write!(f, "firewall `{}`", firewall.table().name())?,
            Self::Table(table) => write!(f, "table {table}")?,
            Self::NatRule(rule) => rule.fmt(f)?,
            Self::PortForward(port) => write!(f, "published port {port}")?,
        }
        write!(f, " with the tag `{}`", self.tag())
    }
}

impl Remove for Persistent {
    fn remove(&self) -> Result<Removed, Error> {
        each!(self, handle => handle.remove())
    }

    fn defer(&self, deferred: &mut Deferred) -> bool {
        each!(self, handle => handle.defer(deferred))
    }
}

/// Lists the persistent objects in a namespace that any program created with netloom: firewalls,
/// tables, NAT rules and published ports, each with its tag.
///
/// Persistent objects outlive their program on purpose, so [`reap`](crate::reap) leaves them alone.
/// A program that knows which of its tags are in use finds the stale objects with this list. An
/// example are objects of containers that ended while the program was not running:
///
/// ```
/// use std::collections::HashSet;
/// use netloom::{Namespace, NatRule, Owned};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// for tag in ["net1/web", "net1/gone"] {
///     NatRule::masquerade().source("10.0.0.0/24").persistent(tag).create(&host)?.keep();
/// }
///
/// let known = HashSet::from(["net1/web"]);
/// for left in netloom::persistent(&host)? {
///     if !known.contains(left.tag()) {
///         Owned::adopt(left).delete()?;
///     }
/// }
/// assert_eq!(netloom::persistent(&host)?.len(), 1);
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Programs choose their tags, and should use a prefix of their own. The list has no objects that
/// [owners](crate::nft::Table) delete, and none of other programs. Nor does it have the tables in
/// which netloom stores persistent rules and ports: these are deleted with their last rule or port.
/// A [`Together`](crate::Together) deletes published ports in few transactions.
///
/// Replaces a search for comments in `nft list ruleset`. The cost: a list of the tables, of the
/// rules of one table, and of all persistent ports.
///
/// # Errors
///
/// - `is_permission_denied()` without `CAP_NET_ADMIN`, or, at the first use of `nf_tables` in a
///   namespace that the thread is not in, without `CAP_SYS_ADMIN`.
/// - `ErrorKind::Interrupted` if the objects changed during all attempts to read them, for 10
///   seconds.
pub fn persistent(netns: &Netns) -> Result<Vec<Persistent>, Error> {
    nft::read_at_one_generation(netns, ("list", &"persistent objects"), || {
        let (firewalls, tables) = firewalls_among(nft::persistent_tables(netns)?);
        let firewalls = firewalls.into_iter().map(Persistent::Firewall);
        let tables = tables.into_iter().map(Persistent::Table);
        let rules = netns.nat_rules()?.into_iter().map(|rule| Persistent::NatRule(rule.into()));
        let ports = netns.port_forwards()?.into_iter().map(Persistent::PortForward);
        Ok(firewalls.chain(tables).chain(rules).chain(ports).collect())
    })
}
