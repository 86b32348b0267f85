//! The deletion of routes by all their attributes. Each route is looked up first, and deleted with
//! the attributes that the kernel lists.
//!
//! A delete request alone does not suffice. For IPv4, a metric of 0 matches any metric, and a
//! request with a metric that the kernel clamped matches no route (`net/ipv4/fib_semantics.c`,
//! `fib_nh_match`, `fib_metrics_match`). For IPv6, a request without a gateway also matches a route
//! with a gateway (`net/ipv6/route.c`, `ip6_route_del`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::errno::Errno;

use super::{RTM_DELROUTE, RTM_GETROUTE};
use crate::error::Cause;
use crate::netlink::{Batch, Requests};
use crate::netns::Netns;
use crate::wire::attribute::Writer;
use crate::wire::message::{Message, NLM_F_DUMP};
use crate::wire::route::{AF_INET, RTA_DST, RTMSG, RouteView};

/// Deletes the routes whose create requests had these payloads. A missing route counts as deleted.
///
/// A few routes are looked up one by one, each by an address inside its network. That lookup misses
/// a route if a more specific one covers the address, or if no routing rule uses its table. Such
/// routes, and many routes, are searched for in the list of all routes.
pub(super) fn delete(netns: &Netns, asked: &[&[u8]]) -> Result<(), Cause> {
    let asked: Vec<_> = asked.iter().filter_map(|payload| view(payload)).collect();
    let (mut listed, missing) = if asked.len() > Requests::AT_ONCE {
        (Batch::default(), asked.clone())
    } else {
        look_up(netns, &asked)?
    };
    if !missing.is_empty() {
        let found = search(netns, &missing)?;
        listed.copy(&found, 0..found.len());
    }
    if delete_listed(netns, &listed)? && search(netns, &asked)?.len() > 0 {
        return Err(Cause::Invalid(
            "the kernel lists the route, but answers that there is none to delete".into(),
        ));
    }
    Ok(())
}

fn view(payload: &[u8]) -> Option<RouteView<'_>> {
    RouteView::read(Message { kind: RTM_GETROUTE, flags: 0, sequence: 0, payload })
}

/// Looks up the route to an address in each network. Returns delete requests for the routes found,
/// and the routes that were not found.
fn look_up<'r>(
    netns: &Netns,
    asked: &[RouteView<'r>],
) -> Result<(Batch, Vec<RouteView<'r>>), Cause> {
    const RTM_F_FIB_MATCH: u32 = 0x2000;
    let mut questions = Batch::default();
    for route in asked {
        let target = inside(*route);
        questions.request(RTM_GETROUTE, 0, |out| {
            let bits = if target.is_ipv4() { 32 } else { 128 };
            out.extend_from_slice(&[route.family, bits, 0, 0, 0, 0, 0, 0]);
            out.extend_from_slice(&RTM_F_FIB_MATCH.to_ne_bytes());
            Writer::new(out).ip(RTA_DST, target);
        });
    }
    let (mut listed, mut found) = (Batch::default(), vec![false; asked.len()]);
    // An error means that no route leads to the address.
    netns.route(|socket| {
        socket.exchange(&mut questions, |place, answer| {
            let is_it = |route: &&RouteView<'_>| {
                RouteView::read(answer).is_some_and(|entry| route.is_listed_as(&entry))
            };
            let route = asked.get(place).filter(is_it);
            if let (Some(route), Some(found)) = (route, found.get_mut(place)) {
                *found = true;
                push_deletion(&mut listed, route, answer);
            }
        })
    })?;
    let missing = asked.iter().zip(found).filter(|(_, found)| !found).map(|(route, _)| *route);
    Ok((listed, missing.collect()))
}

/// Returns an address whose lookup can find the route. The kernel finds no route to the unspecified
/// address, so a default route is looked up by a documentation address (RFC 5737, RFC 3849).
fn inside(route: RouteView<'_>) -> IpAddr {
    match route.destination() {
        Some(address) if !address.is_unspecified() => address,
        _ if route.family == AF_INET => Ipv4Addr::new(192, 0, 2, 1).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    }
}

/// Searches for the routes in the list of all routes. Returns delete requests for those found.
fn search(netns: &Netns, routes: &[RouteView<'_>]) -> Result<Batch, Cause> {
    let key = |route: &RouteView<'_>| (route.destination(), route.prefix, route.table());
    let mut wanted: Vec<_> = routes.iter().map(|route| (key(route), route)).collect();
    wanted.sort_unstable_by_key(|(key, _)| *key);
    let mut question = Batch::default();
    let header = narrowed(routes);
    question.request(RTM_GETROUTE, NLM_F_DUMP, |out| out.extend_from_slice(&header));
    netns.route(|socket| {
        socket.fold(&mut question, Batch::default, |listed, message| {
            let Some(entry) = RouteView::read(message) else { return };
            let sought = key(&entry);
            let from = wanted.partition_point(|(key, _)| *key < sought);
            let same_key = wanted.iter().skip(from).take_while(|(key, _)| *key == sought);
            for (_, route) in same_key.filter(|(_, route)| route.is_listed_as(&entry)) {
                push_deletion(listed, route, message);
            }
        })
    })
}

/// Returns the header of a list request, which filters by the family and the protocol if all the
/// routes share them.
///
/// A single IPv6 route may be a next hop that was appended to another program's route. The kernel
/// filters by the protocol of the first next hop only, so that route would be missing.
fn narrowed(routes: &[RouteView<'_>]) -> [u8; RTMSG] {
    let mut header = [0; RTMSG];
    let shared = |of: fn(&RouteView<'_>) -> u8| {
        let first = routes.first().map(of)?;
        routes.iter().all(|route| of(route) == first).then_some(first)
    };
    header[0] = shared(|route| route.family).unwrap_or(0);
    if routes.len() > 1 || header[0] == AF_INET {
        header[5] = shared(|route| route.protocol).unwrap_or(0);
    }
    header
}

/// Appends the request that deletes `route` from the listed entry in `message`.
fn push_deletion(batch: &mut Batch, route: &RouteView<'_>, message: Message<'_>) {
    if let Some(entry) = RouteView::read(message) {
        let write = |out: &mut Vec<u8>| route.write_deletion(&entry, message.payload, out);
        batch.request(RTM_DELROUTE, 0, write);
    }
}

/// Sends delete requests. Returns whether the kernel answered one of them with "not found".
fn delete_listed(netns: &Netns, listed: &Batch) -> Result<bool, Cause> {
    let (mut batch, mut missed, mut first) = (Batch::default(), false, None);
    for start in (0..listed.len()).step_by(Requests::AT_ONCE) {
        batch.clear();
        batch.copy(listed, start..listed.len().min(start + Requests::AT_ONCE));
        for (_, refusal) in netns.route(|socket| socket.exchange(&mut batch, |_, _| ()))? {
            match refusal.errno {
                Errno::ESRCH | Errno::ENOENT | Errno::ENODEV => missed = true,
                _ => first = first.or(Some(refusal)),
            }
        }
    }
    first.map_or(Ok(missed), |refusal| Err(refusal.into()))
}
