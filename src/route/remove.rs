//! The deletion of routes by all their attributes. Each route is looked up first, and deleted with
//! the attributes that the kernel lists.
//!
//! A delete request alone does not suffice. For IPv4, a metric of 0 matches any metric, and a
//! request with a metric that the kernel clamped matches no route (`net/ipv4/fib_semantics.c`,
//! `fib_nh_match`, `fib_metrics_match`). For IPv6, a request without a gateway also matches a route
//! with a gateway (`net/ipv6/route.c`, `ip6_route_del`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::errno::Errno;

use super::builder::Route;
use super::info::RouteInfo;
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
    if delete_listed(netns, &listed)? > 0 && search(netns, &asked)?.len() > 0 {
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
    netns.rtnetlink(|socket| {
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

/// Adds the request that deletes the listed entry in `message`, with all its next hops.
pub(super) fn push_whole(batch: &mut Batch, message: Message<'_>) {
    batch.request(RTM_DELROUTE, 0, |out| out.extend_from_slice(message.payload));
}

/// Lists the entries that are among the routes.
pub(super) fn listed(netns: &Netns, asked: &[&[u8]]) -> Result<Vec<RouteInfo>, Cause> {
    let asked: Vec<_> = asked.iter().filter_map(|payload| view(payload)).collect();
    let mut question = list_of(&asked);
    netns.rtnetlink(|socket| {
        socket.fold(&mut question, Vec::new, |found, message| {
            let is_asked = |entry: &RouteView<'_>| asked.iter().any(|it| it.is_listed_as(entry));
            if RouteView::read(message).is_some_and(|entry| is_asked(&entry)) {
                found.extend(super::info::RouteView::read(message).map(RouteInfo::from));
            }
        })
    })
}

/// Returns the builder of the only route in `asked`, if it is listed. Fails if a request to change
/// the route would change another.
pub(super) fn alone(netns: &Netns, asked: &[&[u8]]) -> Result<Option<Route>, Cause> {
    let asked: Vec<_> = asked.iter().filter_map(|payload| view(payload)).collect();
    let [asked] = asked.as_slice() else {
        return Err(Cause::Invalid("the handle stands for several routes".into()));
    };
    let mut header = [0; RTMSG];
    header[0] = asked.family;
    let mut question = Batch::default();
    question.request(RTM_GETROUTE, NLM_F_DUMP, |out| out.extend_from_slice(&header));
    let (first, found) = netns.rtnetlink(|socket| {
        let start = || (None, None);
        socket.fold(&mut question, start, |(first, found), message| {
            let Some(entry) = RouteView::read(message).filter(|it| asked.has_place_of(it)) else {
                return;
            };
            let is_asked = asked.is_listed_as(&entry);
            first.get_or_insert(is_asked && entry.next_hops().count() == hops(asked, &entry));
            if is_asked {
                *found = Some(Route::of_listed(&entry, netns));
            }
        })
    })?;
    match (first, found) {
        (_, None) => Ok(None),
        (Some(true), Some(route)) => {
            route.map(Some).map_err(|reason| Cause::Invalid(reason.into()))
        }
        (_, Some(_)) => Err(Cause::Invalid(
            "another route has this destination and metric, and the kernel would change that"
                .into(),
        )),
    }
}

/// Returns the number of next hops that the entry has if no other route is in it.
fn hops(asked: &RouteView<'_>, entry: &RouteView<'_>) -> usize {
    match asked.next_hops().count() {
        // The kernel gives a route that rejects packets the loopback link (IPv6).
        0 => entry.next_hops().count(),
        hops => hops,
    }
}

/// Searches for the routes in the list of all routes. Returns delete requests for those found.
fn search(netns: &Netns, routes: &[RouteView<'_>]) -> Result<Batch, Cause> {
    let key = |route: &RouteView<'_>| (route.destination(), route.prefix, route.table());
    let mut wanted: Vec<_> = routes.iter().map(|route| (key(route), route)).collect();
    wanted.sort_unstable_by_key(|(key, _)| *key);
    let mut question = list_of(routes);
    netns.rtnetlink(|socket| {
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

/// The request for a list that has the routes, and few more: of the family and the protocol that
/// all of them have.
///
/// A single IPv6 route may be a next hop that was appended to another program's route. The kernel
/// filters by the protocol of the first next hop only, so that route would be missing.
fn list_of(routes: &[RouteView<'_>]) -> Batch {
    let mut header = [0; RTMSG];
    let shared = |of: fn(&RouteView<'_>) -> u8| {
        let first = routes.first().map(of)?;
        routes.iter().all(|route| of(route) == first).then_some(first)
    };
    header[0] = shared(|route| route.family).unwrap_or(0);
    if routes.len() > 1 || header[0] == AF_INET {
        header[5] = shared(|route| route.protocol).unwrap_or(0);
    }
    let mut question = Batch::default();
    question.request(RTM_GETROUTE, NLM_F_DUMP, |out| out.extend_from_slice(&header));
    question
}

/// Appends the request that deletes `route` from the listed entry in `message`.
fn push_deletion(batch: &mut Batch, route: &RouteView<'_>, message: Message<'_>) {
    if let Some(entry) = RouteView::read(message) {
        let write = |out: &mut Vec<u8>| route.write_deletion(&entry, message.payload, out);
        batch.request(RTM_DELROUTE, 0, write);
    }
}

/// Sends the requests. Returns the number of those that the kernel found no route for.
pub(super) fn delete_listed(netns: &Netns, listed: &Batch) -> Result<usize, Cause> {
    let (mut batch, mut missed, mut first) = (Batch::default(), 0, None);
    for start in (0..listed.len()).step_by(Requests::AT_ONCE) {
        batch.clear();
        batch.copy(listed, start..listed.len().min(start + Requests::AT_ONCE));
        for (_, refusal) in netns.rtnetlink(|socket| socket.exchange(&mut batch, |_, _| ()))? {
            match refusal.errno {
                Errno::ESRCH | Errno::ENOENT | Errno::ENODEV => missed += 1,
                _ => first = first.or(Some(refusal)),
            }
        }
    }
    first.map_or(Ok(missed), |refusal| Err(refusal.into()))
}
