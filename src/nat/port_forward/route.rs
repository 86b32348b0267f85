//! The link that the kernel's routes use to reach each container.

use std::collections::BTreeMap;
use std::net::IpAddr;

use nix::errno::Errno;

use super::builder::PortForward;
use super::fib;
use super::mapping::{ACTION, Mapping};
use crate::error::{Cause, Error, Refusal};
use crate::netlink::{Batch, RequestType};
use crate::netns::Netns;
use crate::wire::attribute::Writer;
use crate::wire::route::{AF_INET, AF_INET6, RTA_DST, RTMSG, RouteView};

/// The type of a route to this namespace itself (`include/uapi/linux/rtnetlink.h`).
const RTN_LOCAL: u8 = 2;
const RTN_UNICAST: u8 = 1;
/// The number of routes requested in one datagram. A socket's default buffer holds their answers.
const AT_ONCE: usize = 64;
/// The size of a request, in bytes.
const REQUEST: usize = 48;

/// The type of a route, and the index of its link.
type Hop = (u8, Option<u32>);

/// The answer to one request; `None` if the kernel sent none.
type Answer = Option<Result<Hop, Refusal>>;

/// Sets the link of each mapping.
pub(super) fn find_links(
    netns: &Netns,
    forwards: &[PortForward],
    mappings: &mut [Mapping],
) -> Result<(), Error> {
    let asked = forwards.iter().zip(&*mappings).filter(|(forward, _)| forward.link.is_none());
    let mut targets: Vec<_> = asked.map(|(_, mapping)| mapping.target).collect();
    targets.sort_unstable();
    targets.dedup();
    let mut hops: BTreeMap<IpAddr, Answer> = BTreeMap::new();
    if targets.len() > AT_ONCE {
        let known = fib::links(netns, &targets).into_iter();
        hops.extend(known.map(|(target, link)| (target, Some(Ok((RTN_UNICAST, Some(link)))))));
        targets.retain(|target| !hops.contains_key(target));
    }
    for targets in targets.chunks(AT_ONCE) {
        let answers = routes_to(netns, targets)
            .map_err(|cause| cause.doing(ACTION, &forwards[0]).in_namespace(netns))?;
        hops.extend(targets.iter().copied().zip(answers));
    }
    for (forward, mapping) in forwards.iter().zip(mappings) {
        mapping.link = if let Some(link) = &forward.link {
            link.resolve(netns, ACTION, forward)?
        } else {
            let hop = hops.get(&mapping.target).and_then(Option::as_ref);
            link_of(forward, hop).map_err(|error| error.in_namespace(netns))?
        };
    }
    Ok(())
}

fn link_of(forward: &PortForward, hop: Option<&Result<Hop, Refusal>>) -> Result<u32, Error> {
    match hop {
        Some(Ok((RTN_LOCAL, _))) => {
            let reason = "the target is this namespace itself: use NatRule::redirect";
            Err(Error::invalid(ACTION, forward, reason))
        }
        Some(Ok((_, Some(link)))) => Ok(*link),
        Some(Err(refusal)) => {
            let hint = || "there is no route to the target: create its network first".into();
            let error = Cause::from(refusal.clone()).doing(ACTION, forward);
            Err(error.hint_on(Errno::ENETUNREACH, hint).hint_on(Errno::EHOSTUNREACH, hint))
        }
        Some(Ok((_, None))) | None => {
            Err(Cause::Malformed("a route without a link").doing(ACTION, forward))
        }
    }
}

/// Returns the link of the kernel's route to an address, or `None` without a route.
pub(super) fn link_to(netns: &Netns, address: IpAddr) -> Result<Option<u32>, Error> {
    Ok(hop_to(netns, address)?.and_then(|(_, link)| link))
}

/// Returns whether packets to an address are delivered to this namespace: the address is its own,
/// or has a route of the type `local`.
pub(super) fn is_local(netns: &Netns, address: IpAddr) -> Result<bool, Error> {
    Ok(hop_to(netns, address)?.is_some_and(|(kind, _)| kind == RTN_LOCAL))
}

fn hop_to(netns: &Netns, address: IpAddr) -> Result<Option<Hop>, Error> {
    const NO_ROUTE: [Errno; 4] =
        [Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EACCES, Errno::EINVAL];
    let failed = |cause: Cause| cause.doing("look for the route to", address).in_namespace(netns);
    match routes_to(netns, &[address]).map_err(failed)?.pop().flatten() {
        Some(Ok(hop)) => Ok(Some(hop)),
        Some(Err(refusal)) if !NO_ROUTE.contains(&refusal.errno) => Err(failed(refusal.into())),
        Some(Err(_)) | None => Ok(None),
    }
}

/// Requests the routes to several addresses in one datagram. Returns an answer for each.
fn routes_to(netns: &Netns, addresses: &[IpAddr]) -> Result<Vec<Answer>, Cause> {
    let mut batch = Batch::with_room(addresses.len(), addresses.len() * REQUEST);
    for address in addresses {
        let (family, length) = match address {
            IpAddr::V4(_) => (AF_INET, 32),
            IpAddr::V6(_) => (AF_INET6, 128),
        };
        let mut header = [0; RTMSG];
        [header[0], header[1]] = [family, length];
        batch.request(RequestType::GetRoute as u16, 0, |out| {
            out.extend_from_slice(&header);
            Writer::new(out).ip(RTA_DST, *address);
        });
    }
    let mut answers: Vec<Answer> = addresses.iter().map(|_| None).collect();
    let refusals = netns.rtnetlink(|socket| {
        socket.exchange(&mut batch, |place, answer| {
            let view = RouteView::read(answer);
            if let (Some(answer), Some(view)) = (answers.get_mut(place), view) {
                *answer = Some(Ok((view.kind, view.output())));
            }
        })
    })?;
    for (place, refusal) in refusals {
        if let Some(answer) = answers.get_mut(place) {
            *answer = Some(Err(refusal));
        }
    }
    Ok(answers)
}
