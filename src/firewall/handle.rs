//! Firewalls that exist.

use crate::error::Error;
use crate::input::link_name;
use crate::link::LinkRef;
use crate::nft::{self, Datum, Element, Family, Span, TableHandle, Transaction};
use crate::obstacle::{self, Obstacle};
use crate::owned::sealed::{Remove, Removed};

pub(super) const NETWORKS: &str = "networks";
pub(super) const PATHS: &str = "paths";
pub(super) const PORTS: &str = "ports";

const ACTION: &str = "change networks of firewall";
/// How often a change is decided again that others are faster than.
const ATTEMPTS: u32 = 64;

/// A firewall that exists: its two tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirewallHandle {
    pub(super) routed: TableHandle,
    pub(super) bridged: TableHandle,
}

impl FirewallHandle {
    /// The table of what is routed.
    pub fn table(&self) -> &TableHandle {
        &self.routed
    }

    /// Returns the tag of a persistent firewall.
    pub fn tag(&self) -> Option<&str> {
        self.routed.tag()
    }

    /// The table of frames that come in on guarded ports.
    pub fn bridge_table(&self) -> &TableHandle {
        &self.bridged
    }

    /// A network more; as [`Firewall::network`](crate::Firewall::network). No rule is touched.
    ///
    /// # Errors
    ///
    /// A name that no link can have is refused; [`is_not_found`](Error::is_not_found) where the firewall
    /// is gone.
    pub fn add_network(&self, link: impl Into<LinkRef>) -> Result<(), Error> {
        let name = self.network(&link.into())?;
        let (networks, paths) = (self.routed.set(NETWORKS)?, self.routed.set(PATHS)?);
        let mut transaction = Transaction::new(self.routed.namespace());
        transaction.add_elements(&networks, [name.clone()]);
        transaction.add_elements(&paths, [(name.clone(), name)]);
        Ok(transaction.commit()?)
    }

    /// A network less, and with it what it was connected with. Connections that are there go on.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where the firewall does not know it.
    pub fn remove_network(&self, link: impl Into<LinkRef>) -> Result<(), Error> {
        let name = self.network(&link.into())?;
        let (networks, paths) = (self.routed.set(NETWORKS)?, self.routed.set(PATHS)?);
        let netns = self.routed.namespace();
        let mut attempts = ATTEMPTS;
        loop {
            let generation = netns.nft_generation()?;
            let of_it = |path: &Element| path.key().contains(&name);
            let gone: Vec<_> = paths.elements()?.into_iter().filter(of_it).collect();
            let mut transaction = Transaction::new(netns);
            transaction.if_unchanged_since(generation);
            transaction.delete_elements(&networks, [name.clone()]);
            transaction.delete_elements(&paths, gone);
            attempts -= 1;
            match transaction.commit() {
                Err(error) if error.is_stale() && attempts > 0 => {}
                result => return Ok(result?),
            }
        }
    }

    /// Lets two networks reach one another, as [`Firewall::connect`](crate::Firewall::connect).
    ///
    /// # Errors
    ///
    /// As [`add_network`](Self::add_network).
    pub fn connect(&self, one: impl Into<LinkRef>, other: impl Into<LinkRef>) -> Result<(), Error> {
        let pairs = self.both_ways(&one.into(), &other.into())?;
        self.routed.set(PATHS)?.add(pairs)
    }

    /// Keeps two networks apart again. Connections that are there go on.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where they are not connected.
    pub fn disconnect(
        &self,
        one: impl Into<LinkRef>,
        other: impl Into<LinkRef>,
    ) -> Result<(), Error> {
        let pairs = self.both_ways(&one.into(), &other.into())?;
        self.routed.set(PATHS)?.remove(pairs)
    }

    /// Lists the obstacles, like [`Firewall::obstacles`](crate::Firewall::obstacles). Persistent
    /// tables with this firewall's tag are no obstacles.
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn obstacles(&self) -> Result<Vec<Obstacle>, Error> {
        let netns = self.routed.namespace();
        let mut makers = nft::makers(netns)?;
        let own = makers.remove(&(self.routed.family(), self.routed.name().to_owned()));
        obstacle::find(netns, own.and_then(|own| own.tag).as_deref())
    }

    fn both_ways(&self, one: &LinkRef, other: &LinkRef) -> Result<[(Span, Span); 2], Error> {
        if one.name() == other.name() {
            return Err(Error::invalid(ACTION, &self.routed, format!("{one}: it is one network")));
        }
        let (one, other) = (self.network(one)?, self.network(other)?);
        Ok([(one.clone(), other.clone()), (other, one)])
    }

    fn network(&self, link: &LinkRef) -> Result<Span, Error> {
        link_name(link.name())
            .map_err(|reason| Error::invalid(ACTION, &self.routed, format!("{link}: {reason}")))?;
        link.check_home(self.routed.namespace(), ACTION, &self.routed)?;
        Ok(Span::One(Datum::Name(link.name().to_owned())))
    }
}

/// The firewalls that these persistent tables are, and the tables that are none's.
pub(crate) fn firewalls_among(tables: Vec<TableHandle>) -> (Vec<FirewallHandle>, Vec<TableHandle>) {
    let (routed, mut others): (Vec<_>, Vec<_>) =
        tables.into_iter().partition(|table| table.family() == Family::Inet);
    let mut firewalls = Vec::new();
    for routed in routed {
        let is_its = |table: &TableHandle| {
            table.family() == Family::Bridge
                && (table.name(), table.tag()) == (routed.name(), routed.tag())
        };
        match others.iter().position(is_its) {
            Some(at) => {
                let bridged = others.remove(at);
                firewalls.push(FirewallHandle { routed, bridged });
            }
            None => others.push(routed),
        }
    }
    (firewalls, others)
}

/// Both tables, in one transaction.
impl Remove for FirewallHandle {
    fn remove(&self) -> Result<Removed, Error> {
        let mut transaction = Transaction::new(self.routed.namespace());
        transaction.delete_table(&self.routed);
        transaction.delete_table(&self.bridged);
        Removed::unless_missing(transaction.commit().map_err(Error::from))
    }
}
