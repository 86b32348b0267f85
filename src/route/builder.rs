//! The builder of routes.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

use super::PROTOCOL;
use super::destination::Destination;
use super::handle::RouteHandle;
use crate::error::Error;
use crate::input::{FirstRejected, Input};
use crate::link::LinkRef;
use crate::netlink::Requests;
use crate::netns::Netns;
use crate::owned::Owned;

/// A route to be: where packets for a destination go, by a gateway or out of a link.
///
/// Replaces `ip route add DESTINATION via GATEWAY dev NAME`.
///
/// ```
/// use netloom::{Namespace, Route, VethEnd, VethPair};
/// # netloom::sandbox::enter()?;
///
/// let red = Namespace::anonymous().create()?;
/// let _cable = VethPair::new(VethEnd::new("veth1").address("10.0.0.2/24").up(), "veth2").create(&red)?;
/// let _default = Route::default_via("10.0.0.1").create(&red)?;
/// let _lab = Route::new("10.9.0.0/16").dev("veth1").metric(50).create(&red)?;
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: ip-route(8), rtnetlink(7), `net/ipv4/fib_semantics.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Route {
    destination: Option<Destination>,
    gateway: Option<IpAddr>,
    link: Option<LinkRef>,
    metric: Option<u32>,
    table: Option<u32>,
    source: Option<IpAddr>,
    mtu: Option<u32>,
    on_link: bool,
    rejected: FirstRejected,
}

impl Route {
    /// A route to a network such as `10.1.0.0/16`, to one host, or to everything: `default`.
    pub fn new(destination: impl Input<Destination>) -> Self {
        let mut rejected = FirstRejected::default();
        let destination = rejected.read("destination", destination);
        Self {
            destination,
            gateway: None,
            link: None,
            metric: None,
            table: None,
            source: None,
            mtu: None,
            on_link: false,
            rejected,
        }
    }

    /// The default route by a gateway, as `ip route add default via GATEWAY`.
    #[doc(alias = "default gateway")]
    pub fn default_via(gateway: impl Input<IpAddr>) -> Self {
        Self::new(Destination::Default).via(gateway)
    }

    /// By this gateway, as `via GATEWAY`. It has to be on the network of one of the links.
    #[doc(alias = "RTA_GATEWAY")]
    pub fn via(mut self, gateway: impl Input<IpAddr>) -> Self {
        self.gateway = self.rejected.read("via", gateway).or(self.gateway);
        self
    }

    /// Out of this link, as `dev NAME`: by handle, or by a name that is looked up. Default: the one the
    /// gateway is on.
    #[doc(alias = "RTA_OIF")]
    pub fn dev(mut self, link: impl Into<LinkRef>) -> Self {
        self.link = Some(link.into());
        self
    }

    /// With this metric, as `metric N`: of several routes to a destination the lowest counts. Default: 0
    /// for IPv4, 1,024 for IPv6.
    #[doc(alias("RTA_PRIORITY", "priority"))]
    pub fn metric(mut self, metric: u32) -> Self {
        self.metric = Some(metric);
        self
    }

    /// In this table, by number, as `table N`. Default: 254, the main one.
    #[doc(alias = "RTA_TABLE")]
    pub fn table(mut self, table: u32) -> Self {
        self.table = Some(table);
        self
    }

    /// With this source address for packets that have none yet, as `src ADDRESS`.
    #[doc(alias("RTA_PREFSRC", "src"))]
    pub fn source(mut self, source: impl Input<IpAddr>) -> Self {
        self.source = self.rejected.read("source", source).or(self.source);
        self
    }

    /// With this path MTU in bytes, as `mtu N`.
    #[doc(alias = "RTAX_MTU")]
    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// Takes the gateway for reachable on the link, whatever the link's networks are, as `onlink`.
    #[doc(alias = "RTNH_F_ONLINK")]
    pub fn on_link(mut self) -> Self {
        self.on_link = true;
        self
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// Host bits in the destination, families that differ, and a route with neither gateway nor link
    /// are refused before any system call. A gateway that no link's network holds is refused by the
    /// kernel (`ENETUNREACH` or `EHOSTUNREACH`); a route that is there already is
    /// [`is_already_exists`](Error::is_already_exists).
    #[doc(alias("ip route add", "RTM_NEWROUTE"))]
    pub fn create(&self, netns: &Netns) -> Result<Owned<RouteHandle>, Error> {
        const ACTION: &str = "add route";
        self.check(ACTION)?;
        let index = match &self.link {
            Some(link) => Some(link.resolve(netns, ACTION, self)?),
            None => None,
        };
        let Some(message) = self.message(index) else {
            return Err(Error::invalid(ACTION, self, "it has no destination"));
        };
        let handle = RouteHandle { netns: netns.clone(), message: message.clone() };
        let add = RouteNetlinkMessage::NewRoute(message);
        let mut requests = Requests::new();
        requests.push(ACTION, self, &add, NLM_F_CREATE | NLM_F_EXCL);
        let added = Owned::adopt(handle);
        match netns.send(requests, |_, _| ()) {
            Ok(()) => Ok(added),
            // It may be there. Dropped here, it goes by its whole tuple, our protocol number included.
            Err(error) if error.is_unknown_outcome() => Err(explain(error)),
            Err(error) => {
                added.keep();
                Err(explain(error))
            }
        }
    }

    fn check(&self, action: &'static str) -> Result<(), Error> {
        self.rejected.check(action, self)?;
        let ipv6 = self.is_ipv6();
        let same_family = |address: Option<IpAddr>| address.is_none_or(|a| a.is_ipv6() == ipv6);
        let reason = if self.gateway.is_none() && self.link.is_none() {
            "it leads nowhere: give it via(gateway) or dev(link)"
        } else if !same_family(self.gateway) {
            "the gateway is of another family than the destination"
        } else if !same_family(self.source) {
            "the source address is of another family than the destination"
        } else if self.link.is_none() && self.gateway.is_some_and(is_link_local) {
            "a link-local gateway is on every link: say which by dev(link)"
        } else if self.on_link && self.link.is_none() {
            "on_link() needs dev(link)"
        } else {
            return Ok(());
        };
        Err(Error::invalid(action, self, reason))
    }

    fn is_ipv6(&self) -> bool {
        match self.destination {
            Some(Destination::Network(net)) => net.addr().is_ipv6(),
            _ => self.gateway.or(self.source).is_some_and(|address| address.is_ipv6()),
        }
    }

    /// The request that adds it; none where the destination was bad.
    pub(crate) fn add(&self, index: Option<u32>) -> Option<RouteNetlinkMessage> {
        self.message(index).map(RouteNetlinkMessage::NewRoute)
    }

    fn message(&self, index: Option<u32>) -> Option<RouteMessage> {
        let ipv6 = self.is_ipv6();
        let destination = self.destination?.network(ipv6);
        let table = self.table.unwrap_or(u32::from(RouteHeader::RT_TABLE_MAIN));
        let mut message = RouteMessage::default();
        let header = &mut message.header;
        header.address_family = if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
        header.destination_prefix_length = destination.prefix_len();
        // Higher numbers go in the attribute alone.
        header.table = u8::try_from(table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
        header.protocol = RouteProtocol::Other(PROTOCOL);
        header.kind = RouteType::Unicast;
        header.scope = match self.gateway {
            None if !ipv6 => RouteScope::Link,
            _ => RouteScope::Universe,
        };
        if self.on_link {
            header.flags |= netlink_packet_route::route::RouteFlags::Onlink;
        }
        message.attributes = self.attributes(destination, table, index);
        Some(message)
    }

    /// For IPv6 in any case: without it a request to delete means any.
    fn effective_metric(&self, destination: IpNet) -> Option<u32> {
        const IP6_RT_PRIO_USER: u32 = 1024;
        match destination {
            IpNet::V4(_) => self.metric,
            IpNet::V6(_) => self.metric.filter(|&metric| metric != 0).or(Some(IP6_RT_PRIO_USER)),
        }
    }

    fn attributes(
        &self,
        destination: IpNet,
        table: u32,
        index: Option<u32>,
    ) -> Vec<RouteAttribute> {
        let mut attributes = vec![RouteAttribute::Table(table)];
        if destination.prefix_len() > 0 {
            attributes.push(RouteAttribute::Destination(destination.addr().into()));
        }
        attributes.extend(self.gateway.map(|gateway| RouteAttribute::Gateway(gateway.into())));
        attributes.extend(index.map(RouteAttribute::Oif));
        attributes.extend(self.effective_metric(destination).map(RouteAttribute::Priority));
        attributes.extend(self.source.map(|source| RouteAttribute::PrefSource(source.into())));
        attributes.extend(self.mtu.map(|mtu| RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)])));
        attributes
    }
}

/// `fe80::/10`.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// What the kernel's errno for a route means.
pub(crate) fn explain(error: Error) -> Error {
    error
        .hint_on(Errno::ENETUNREACH, || {
            "the gateway is on no network of a link that is up: give the link an address first, or \
             use on_link()"
                .into()
        })
        .hint_on(Errno::EHOSTUNREACH, || {
            "the gateway is on no network of a link that is up: give the link an address first"
                .into()
        })
        .hint_on(Errno::ENETDOWN, || "the link is down: set it up first".into())
        .hint_on(Errno::EEXIST, || "there is such a route already".into())
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.destination {
            Some(destination) => write!(f, "{destination}")?,
            None => f.write_str("(no destination)")?,
        }
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if let Some(link) = &self.link {
            write!(f, " dev {}", link.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::Message;
    use crate::wire::route::RouteView;
    use netlink_packet_core::Emitable;

    proptest::proptest! {
        #[test]
        fn whatever_is_asked_for_reads_back(
            addresses: [[u8; 16]; 3],
            ipv6: bool,
            length in 0u8..=128,
            numbers: [Option<u32>; 3],
            index: u32,
            gateway: bool,
            source: bool,
        ) {
            let ip = |bytes: [u8; 16]| match (ipv6, bytes) {
                (true, bytes) => IpAddr::from(bytes),
                (false, [a, b, c, d, ..]) => IpAddr::from([a, b, c, d]),
            };
            let [to, via, from] = addresses.map(ip);
            let [metric, table, mtu] = numbers;
            let net = IpNet::new(to, if ipv6 { length } else { length % 33 }).unwrap().trunc();
            let mut route = Route::new(net);
            route.gateway = gateway.then_some(via);
            route.source = source.then_some(from);
            (route.metric, route.table, route.mtu) = (metric, table, mtu);

            let message = route.add(Some(index)).unwrap();
            let mut payload = vec![0; message.buffer_len()];
            message.emit(&mut payload);
            let message = Message { kind: 24, flags: 0, sequence: 0, payload: &payload };
            let view = RouteView::read(message).unwrap();
            assert_eq!(view.destination(), (net.prefix_len() > 0).then_some(net.addr()));
            assert_eq!((view.prefix, view.protocol, view.kind), (net.prefix_len(), PROTOCOL, 1));
            assert_eq!(view.table(), table.unwrap_or(254));
            assert_eq!((view.gateway(), view.source()), (route.gateway, route.source));
            assert_eq!(view.mtu(), mtu);
            let metric = if ipv6 { metric.filter(|&m| m != 0).or(Some(1024)) } else { metric };
            assert_eq!(view.priority(), metric);
            assert_eq!(view.next_hops()[0].index, Some(index));
            // Only a neighbour's address is good on the link alone.
            assert_eq!(view.scope, if ipv6 || gateway { 0 } else { 253 });
        }
    }
}
