//! Changes that the kernel makes to routes without a notification.
//!
//! The kernel does not report an IPv4 route that it removes because its link goes down or is
//! deleted (`fib_disable_ip`). Nor does it report a route that it removes with its source address
//! or with the last address of its link (`fib_sync_down_addr`). The same is true of a route removed
//! with its next hop object (`fib_flush` in `net/ipv4/fib_frontend.c`). With the sysctl
//! `net.ipv6.route.skip_notify_on_dev_down` it is also true of IPv6 routes.
//!
//! The kernel sends the notification of the link or address before it removes the routes, under the
//! RTNL lock. So the watcher checks the routes after a request that takes the same lock.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::address::AddressInfo;
use crate::error::Error;
use crate::netlink::RequestType;
use crate::netns::Netns;
use crate::route::{RouteInfo, RouteType};
use crate::wire::link::{AF_UNSPEC, IFF_UP, LinkView, WhichLink};
use crate::wire::message::Message;

/// The changes since the routes were last known to be complete.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Links that went down or were deleted.
    down: BTreeSet<u32>,
    /// Links that lost an address.
    shorter: BTreeSet<u32>,
    addresses: BTreeSet<IpAddr>,
    /// A change that any route may depend on.
    any: bool,
    /// True once the kernel has queued all notifications of these changes.
    is_settled: bool,
}

impl Doubts {
    /// Notes a notification after which routes may be gone.
    pub(super) fn note(&mut self, message: Message<'_>) {
        const RTM_NEWNEXTHOP: u16 = 104;
        const RTM_DELNEXTHOP: u16 = 105;
        const NEW_LINK: u16 = RequestType::NewLink as u16;
        const DELETED_LINK: u16 = RequestType::DelLink as u16;
        const DELETED_ADDRESS: u16 = RequestType::DelAddress as u16;
        match message.kind {
            NEW_LINK | DELETED_LINK => {
                let family = message.payload.first();
                let Some(link) = LinkView::read(message).filter(|_| family == Some(&AF_UNSPEC))
                else {
                    return;
                };
                if message.kind == NEW_LINK && link.flags & IFF_UP != 0 {
                    return;
                }
                self.down.insert(link.index);
            }
            DELETED_ADDRESS => {
                let Some(address) = AddressInfo::read(message) else { return };
                self.shorter.insert(address.link.get());
                self.addresses.insert(address.prefix.addr());
            }
            RTM_NEWNEXTHOP | RTM_DELNEXTHOP => self.any = true,
            _ => return,
        }
        self.is_settled = false;
    }

    /// Makes all routes doubtful.
    pub(super) fn note_any(&mut self) {
        self.any = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.down.is_empty() && self.shorter.is_empty() && !self.any
    }

    /// Waits until the kernel has made all changes that it has reported. Returns whether an earlier
    /// call already waited for them.
    pub(super) fn settle(&mut self, netns: &Netns) -> Result<bool, Error> {
        if !self.is_settled {
            after_changes(netns)?;
            self.is_settled = true;
            return Ok(false);
        }
        Ok(true)
    }

    /// Reports whether one of the routes may be gone.
    pub(super) fn are_about<'r>(&self, routes: impl Iterator<Item = &'r RouteInfo>) -> bool {
        // Each address has a local route. If a link has no local routes, the kernel has also
        // removed its other routes.
        let (mut has_route, mut has_address) = (BTreeSet::new(), BTreeSet::new());
        for route in routes {
            if self.any || route.source.is_some_and(|source| self.addresses.contains(&source)) {
                return true;
            }
            for link in route.next_hops.iter().filter_map(|hop| hop.link) {
                if self.down.contains(&link.get()) {
                    return true;
                }
                if self.shorter.contains(&link.get()) {
                    let is_address = route.kind == RouteType::Local;
                    let family = (link.get(), route.destination.addr().is_ipv4());
                    if is_address { &mut has_address } else { &mut has_route }.insert(family);
                }
            }
        }
        has_route.difference(&has_address).next().is_some()
    }
}

/// Waits until all changes of links and addresses in progress are done: the request takes the RTNL
/// lock.
pub(super) fn after_changes(netns: &Netns) -> Result<(), Error> {
    const LOOPBACK: u32 = 1;
    let look = |batch: &mut crate::netlink::Batch| {
        let kind = RequestType::GetLink as u16;
        batch.request(kind, 0, |out| WhichLink::At(LOOPBACK).write(out))
    };
    netns
        .rtnetlink(|socket| socket.get(look, |_| Some(())))
        .map(drop)
        .map_err(|cause| cause.doing("look at", "the loopback link").in_namespace(netns))
}
