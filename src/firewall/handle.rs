//! Handles of existing firewalls.

use nix::errno::Errno;

use super::member::{Member, PATHS, WAYS, paths};
use crate::error::{Cause, Error};
use crate::input::link_name_in_rules;
use crate::link::LinkRef;
use crate::nft::{
    self, Element, Family, Interval, SetHandle, SetInfo, SetOrMap, TableHandle, Transaction,
};
use crate::obstacle::{self, Obstacle};
use crate::owned::sealed::{Remove, Removed};

const ACTION: &str = "change networks of firewall";
/// The maximum number of attempts at a change, if other programs change the ruleset meanwhile.
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
        let Member { way, key } = self.network(&link.into())?;
        let networks = self.routed.set(WAYS[way].networks)?;
        let paths = self.routed.set(PATHS[way][way])?;
        let mut transaction = Transaction::new(self.routed.namespace());
        transaction.add_elements(&networks, [key.clone()]);
        transaction.add_elements(&paths, [(key.clone(), key)]);
        Ok(transaction.commit()?)
    }

    /// Removes a network and its permissions to reach other networks. Established connections
    /// continue.
    ///
    /// # Errors
    ///
    /// `is_not_found()` if the network is not in the firewall.
    pub fn remove_network(&self, link: impl Into<LinkRef>) -> Result<(), Error> {
        let link = self.candidates(&link.into())?;
        self.remove(&link, |from, to| link.contains(from) || link.contains(to))
    }

    /// Deletes networks, and the pairs of connected networks that `is_gone` selects. Retries if the
    /// ruleset changes between the look-up and the deletion.
    fn remove(
        &self,
        networks: &[Member],
        is_gone: impl Fn(&Member, &Member) -> bool,
    ) -> Result<(), Error> {
        let netns = self.routed.namespace();
        let mut attempts = ATTEMPTS;
        loop {
            let generation = netns.nft_generation()?;
            let gone = self.elements_to_remove(networks, &is_gone)?;
            if gone.is_empty() {
                let cause = Cause::from(Errno::ENOENT);
                return Err(cause.doing(ACTION, &self.routed).in_namespace(netns));
            }
            let mut transaction = Transaction::new(netns);
            transaction.if_unchanged_since(generation);
            for (set, elements) in gone {
                transaction.delete_elements(&set, elements);
            }
            attempts -= 1;
            match transaction.commit() {
                Err(error) if error.is_stale() && attempts > 0 => {}
                result => return Ok(result?),
            }
        }
    }

    fn elements_to_remove(
        &self,
        networks: &[Member],
        is_gone: impl Fn(&Member, &Member) -> bool,
    ) -> Result<Vec<(SetHandle, Vec<Element>)>, Error> {
        let member = |way, key: Option<&Interval>| Some(Member { way, key: key?.clone() });
        let mut found = Vec::new();
        for SetInfo { set, mut elements, .. } in self.routed.read()?.sets {
            let SetOrMap::Set(set) = set else { continue };
            if let Some(way) = WAYS.iter().position(|way| way.networks == set.name()) {
                elements.retain(|one| {
                    member(way, one.key().first()).is_some_and(|one| networks.contains(&one))
                });
            } else if let Some((from, to, _)) = paths().find(|path| path.2 == set.name()) {
                elements.retain(|path| {
                    let ends = member(from, path.key().first()).zip(member(to, path.key().get(1)));
                    ends.is_some_and(|(from, to)| is_gone(&from, &to))
                });
            } else {
                continue;
            }
            if !elements.is_empty() {
                found.push((self.routed.set(set.name())?, elements));
            }
        }
        Ok(found)
    }

    /// Allows traffic between two networks, like [`Firewall::connect`](crate::Firewall::connect).
    ///
    /// # Errors
    ///
    /// The errors of [`add_network`](Self::add_network).
    pub fn connect(&self, one: impl Into<LinkRef>, other: impl Into<LinkRef>) -> Result<(), Error> {
        let (one, other) = (one.into(), other.into());
        // Checked before the look-up of `one`, the first system call.
        self.check(&other)?;
        let (from, to) = (self.network(&one)?, self.network(&other)?);
        if from == to {
            return Err(Error::invalid(
                ACTION,
                &self.routed,
                format!("{one} and {other} are the same network"),
            ));
        }
        let mut transaction = Transaction::new(self.routed.namespace());
        for (from, to) in [(&from, &to), (&to, &from)] {
            let paths = self.routed.set(PATHS[from.way][to.way])?;
            transaction.add_elements(&paths, [(from.key.clone(), to.key.clone())]);
        }
        Ok(transaction.commit()?)
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
        let (one, other) = (one.into(), other.into());
        self.check(&other)?;
        let (one, other) = (self.candidates(&one)?, self.candidates(&other)?);
        self.remove(&[], |from, to| {
            from != to
                && (one.contains(from) && other.contains(to)
                    || other.contains(from) && one.contains(to))
        })
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

    fn network(&self, link: &LinkRef) -> Result<Member, Error> {
        self.check(link)?;
        Member::check(self.routed.namespace(), link, ACTION, &self.routed)?;
        Ok(Member::of(link))
    }

    fn candidates(&self, link: &LinkRef) -> Result<Vec<Member>, Error> {
        self.check(link)?;
        Member::candidates(self.routed.namespace(), link)
            .map_err(|error| error.while_doing(ACTION, &self.routed))
    }

    fn check(&self, link: &LinkRef) -> Result<(), Error> {
        link_name_in_rules(link.name())
            .map_err(|reason| Error::invalid(ACTION, &self.routed, format!("{link}: {reason}")))?;
        link.check_home(self.routed.namespace(), ACTION, &self.routed)
    }
}

/// Splits persistent tables into firewalls, and tables that belong to no firewall.
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

/// Deletes both tables in one transaction. If another program deleted one of the tables, deletes
/// each on its own.
impl Remove for FirewallHandle {
    fn remove(&self) -> Result<Removed, Error> {
        let mut transaction = Transaction::new(self.routed.namespace());
        transaction.delete_table(&self.routed);
        transaction.delete_table(&self.bridged);
        match transaction.commit().map_err(Error::from) {
            Err(error) if error.is_not_found() => {
                let (bridged, routed) = (self.bridged.remove(), self.routed.remove());
                Ok(match (bridged?, routed?) {
                    (Removed::Gone, Removed::Gone) => Removed::Gone,
                    _ => Removed::Deleted,
                })
            }
            done => done.map(|()| Removed::Deleted),
        }
    }
}
