//! The packet filter: one table for all networks. Each container is an element of sets and maps,
//! never a rule, so the cost per packet does not grow with the number of containers. An element's
//! comment names its attachment.

mod masquerade;
mod policy;
mod repair;
mod rules;

use std::net::IpAddr;

use ipnet::IpNet;
use netloom::nft::{ChainHandle, Element, SetHandle, TableHandle, Transaction};
use netloom::{LinkIndex, Netns, Owned};

use crate::attachment::Attachment;
use crate::bridge::keep_all;
use crate::config::{Config, IngressPolicy, Isolation};
use crate::failure::{Code, Failure};
use crate::host::Host;

use masquerade::entries;
use policy::ChangedPolicy;
use rules::{Rules, base_chains, chains, table};

const TABLE: &str = "netloom-cni";

/// The maximal number of attempts for a change, while other programs change the ruleset.
const ATTEMPTS: u32 = 64;

/// A network: its configuration, the host's link to it, and whether it accepts only replies and
/// published ports from outside.
pub(crate) type Network<'a> = (&'a Config, Option<LinkIndex>, bool);

/// The plugin's table. It persists after the plugin ends.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    table: TableHandle,
}

/// An element of a set or map, for a container or a network.
#[derive(Debug, Clone)]
struct Entry {
    set: &'static str,
    element: Element,
}

/// The elements added for an attachment, deleted on drop unless kept.
#[derive(Debug)]
pub(crate) struct Filtered {
    filter: Filter,
    tag: String,
    addresses: Vec<IpAddr>,
    is_kept: bool,
    /// The chains that the elements jump to, so they are dropped after the elements.
    chains: Vec<Owned<ChainHandle>>,
    policy: ChangedPolicy,
    /// The table, if this ADD created it. Dropped last.
    made: Option<Owned<TableHandle>>,
}

impl Filtered {
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
        keep_all(self.chains.drain(..));
        self.policy.keep();
        if let Some(made) = self.made.take() {
            made.keep();
        }
    }
}

impl Drop for Filtered {
    fn drop(&mut self) {
        if !self.is_kept && self.made.is_none() {
            // The caller reports the failure that led here. A failure to delete is ignored.
            self.filter.remove(&self.tag, &self.addresses).ok();
        }
    }
}

impl Filter {
    pub(crate) fn find(netns: &Netns) -> Result<Option<Self>, Failure> {
        let tables = netns.nft_tables_with_tag(TABLE)?;
        let table = tables.into_iter().find(|table| table.name() == TABLE);
        Ok(table.map(|table| Self { table }))
    }

    /// Returns whether a configuration needs the packet filter.
    pub(crate) fn is_needed(config: &Config) -> bool {
        config.masquerade
            || config.masquerade_all
            || config.ingress != IngressPolicy::Open
            || config.isolation == Isolation::Rules
    }

    /// Adds an attachment's addresses to the sets and maps that its configuration requires.
    pub(crate) fn enter(
        host: &mut Host,
        attachment: &Attachment,
        network: Network<'_>,
        addresses: &[IpNet],
    ) -> Result<Filtered, Failure> {
        let mut made = None;
        let mut found = Self::find(&host.netns)?;
        if found.is_none() && host.alone()? {
            found = Self::find(&host.netns)?;
        }
        let filter = match found {
            Some(filter) => {
                filter.repair(host)?;
                filter
            }
            None => Self { table: (**made.insert(table().create(&host.netns)?)).clone() },
        };
        let tag = attachment.tag();
        let plain = addresses.iter().map(IpNet::addr).collect();
        // From here on, dropping `filtered` after a failure deletes everything that was added.
        let mut filtered = Filtered {
            filter,
            tag: tag.clone(),
            addresses: plain,
            is_kept: false,
            chains: Vec::new(),
            policy: ChangedPolicy::default(),
            made,
        };
        for chain in chains(network.0, addresses) {
            let made = filtered.filter.ensure_chain(host, &chain)?;
            filtered.chains.extend(made);
        }
        filtered.filter.ensure_policy(host, network, &mut filtered.policy)?;
        filtered.filter.put(&entries(network.0, addresses, &tag), &tag)?;
        Ok(filtered)
    }

    /// Creates the chain of a network if it is missing. The chain persists, as the bridge does.
    /// Returns the owners of everything created.
    fn ensure_chain(
        &self,
        host: &mut Host,
        wanted: &Rules,
    ) -> Result<Option<Owned<ChainHandle>>, Failure> {
        if self.has_chain(wanted.chain.name())? {
            return Ok(None);
        }
        host.alone()?;
        if self.has_chain(wanted.chain.name())? {
            return Ok(None);
        }
        Ok(Some(wanted.whole().create(&self.table)?))
    }

    /// Finds a set or map of the table, unless another program deleted it.
    fn find_set(&self, name: &str) -> Result<Option<SetHandle>, Failure> {
        match self.table.set(name) {
            Err(error) if error.is_not_found() => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    fn has_chain(&self, name: &str) -> Result<bool, Failure> {
        match self.table.chain(name) {
            Err(error) if error.is_not_found() => Ok(false),
            found => Ok(found.map(|_| true)?),
        }
    }

    /// Checks the packet filter objects of an attachment. The failure names the first missing one.
    pub(crate) fn check(
        &self,
        attachment: &Attachment,
        network: Network<'_>,
        addresses: &[IpNet],
    ) -> Result<(), Failure> {
        let missing = |what: String| Err(Failure::new(Code::Missing, what));
        let there = self.table.read_terse()?;
        if there.is_dormant {
            return missing(format!("the table `{TABLE}` of the packet filter is dormant"));
        }
        repair::check_sets(&there)?;
        for wanted in base_chains().into_iter().chain(chains(network.0, addresses)) {
            wanted.check(&there.chains)?;
        }
        self.check_policy(network)?;
        self.check_entries(&entries(network.0, addresses, &attachment.tag()))
    }

    /// Prepares a change at the current generation and commits it. Starts over if another program
    /// changed the ruleset meanwhile.
    fn change(
        &self,
        decide: impl Fn(&mut Transaction) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let netns = self.table.namespace();
        for _ in 0..ATTEMPTS {
            let generation = netns.nft_generation()?;
            let mut transaction = Transaction::new(netns);
            transaction.if_unchanged_since(generation);
            decide(&mut transaction)?;
            match transaction.commit() {
                Err(failure) if failure.is_stale() => {}
                done => return done.map_err(|failure| netloom::Error::from(failure).into()),
            }
        }
        let problem = format!("the packet filter changed {ATTEMPTS} times while it was read");
        Err(Failure::new(Code::TryAgain, problem))
    }
}
