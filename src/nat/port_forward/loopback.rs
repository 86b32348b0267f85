//! The link that leads to a container, and `route_localnet` on it: without, the kernel takes an
//! answer for 127.0.0.1 that comes in by a link for a forgery.

use std::net::IpAddr;

use nix::errno::Errno;

use super::builder::{ACTION, PortForward};
use crate::error::{Cause, Error};
use crate::link::Ipv4Conf;
use crate::netlink::{Batch, RequestType};
use crate::netns::Netns;
use crate::wire::attribute::Writer;
use crate::wire::route::{AF_INET, AF_INET6, RTA_DST, RTMSG, RouteView};

/// A route to this namespace itself (`include/uapi/linux/rtnetlink.h`).
const RTN_LOCAL: u8 = 2;

/// The index of the link that leads to the target.
pub(super) fn link_to(netns: &Netns, forward: &PortForward, target: IpAddr) -> Result<u32, Error> {
    if let Some(link) = &forward.link {
        return link.resolve(netns, ACTION, forward);
    }
    let found = route_to(netns, target, |view| Some((view.kind, view.output()?)));
    match found.and_then(|found| found.ok_or(Cause::Malformed("a route without a link"))) {
        Ok((RTN_LOCAL, _)) => {
            let reason = "the target is this namespace itself: that is NatRule::redirect";
            Err(Error::invalid(ACTION, forward, reason).in_namespace(netns))
        }
        Ok((_, link)) => Ok(link),
        Err(cause) => {
            let hint = || "there is no route to the target: its network must be there first".into();
            let error = cause.doing(ACTION, forward).in_namespace(netns);
            Err(error.hint_on(Errno::ENETUNREACH, hint).hint_on(Errno::EHOSTUNREACH, hint))
        }
    }
}

/// Whether what is sent to an address comes to this namespace: it is its own, or in a network that a route of
/// type `local` says is (`AnyIP`).
pub(super) fn is_local(netns: &Netns, address: IpAddr) -> Result<bool, Error> {
    match route_to(netns, address, |view| Some(view.kind)) {
        Ok(kind) => Ok(kind == Some(RTN_LOCAL)),
        // A refusal: nobody has it, or nobody may send to it.
        Err(cause) => {
            let error = cause.doing("look for the route to", address).in_namespace(netns);
            let refusals = [Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EACCES, Errno::EINVAL];
            if error.errno().is_some_and(|errno| refusals.contains(&errno)) {
                Ok(false)
            } else {
                Err(error)
            }
        }
    }
}

/// What is read of the route to an address.
fn route_to<T>(
    netns: &Netns,
    address: IpAddr,
    read: impl Fn(RouteView<'_>) -> Option<T>,
) -> Result<Option<T>, Cause> {
    let (family, length) = match address {
        IpAddr::V4(_) => (AF_INET, 32),
        IpAddr::V6(_) => (AF_INET6, 128),
    };
    let mut header = [0; RTMSG];
    [header[0], header[1]] = [family, length];
    let question = |batch: &mut Batch| {
        batch.request(RequestType::GetRoute as u16, 0, |out| {
            out.extend_from_slice(&header);
            Writer::new(out).ip(RTA_DST, address);
        })
    };
    netns.route(|socket| socket.get(question, |answer| read(RouteView::read(answer)?)))
}

/// Whether loopback addresses may be routed by the link at this index.
pub(super) fn routes_loopback(netns: &Netns, index: u32) -> Result<bool, Error> {
    Ok(netns.link_at(index)?.ipv4_conf(Ipv4Conf::RouteLocalnet)? != 0)
}

/// Turns it on.
pub(super) fn route_loopback(netns: &Netns, index: u32) -> Result<(), Error> {
    netns.link_at(index)?.set_ipv4_setting(Ipv4Conf::RouteLocalnet as u16, 1)
}

/// Turns it off again. A link that is gone has taken it along.
pub(super) fn put_back(netns: &Netns, index: u32) -> Result<(), Error> {
    let link = netns.link_at(index);
    match link.and_then(|link| link.set_ipv4_setting(Ipv4Conf::RouteLocalnet as u16, 0)) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
