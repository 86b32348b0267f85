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
/// The limit of attempts for a change, if other programs change the ruleset meanwhile.
const ATTEMPTS: u32 = 64;

/// A handle of a firewall: its two tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirewallHandle {
    pub(super) routed: TableHandle,
    pub(super) bridged: TableHandle,
}

impl FirewallHandle {
    /// Returns the table that filters routed packets.
    pub fn table(&self) -> &TableHandle {
        &self.routed
    }

    /// Returns the tag of a persistent firewall.
    pub fn tag(&self) -> Option<&str> {
        self.routed.tag()
    }

    /// Returns the table that filters frames on guarded ports.
    pub fn bridge_table(&self) -> &TableHandle {
        &self.bridged
    }

    /// Adds a network, like [`Firewall::network`](crate::Firewall::network). Changes sets, not
    /// rules.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` if no link can have the name
    /// - `is_not_found()` if the firewall is gone
    pub fn add_network(&self, link: impl Into<LinkRef>) -> Result<(), Error> {
        let name = self.network(&link.into())?;
        let (networks, paths) = (self.routed.set(NETWORKS)?, self.routed.set(PATHS)?);
        let mut transaction = Transaction::new(self.routed.namespace());
        transaction.add_elements(&networks, [name.clone()]);
        transaction.add_elements(&paths, [(name.clone(), name)]);
        Ok(transaction.commit()?)
    }

    /// Removes a network and its connections to other networks. Established connections continue.
    ///
    /// # Errors
    ///
    /// `is_not_found()` if the network is not in the firewall.
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

    /// Allows traffic between two networks, like [`Firewall::connect`](crate::Firewall::connect).
    ///
    /// # Errors
    ///
    /// The errors of [`add_network`](Self::add_network).
    pub fn connect(&self, one: impl Into<LinkRef>, other: impl Into<LinkRef>) -> Result<(), Error> {
        let pairs = self.both_ways(&one.into(), &other.into())?;
        self.routed.set(PATHS)?.add(pairs)
    }

    /// Separates two networks again. Established connections continue.
    ///
    /// # Errors
    ///
    /// `is_not_found()` if the networks are not connected.
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
