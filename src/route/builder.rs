//! The builder of routes.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use nix::errno::Errno;

use super::destination::Destination;
use super::info::MAIN;
use super::{PROTOCOL, RTM_NEWROUTE};
use crate::error::Error;
use crate::input::{FirstRejected, Input};
use crate::link::LinkRef;
use crate::netlink::Batch;
use crate::scope::Scope;
use crate::text::part;
use crate::wire::attribute::Writer;
use crate::wire::message::{NLM_F_CREATE, NLM_F_EXCL};
use crate::wire::route::{
    AF_INET, AF_INET6, RTA_DST, RTA_GATEWAY, RTA_METRICS, RTA_OIF, RTA_PREFSRC, RTA_PRIORITY,
    RTA_TABLE, RTAX_ADVMSS, RTAX_MTU, RTNH_F_ONLINK,
};

const RTN_UNICAST: u8 = 1;

/// A route to create: packets to a destination are sent to a gateway, or out of a link.
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
    // Programs create many routes, so the builder is kept small: it boxes the settings that few
    // routes have. A smaller builder leaves more of the CPU cache to the kernel.
    destination: Option<Destination>,
    gateway: Option<IpAddr>,
    link: Option<Box<LinkRef>>,
    metric: Option<u32>,
    table: Option<u32>,
    rare: Option<Box<Rare>>,
    rejected: FirstRejected,
}

/// The settings that few routes have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Rare {
    source: Option<IpAddr>,
    mtu: Option<u32>,
    advmss: Option<u32>,
    scope: Option<Scope>,
    on_link: bool,
}

impl Route {
    /// Describes a route to a network such as `10.1.0.0/16`, to one host, or to everything:
    /// `default`.
    pub fn new(destination: impl Input<Destination>) -> Self {
        let mut rejected = FirstRejected::default();
        let destination = rejected.read("destination", destination);
        Self {
            destination,
            gateway: None,
            link: None,
            metric: None,
            table: None,
            rare: None,
            rejected,
        }
    }

    /// Describes a default route through a gateway, as `ip route add default via GATEWAY`.
    #[doc(alias = "default gateway")]
    pub fn default_via(gateway: impl Input<IpAddr>) -> Self {
        Self::new(Destination::Default).via(gateway)
    }

    /// Sets the gateway, as `via GATEWAY`. The gateway must be in the network of a link's address,
    /// unless [`on_link`](Self::on_link) is set.
    #[doc(alias = "RTA_GATEWAY")]
    pub fn via(mut self, gateway: impl Input<IpAddr>) -> Self {
        self.gateway = self.rejected.read("via", gateway).or(self.gateway);
        self
    }

    /// Sets the link, as `dev NAME`: a handle, or a name that `create` looks up. Default: the link
    /// whose network contains the gateway.
    #[doc(alias = "RTA_OIF")]
    pub fn dev(mut self, link: impl Into<LinkRef>) -> Self {
        self.link = Some(Box::new(link.into()));
        self
    }

    /// Sets the metric, as `metric N`. Of several routes to a destination, the kernel uses the one
    /// with the lowest metric. Default: 0 for IPv4, 1,024 for IPv6.
    #[doc(alias("RTA_PRIORITY", "priority"))]
    pub fn metric(mut self, metric: u32) -> Self {
        self.metric = Some(metric);
        self
    }

    /// Sets the routing table by number, as `table N`. Default: 254, the main table.
    #[doc(alias = "RTA_TABLE")]
    pub fn table(mut self, table: u32) -> Self {
        self.table = Some(table);
        self
    }

    /// Sets the source address of packets that a socket sends without one, as `src ADDRESS`.
    #[doc(alias("RTA_PREFSRC", "src"))]
    pub fn source(mut self, source: impl Input<IpAddr>) -> Self {
        if let Some(source) = self.rejected.read("source", source) {
            self.rare_mut().source = Some(source);
        }
        self
    }

    /// Sets the path MTU in bytes, as `mtu N`. The kernel lowers a larger value to 65,520.
    #[doc(alias = "RTAX_MTU")]
    pub fn mtu(mut self, mtu: u32) -> Self {
        self.rare_mut().mtu = Some(mtu);
        self
    }

    /// Sets the TCP segment size in bytes that the kernel announces to peers, as `advmss N`.
    /// Default: derived from the MTU. The kernel lowers a larger value to 65,495.
    #[doc(alias("RTAX_ADVMSS", "mss"))]
    pub fn advmss(mut self, bytes: u32) -> Self {
        self.rare_mut().advmss = Some(bytes);
        self
    }

    /// Sets the scope, as `scope link`. Default: global for a route with a gateway, link for a
    /// route without one. The kernel ignores the scope of IPv6 routes.
    #[doc(alias("rtm_scope", "RT_SCOPE_LINK"))]
    pub fn scope(mut self, scope: impl Into<Scope>) -> Self {
        self.rare_mut().scope = Some(scope.into());
        self
    }

    /// Makes the kernel accept a gateway outside the networks of the link, as `onlink`.
    #[doc(alias = "RTNH_F_ONLINK")]
    pub fn on_link(mut self) -> Self {
        self.rare_mut().on_link = true;
        self
    }

    pub(crate) fn check(&self, action: &'static str) -> Result<(), Error> {
        self.rejected.check(action, self)?;
        let ipv6 = self.is_ipv6();
        let same_family = |address: Option<IpAddr>| address.is_none_or(|a| a.is_ipv6() == ipv6);
        let reason = if self.gateway.is_none() && self.link.is_none() {
            "the route leads nowhere: set via(gateway) or dev(link)"
        } else if !same_family(self.gateway) {
            "the gateway is of another family than the destination"
        } else if !same_family(self.rare().source) {
            "the source address is of another family than the destination"
        } else if self.link.is_none() && self.gateway.is_some_and(is_link_local) {
            "a link-local gateway can be on any link: choose the link with dev(link)"
        } else if self.rare().on_link && self.link.is_none() {
            "on_link() needs dev(link)"
        } else {
            return Ok(());
        };
        Err(Error::invalid(action, self, reason))
    }

    pub(crate) fn link(&self) -> Option<&LinkRef> {
        self.link.as_deref()
    }

    fn rare(&self) -> Rare {
        self.rare.as_deref().copied().unwrap_or_default()
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn is_ipv6(&self) -> bool {
        match self.destination {
            Some(Destination::Network(net)) => net.addr().is_ipv6(),
            _ => self.gateway.or(self.rare().source).is_some_and(|address| address.is_ipv6()),
        }
    }

    /// Appends the request that creates the route.
    pub(crate) fn add(&self, index: Option<u32>, batch: &mut Batch) -> usize {
        self.request(NLM_F_CREATE | NLM_F_EXCL, index, batch)
    }

    /// Appends the request for the route with these flags.
    pub(super) fn request(&self, flags: u16, index: Option<u32>, batch: &mut Batch) -> usize {
        batch.request(RTM_NEWROUTE, flags, |out| self.write(out, index))
    }

    /// Appends `struct rtmsg` and the attributes. Allocates nothing, because programs create many
    /// routes.
    fn write(&self, out: &mut Vec<u8>, index: Option<u32>) {
        let ipv6 = self.is_ipv6();
        let destination = self.destination.unwrap_or(Destination::Default).network(ipv6);
        let table = self.table.unwrap_or(MAIN);
        let (family, scope) = match (ipv6, self.gateway) {
            (true, _) => (AF_INET6, Scope::Global),
            (false, Some(_)) => (AF_INET, Scope::Global),
            (false, None) => (AF_INET, Scope::Link),
        };
        let Rare { source, mtu, advmss, scope: set_scope, on_link } = self.rare();
        let scope = u8::from(set_scope.unwrap_or(scope));
        // The header's field has 8 bits. RTA_TABLE carries the full number.
        let short_table = u8::try_from(table).unwrap_or(0);
        let prefix = destination.prefix_len();
        out.extend_from_slice(&[family, prefix, 0, 0, short_table, PROTOCOL, scope, RTN_UNICAST]);
        let flags = if on_link { RTNH_F_ONLINK } else { 0 };
        out.extend_from_slice(&flags.to_ne_bytes());
        let mut attributes = Writer::new(out);
        attributes.u32(RTA_TABLE, table);
        if prefix > 0 {
            attributes.ip(RTA_DST, destination.addr());
        }
        if let Some(gateway) = self.gateway {
            attributes.ip(RTA_GATEWAY, gateway);
        }
        if let Some(index) = index {
            attributes.u32(RTA_OIF, index);
        }
        if let Some(metric) = self.effective_metric(destination) {
            attributes.u32(RTA_PRIORITY, metric);
        }
        if let Some(source) = source {
            attributes.ip(RTA_PREFSRC, source);
        }
        if mtu.is_some() || advmss.is_some() {
            attributes.nested(RTA_METRICS, |metrics| {
                for (kind, metric) in [(RTAX_MTU, mtu), (RTAX_ADVMSS, advmss)] {
                    if let Some(metric) = metric {
                        metrics.u32(kind, metric);
                    }
                }
            });
        }
    }

    /// Returns the metric for the request. For IPv6 the kernel's default is sent explicitly, so
    /// that the request matches the listed route.
    fn effective_metric(&self, destination: IpNet) -> Option<u32> {
        const IP6_RT_PRIO_USER: u32 = 1024;
        match destination {
            IpNet::V4(_) => self.metric,
            IpNet::V6(_) => self.metric.filter(|&metric| metric != 0).or(Some(IP6_RT_PRIO_USER)),
        }
    }
}

/// Returns whether the address is in `fe80::/10`.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Adds a hint that explains the kernel's errno for a route.
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
        .hint_on(Errno::EEXIST, || {
            "such a route exists already: same destination, table and metric".into()
        })
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.destination {
            Some(destination) => write!(f, "{destination}")?,
            None => f.write_str("(no destination)")?,
        }
        part(f, " via ", self.gateway)?;
        part(f, " dev ", self.link().map(LinkRef::name))?;
        part(f, " table ", self.table)?;
        part(f, " metric ", self.metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::Message;
    use crate::wire::route::RouteView;

    proptest::proptest! {
        #[test]
        fn whatever_is_asked_for_reads_back(
            addresses: [[u8; 16]; 3],
            ipv6: bool,
            length in 0u8..=128,
            numbers: [Option<u32>; 4],
            scope: Option<u8>,
            index: u32,
            gateway: bool,
            source: bool,
        ) {
            let ip = |bytes: [u8; 16]| match (ipv6, bytes) {
                (true, bytes) => IpAddr::from(bytes),
                (false, [a, b, c, d, ..]) => IpAddr::from([a, b, c, d]),
            };
            let [to, via, from] = addresses.map(ip);
            let [metric, table, mtu, advmss] = numbers;
            let net = IpNet::new(to, if ipv6 { length } else { length % 33 }).unwrap().trunc();
            let mut route = Route::new(net);
            route.gateway = gateway.then_some(via);
            let source = source.then_some(from);
            (route.metric, route.table) = (metric, table);
            route.rare = Some(Box::new(Rare { source, mtu, advmss, scope: scope.map(Scope::from), on_link: false }));

            let mut payload = Vec::new();
            route.write(&mut payload, Some(index));
            let message = Message { kind: 24, flags: 0, sequence: 0, payload: &payload };
            let view = RouteView::read(message).unwrap();
            assert_eq!(view.destination(), (net.prefix_len() > 0).then_some(net.addr()));
            assert_eq!((view.prefix, view.protocol, view.kind), (net.prefix_len(), PROTOCOL, 1));
            assert_eq!(view.table(), table.unwrap_or(254));
            assert_eq!((view.gateway(), view.source()), (route.gateway, source));
            assert_eq!((view.mtu(), view.advmss()), (mtu, advmss));
            let metric = if ipv6 { metric.filter(|&m| m != 0).or(Some(1024)) } else { metric };
            assert_eq!(view.priority(), metric);
            assert_eq!(view.next_hops().next().and_then(|hop| hop.index), Some(index));
            // An IPv4 route without a gateway has the scope `link` (253).
            assert_eq!(view.scope, scope.unwrap_or(if ipv6 || gateway { 0 } else { 253 }));
        }
    }
}
