//! The builder of a listed route.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::builder::{Rare, Route};
use super::destination::Destination;
use super::next_hop::NextHop;
use super::options::RouteOptions;
use crate::input::FirstRejected;
use crate::link::LinkRef;
use crate::netns::Netns;
use crate::wire::route::{AF_INET6, RTNH_F_ONLINK, RouteView};

impl Route {
    /// Returns the builder that would create a listed route, or a reason why there is none.
    pub(super) fn of_listed(entry: &RouteView<'_>, netns: &Netns) -> Result<Self, &'static str> {
        if entry.has_more() {
            return Err("the route has a nexthop object or an encapsulation");
        }
        let ipv6 = entry.family == AF_INET6;
        let everything: IpAddr =
            if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let net = |address: Option<IpAddr>, prefix| {
            IpNet::new(address.unwrap_or(everything), prefix).ok()
        };
        let destination = net(entry.destination(), entry.prefix);
        let link = |index: Option<u32>| Some(LinkRef::of_index(netns, index?));
        let mut rare = Rare {
            kind: Some(entry.kind.into()),
            source: entry.source(),
            from: net(entry.from(), entry.source_prefix).filter(|_| entry.source_prefix > 0),
            scope: Some(entry.scope.into()).filter(|_| !ipv6),
            tos: entry.tos,
            protocol: Some(entry.protocol),
            preference: entry.preference().map(Into::into),
            expires: entry.expires().and_then(|left| u32::try_from(left.as_secs() + 1).ok()),
            realm: entry.realm(),
            on_link: entry.flags & RTNH_F_ONLINK != 0,
            options: RouteOptions::read(entry.metrics()),
            ..Rare::default()
        };
        let mut hops: Vec<_> = entry.next_hops().collect();
        let only = if hops.len() == 1 { hops.pop() } else { None };
        // The kernel gives a route that rejects packets the loopback link (IPv6).
        let only = only.filter(|_| !Self::is_rejecting(entry.kind.into()));
        rare.hops = hops
            .into_iter()
            .map(|hop| NextHop {
                gateway: hop.gateway,
                link: link(hop.index),
                weight: hop.weight,
                on_link: hop.on_link,
                rejected: FirstRejected::default(),
            })
            .collect();
        Ok(Self {
            destination: destination.map(Destination::Network),
            gateway: only.and_then(|hop| hop.gateway),
            link: link(only.and_then(|hop| hop.index)).map(Box::new),
            metric: entry.priority(),
            table: Some(entry.table()),
            rare: Some(Box::new(rare)),
            rejected: FirstRejected::default(),
        })
    }
}
