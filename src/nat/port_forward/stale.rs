//! UDP connections that a mapping made stale: clients know no end, and only the first packet of a
//! connection looks for a mapping.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use nix::errno::Errno;

use super::loopback::is_local;
use super::mapping::Mapping;
use super::tables::addressed;
use crate::conntrack::{Candidate, ConntrackEntry, ConntrackFilter};
use crate::error::Error;
use crate::netns::Netns;
use crate::protocol::Protocol;

/// A UDP port at one address.
pub(super) type At = (IpAddr, u16);

/// Has the kernel forget those to the addresses and ports of mappings that came and led elsewhere.
pub(super) fn forget_others<'m>(
    netns: &Netns,
    mappings: impl Iterator<Item = &'m Mapping>,
) -> Result<(), Error> {
    forget(netns, mappings, is_local, |mapping, entry| !leads_to(mapping, entry))
}

/// Has the kernel forget those of mappings that went.
pub(super) fn forget_own<'m>(
    netns: &Netns,
    mappings: impl Iterator<Item = &'m Mapping>,
) -> Result<(), Error> {
    // What led to one was to an address of this namespace when it began.
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

/// One look at all connections, or only those to a port where there is one mapping.
fn forget<'m>(
    netns: &Netns,
    mappings: impl Iterator<Item = &'m Mapping>,
    is_ours: impl Fn(&Netns, IpAddr) -> Result<bool, Error>,
    is_stale: impl Fn(&Mapping, &ConntrackEntry) -> bool,
) -> Result<(), Error> {
    let is_udp = |mapping: &&Mapping| mapping.protocol == Protocol::UDP;
    let mappings: Vec<_> = mappings.filter(is_udp).collect();
    let Some(first) = mappings.first() else { return Ok(()) };
    let mut filter = ConntrackFilter::new().udp();
    if mappings.iter().all(|mapping| mapping.is_ipv4() == first.is_ipv4()) {
        filter = filter.family(first.is_ipv4());
    }
    if let [one] = mappings.as_slice() {
        if one.host_ports.is_one() {
            filter = filter.original_destination_port(one.host_ports.first());
        }
        if let Some(address) = one.host_address {
            filter = filter.original_destination(address);
        }
    }
    let is_stale_of = |mapping: &Mapping, entry: &ConntrackEntry| {
        let ports = mapping.host_ports.iter();
        let destination = entry.original.destination;
        mapping.is_ipv4() == destination.is_ipv4()
            && mapping.host_address.is_none_or(|address| destination == address)
            && entry.original.destination_port.is_some_and(|port| ports.contains(&port))
            && is_stale(mapping, entry)
    };
    let is_wanted =
        |entry: &ConntrackEntry| mappings.iter().any(|mapping| is_stale_of(mapping, entry));
    let mut candidates = match filter.candidates(netns, is_wanted) {
        Ok(candidates) => candidates,
        // A kernel without the interface has no way to forget.
        Err(error) if error.errno() == Some(Errno::EINVAL) => {
            log::warn!("stale UDP connections may go on: {error}");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    // Those that a mapping for all addresses only seems to have: to somebody else's address, and to one that has
    // a mapping of its own.
    let is_at_one = |candidate: &Candidate| {
        let mut of = mappings.iter().filter(|mapping| is_stale_of(mapping, &candidate.entry));
        of.any(|mapping| mapping.host_address.is_some())
    };
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
    let mut of_all = asked.clone();
    if !asked.is_empty() {
        for other in addressed(netns, &asked)? {
            of_all.remove(&other);
        }
    }
    candidates.retain(|one| is_at_one(one) || at(one).is_some_and(|at| of_all.contains(&at)));
    filter.forget(netns, &candidates).map(drop)
}
