//! UDP connections that a mapping made stale: clients know no end, and only the first packet of a
//! connection looks for a mapping.

use std::collections::BTreeSet;
use std::net::IpAddr;

use nix::errno::Errno;

use super::builder::PortForward;
use crate::conntrack::{Candidate, ConntrackEntry, ConntrackFilter};
use crate::error::Error;
use crate::netns::Netns;
use crate::protocol::Protocol;

/// A UDP port at one address.
pub(super) type At = (IpAddr, u16);

/// Tells at which of these a mapping is for that one address: they are not those of one at all addresses.
pub(super) type Addressed<'a> = &'a dyn Fn(&BTreeSet<At>) -> Result<BTreeSet<At>, Error>;

/// Has the kernel forget those to the addresses and ports of mappings that came and led elsewhere.
pub(super) fn forget_others(
    netns: &Netns,
    forwards: &[&PortForward],
    addressed: Addressed<'_>,
) -> Result<(), Error> {
    let local = local_addresses(netns, forwards)?;
    forget(netns, forwards, addressed, |forward, entry| {
        let destination = entry.original.destination;
        let is_at = match forward.host_address {
            Some(address) => destination == address,
            None => destination.is_loopback() || local.contains(&destination),
        };
        is_at && !leads_to(forward, entry)
    })
}

/// Has the kernel forget those of mappings that went.
pub(super) fn forget_own(
    netns: &Netns,
    forwards: &[&PortForward],
    addressed: Addressed<'_>,
) -> Result<(), Error> {
    forget(netns, forwards, addressed, |forward, entry| {
        let is_at =
            forward.host_address.is_none_or(|address| entry.original.destination == address);
        is_at && leads_to(forward, entry)
    })
}

fn at(candidate: &Candidate) -> Option<At> {
    let original = candidate.entry.original;
    Some((original.destination, original.destination_port?))
}

fn leads_to(forward: &PortForward, entry: &ConntrackEntry) -> bool {
    entry.is_destination_nat()
        && Some(entry.reply.source) == forward.target
        && forward.ports().any(|(port, target)| {
            entry.original.destination_port == Some(port) && entry.reply.source_port == Some(target)
        })
}

/// Where a mapping is at all local addresses: which these are.
fn local_addresses(netns: &Netns, forwards: &[&PortForward]) -> Result<BTreeSet<IpAddr>, Error> {
    let asks = |forward: &&&PortForward| {
        forward.protocol == Protocol::UDP && forward.host_address.is_none()
    };
    if !forwards.iter().any(|forward| asks(&forward)) {
        return Ok(BTreeSet::new());
    }
    Ok(netns.addresses()?.into_iter().map(|info| info.prefix.addr()).collect())
}

/// One look at all connections, or only those to a port where there is one mapping.
fn forget(
    netns: &Netns,
    forwards: &[&PortForward],
    addressed: Addressed<'_>,
    is_stale: impl Fn(&PortForward, &ConntrackEntry) -> bool,
) -> Result<(), Error> {
    let is_udp = |forward: &&&PortForward| forward.protocol == Protocol::UDP;
    let forwards: Vec<_> = forwards.iter().filter(is_udp).copied().collect();
    let is_ipv4 = |forward: &PortForward| forward.target.is_some_and(|target| target.is_ipv4());
    let mut filter = ConntrackFilter::new().udp();
    if let Some(first) = forwards.first().map(|forward| is_ipv4(forward))
        && forwards.iter().all(|forward| is_ipv4(forward) == first)
    {
        filter = filter.family(first);
    }
    match forwards.as_slice() {
        [] => return Ok(()),
        [one] => {
            if one.host_ports.is_one() {
                filter = filter.original_destination_port(one.host_ports.first());
            }
            if let Some(address) = one.host_address {
                filter = filter.original_destination(address);
            }
        }
        _ => {}
    }
    let is_stale_of = |forward: &PortForward, entry: &ConntrackEntry| {
        let ports = forward.host_ports.first()..=forward.host_ports.last();
        is_ipv4(forward) == entry.original.source.is_ipv4()
            && entry.original.destination_port.is_some_and(|port| ports.contains(&port))
            && is_stale(forward, entry)
    };
    let is_wanted =
        |entry: &ConntrackEntry| forwards.iter().any(|forward| is_stale_of(forward, entry));
    let mut candidates = match filter.candidates(netns, is_wanted) {
        Ok(candidates) => candidates,
        // A kernel without the interface has no way to forget.
        Err(error) if error.errno() == Some(Errno::EINVAL) => {
            log::warn!("stale UDP connections may go on: {error}");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    // Those at one address that a mapping for all of them only seems to have.
    let is_at_one = |candidate: &Candidate| {
        let mut of = forwards.iter().filter(|forward| is_stale_of(forward, &candidate.entry));
        of.any(|forward| forward.host_address.is_some())
    };
    let asked: BTreeSet<_> =
        candidates.iter().filter(|one| !is_at_one(one)).filter_map(at).collect();
    if !asked.is_empty() {
        let others = addressed(&asked)?;
        candidates.retain(|one| is_at_one(one) || !at(one).is_some_and(|at| others.contains(&at)));
    }
    filter.forget(netns, &candidates).map(drop)
}
