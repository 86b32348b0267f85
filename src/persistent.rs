//! What outlives the programs that made it, listed whatever its tag.

use std::fmt;

use crate::drop_scope::Deferred;
use crate::error::Error;
use crate::firewall::{FirewallHandle, firewalls_among};
use crate::nat::{self, NatHandle, PortForwardHandle};
use crate::netns::Netns;
use crate::nft::{self, TableHandle};
use crate::owned::sealed::{Remove, Removed};

/// Something persistent of netloom's that exists. From [`persistent`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Persistent {
    /// Made by a [`Firewall::persistent`](crate::Firewall::persistent). Two tables that somebody made of its families,
    /// with one name and one tag, are taken for it.
    Firewall(FirewallHandle),
    /// Made by an [`nft::Table::persistent`](crate::nft::Table::persistent), with all that is in it.
    Table(TableHandle),
    /// Made by a [`NatRule::tagged`](crate::NatRule::tagged).
    NatRule(NatHandle),
    /// Made by a [`PortForward::tagged`](crate::PortForward::tagged).
    PortForward(PortForwardHandle),
}

impl Persistent {
    /// The tag it was made with.
    pub fn tag(&self) -> &str {
        let tag = match self {
            Self::Firewall(firewall) => firewall.tag(),
            Self::Table(table) => table.tag(),
            Self::NatRule(rule) => rule.tag(),
            Self::PortForward(port) => port.tag(),
        };
        // Each has one: that is what it was listed by.
        tag.unwrap_or_default()
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
        match self {
            Self::Firewall(firewall) => firewall.remove(),
            Self::Table(table) => table.remove(),
            Self::NatRule(rule) => rule.remove(),
            Self::PortForward(port) => port.remove(),
        }
    }

    fn defer(&self, deferred: &mut Deferred) -> bool {
        match self {
            Self::Firewall(firewall) => firewall.defer(deferred),
            Self::Table(table) => table.defer(deferred),
            Self::NatRule(rule) => rule.defer(deferred),
            Self::PortForward(port) => port.defer(deferred),
        }
    }
}

/// Lists all that is persistent in a namespace and was made with netloom, by whichever program: firewalls, tables,
/// NAT rules and published ports, each with its tag.
///
/// What is persistent outlives its maker on purpose, so [`reap`](crate::reap) leaves it alone. A program that knows
/// which tags it has use for finds the others with this, such as those of containers that went while it did not run:
///
/// ```
/// use std::collections::HashSet;
/// use netloom::{Namespace, NatRule, Owned};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// for tag in ["net1/web", "net1/gone"] {
///     NatRule::masquerade().source("10.0.0.0/24").tagged(tag).create(&host)?.keep();
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
/// Tags are not netloom's to give: two programs keep theirs apart by what they begin with. What is
/// [held](crate::nft::Table) and what other programs made without netloom is never listed, nor are the tables in which
/// netloom keeps persistent rules and ports: they go with the last of these. A [`Together`](crate::Together) deletes
/// published ports together.
///
/// Replaces a search through `nft list ruleset` for comments. It costs one list of the tables, of the rules of
/// one, and of all persistent ports.
///
/// # Errors
///
/// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`, and at the first use of `nf_tables` in
/// a namespace that the thread is not in, without `CAP_SYS_ADMIN`. The list is of one moment: what changes while it
/// is read is read again, for 10 seconds at most.
pub fn persistent(netns: &Netns) -> Result<Vec<Persistent>, Error> {
    nft::read_at_one_generation(netns, ("list", &"all that is persistent"), || {
        let (firewalls, tables) = firewalls_among(nft::persistent_tables(netns)?);
        let firewalls = firewalls.into_iter().map(Persistent::Firewall);
        let tables = tables.into_iter().map(Persistent::Table);
        let rules = nat::all_rules(netns)?.into_iter().map(Persistent::NatRule);
        let ports = netns
            .port_forwards()?
            .into_iter()
            .map(|port| Persistent::PortForward(port.handle().clone()));
        Ok(firewalls.chain(tables).chain(rules).chain(ports).collect())
    })
}
