//! Deletes the conntrack entries of UDP connections that a mapping makes stale. Clients never end
//! such a connection, and only its first packet looks for a mapping.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use nix::errno::Errno;

use super::mapping::Mapping;
use super::route::is_local;
use super::state::look;
use crate::conntrack::{Candidate, ConntrackEntry, ConntrackFilter};
use crate::error::Error;
use crate::netns::Netns;
use crate::protocol::Protocol;

/// A UDP port at one address.
type At = (IpAddr, u16);

/// Deletes the conntrack entries of UDP connections to the ports of these new mappings, unless they
/// already lead to the mapping's target.
pub(super) fn forget_others(netns: &Netns, mappings: &[Mapping]) -> Result<(), Error> {
    forget(netns, mappings, is_local, |mapping, entry| !leads_to(mapping, entry))
}

/// Deletes the entries that deleted mappings created.
pub(super) fn forget_own(netns: &Netns, mappings: &[Mapping]) -> Result<(), Error> {
    // When such a connection began, its destination was an address of this namespace.
    forget(netns, mappings, |_, _| Ok(true), leads_to)
}

fn at(candidate: &Candidate) -> Option<At> {
    let original = candidate.entry.original;
    Some((original.destination, original.destination_port?))
}

fn leads_to(mapping: &Mapping, entry: &ConntrackEntry) -> bool {
    entry.is_destination_nat()
        && entry.reply.source == mapping.target
        && mapping.ports().any(|((.., port), (_, target))| {
            entry.original.destination_port == Some(port) && entry.reply.source_port == Some(target)
        })
}

/// Deletes the stale entries of mappings. Lists the entries once for each family, of one
/// port if all mappings share it.
fn forget(
    netns: &Netns,
    mappings: &[Mapping],
    is_ours: impl Fn(&Netns, IpAddr) -> Result<bool, Error>,
    is_stale: impl Fn(&Mapping, &ConntrackEntry) -> bool,
) -> Result<(), Error> {
    let mappings: Vec<_> =
        mappings.iter().filter(|mapping| mapping.protocol == Protocol::UDP).collect();
    if mappings.is_empty() {
        return Ok(());
    }
    // To list a part, the kernel visits the connections of all namespaces.
    if ConntrackFilter::count(netns).is_ok_and(|count| count == 0) {
        return Ok(());
    }
    let is_stale_of = |mapping: &Mapping, entry: &ConntrackEntry| {
        let destination = entry.original.destination;
        mapping.is_ipv4() == destination.is_ipv4()
            && mapping.host_address.is_none_or(|address| destination == address)
            && entry
                .original
                .destination_port
                .is_some_and(|port| mapping.host_ports.iter().contains(&port))
            && is_stale(mapping, entry)
    };
    let is_wanted =
        |entry: &ConntrackEntry| mappings.iter().any(|mapping| is_stale_of(mapping, entry));
    let mut candidates = Vec::new();
    for filter in [true, false].into_iter().filter_map(|is_ipv4| filter_for(&mappings, is_ipv4)) {
        match filter.candidates(netns, is_wanted) {
            Ok(found) => candidates.extend(found),
            // The kernel was built without CONFIG_NF_CT_NETLINK.
            Err(error) if error.errno() == Some(Errno::EINVAL) => {
                log::warn!("stale UDP connections may continue: {error}");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    let is_at_one = |candidate: &Candidate| {
        let mut of = mappings.iter().filter(|mapping| is_stale_of(mapping, &candidate.entry));
        of.any(|mapping| mapping.host_address.is_some())
    };
    // A mapping at all addresses covers neither connections to other machines, nor connections to
    // an address with a mapping of its own.
    let mut asked = BTreeSet::new();
    let mut known = BTreeMap::new();
    for (address, port) in candidates.iter().filter(|one| !is_at_one(one)).filter_map(at) {
        let is_ours = match known.get(&address) {
            Some(is_ours) => *is_ours,
            None => *known.entry(address).or_insert(is_ours(netns, address)?),
        };
        if is_ours {
            asked.insert((address, port));
        }
    }
    if !asked.is_empty() {
        for other in addressed(netns, &asked)? {
            asked.remove(&other);
        }
    }
    candidates.retain(|one| is_at_one(one) || at(one).is_some_and(|at| asked.contains(&at)));
    ConntrackFilter::new().udp().delete_candidates(netns, &candidates).map(drop)
}

/// Returns the filter for the mappings of a family, as narrow as the kernel can compare; `None`
/// without such a mapping.
fn filter_for(mappings: &[&Mapping], is_ipv4: bool) -> Option<ConntrackFilter> {
    let mut of_family = mappings.iter().filter(|mapping| mapping.is_ipv4() == is_ipv4);
    let first = of_family.clone().next()?;
    let mut filter = ConntrackFilter::new().udp().family(is_ipv4);
    let ports = first.host_ports;
    if ports.is_one() && of_family.clone().all(|mapping| mapping.host_ports == ports) {
        filter = filter.original_destination_port(ports.first());
    }
    match first.host_address {
        Some(address) if of_family.all(|mapping| mapping.host_address == Some(address)) => {
            Some(filter.original_destination(address))
        }
        _ => Some(filter),
    }
}

/// Returns the ports, among these, that a mapping in any table publishes at that one address.
fn addressed(netns: &Netns, asked: &BTreeSet<At>) -> Result<BTreeSet<At>, Error> {
    look(netns, ("look for", &"a port"), |turn| {
        let mut found = BTreeSet::new();
        let tables: Vec<_> = turn.ports.known.tables().cloned().collect();
        for table in tables {
            let of_family = asked.iter().filter(|(address, _)| address.is_ipv4() == table.is_ipv4);
            let of_family: Vec<_> = of_family.copied().collect();
            let port = |&(at, port): &At| (Protocol::UDP, Some(at), port);
            let ports: Vec<_> = of_family.iter().map(port).collect();
            let elements = turn.elements(&table, &ports)?;
            let there = of_family.into_iter().zip(elements).filter(|(_, one)| one.is_some());
            found.extend(there.map(|(at, _)| at));
        }
        Ok(found)
    })
}
