//! The objects that a watcher reports.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::conntrack::ConntrackFilter;

/// The objects that match. A filter without any condition matches all objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// The indexes of links.
    pub(super) links: BTreeSet<u32>,
    /// The tables of routes and rules.
    pub(super) tables: BTreeSet<u32>,
    pub(super) family: Option<Family>,
    pub(super) connections: ConntrackFilter,
}

/// The family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Ipv4,
    Ipv6,
}

impl Filter {
    pub(super) fn has_link(&self, link: u32) -> bool {
        self.links.is_empty() || self.links.contains(&link)
    }

    /// Reports whether one of the links matches.
    pub(super) fn has_any_link(&self, mut links: impl Iterator<Item = u32>) -> bool {
        self.links.is_empty() || links.any(|link| self.links.contains(&link))
    }

    pub(super) fn has_table(&self, table: u32) -> bool {
        self.tables.is_empty() || self.tables.contains(&table)
    }

    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        let family = if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        self.has_family(family)
    }

    pub(super) fn has_family(&self, family: Family) -> bool {
        self.family.is_none_or(|wanted| wanted == family)
    }
}
