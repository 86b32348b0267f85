//! The builder of routes.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::destination::Destination;
use super::kind::{RoutePreference, RouteType};
use super::next_hop::NextHop;
use super::options::{RouteOption, RouteOptions, check_congestion_control};
use crate::input::{FirstRejected, Input};
use crate::link::LinkRef;
use crate::scope::Scope;
use crate::text::part;

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
    pub(super) destination: Option<Destination>,
    pub(super) gateway: Option<IpAddr>,
    pub(super) link: Option<Box<LinkRef>>,
    pub(super) metric: Option<u32>,
    pub(super) table: Option<u32>,
    pub(super) rare: Option<Box<Rare>>,
    pub(super) rejected: FirstRejected,
}

/// The settings that few routes have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rare {
    pub(super) kind: Option<RouteType>,
    pub(super) source: Option<IpAddr>,
    pub(super) from: Option<IpNet>,
    pub(super) scope: Option<Scope>,
    pub(super) tos: u8,
    pub(super) protocol: Option<u8>,
    pub(super) preference: Option<RoutePreference>,
    /// In seconds.
    pub(super) expires: Option<u32>,
    pub(super) realm: Option<u32>,
    pub(super) on_link: bool,
    pub(super) hops: Vec<NextHop>,
    pub(super) options: RouteOptions,
}

impl Rare {
    const NONE: &'static Self = &Self {
        kind: None,
        source: None,
        from: None,
        scope: None,
        tos: 0,
        protocol: None,
        preference: None,
        expires: None,
        realm: None,
        on_link: false,
        hops: Vec::new(),
        options: RouteOptions::NONE,
    };
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

    /// A route that drops packets without an answer, as `ip route add blackhole DESTINATION`.
    pub fn blackhole(destination: impl Input<Destination>) -> Self {
        Self::new(destination).kind(RouteType::Blackhole)
    }

    /// A route that rejects packets as unreachable, as `ip route add unreachable DESTINATION`.
    pub fn unreachable(destination: impl Input<Destination>) -> Self {
        Self::new(destination).kind(RouteType::Unreachable)
    }

    /// A route that rejects packets as prohibited, as `ip route add prohibit DESTINATION`.
    pub fn prohibit(destination: impl Input<Destination>) -> Self {
        Self::new(destination).kind(RouteType::Prohibit)
    }

    /// A route that ends the look-up in its table: the next rule's table is looked at, as
    /// `ip route add throw DESTINATION`.
    pub fn throw(destination: impl Input<Destination>) -> Self {
        Self::new(destination).kind(RouteType::Throw)
    }

    /// A route that delivers packets to this host, as `ip route add local DESTINATION`. It needs
    /// [`dev`](Self::dev), mostly `lo`. Default table: 255.
    #[doc(alias = "AnyIP")]
    pub fn local(destination: impl Input<Destination>) -> Self {
        Self::new(destination).kind(RouteType::Local)
    }

    /// Sets the gateway, as `via GATEWAY`. The gateway must be in the network of a link's address,
    /// unless [`on_link`](Self::on_link) is set. An IPv4 route may have an IPv6 gateway.
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
        if table == 0 {
            self.rejected.reject("table", 0, "there is no table 0; the main one is 254");
        }
        self.table = Some(table);
        self
    }

    /// Sets the treatment of packets: the word before the destination in `ip route add blackhole
    /// 10.0.0.0/8`. Default: unicast.
    #[doc(alias = "RTN_UNICAST")]
    pub fn kind(mut self, kind: impl Into<RouteType>) -> Self {
        self.rare_mut().kind = Some(kind.into());
        self
    }

    /// Adds a next hop. The kernel spreads flows over the next hops by their weights; a route has
    /// two or more. [`via`](Self::via) and [`dev`](Self::dev) set the only next hop of other
    /// routes.
    ///
    /// ```
    /// use netloom::{Namespace, NextHop, Route, VethEnd, VethPair};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let _first = VethPair::new(VethEnd::new("eth0").address("10.0.0.2/24").up(), "a").create(&red)?;
    /// let _second = VethPair::new(VethEnd::new("eth1").address("10.1.0.2/24").up(), "b").create(&red)?;
    /// // ip route add default nexthop via 10.0.0.1 weight 2 nexthop via 10.1.0.1
    /// let _default = Route::new("default")
    ///     .next_hop(NextHop::new().via("10.0.0.1").weight(2))
    ///     .next_hop(NextHop::new().via("10.1.0.1"))
    ///     .create(&red)?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    #[doc(alias("RTA_MULTIPATH", "ECMP", "nexthop"))]
    pub fn next_hop(mut self, hop: NextHop) -> Self {
        self.rejected.also(&hop.rejected);
        self.rare_mut().hops.push(hop);
        self
    }

    /// Limits the route to packets from these sources, as `from PREFIX` (IPv6).
    #[doc(alias("RTA_SRC", "source-specific routing"))]
    pub fn from(mut self, sources: impl Input<Destination>) -> Self {
        if let Some(Destination::Network(sources)) = self.rejected.read("from", sources) {
            self.rare_mut().from = Some(sources);
        }
        self
    }

    /// Limits the route to packets with this type of service, as `tos N` (IPv4). The lowest two
    /// bits, of explicit congestion notification, must be 0.
    #[doc(alias("rtm_tos", "dsfield", "DSCP"))]
    pub fn tos(mut self, tos: u8) -> Self {
        if tos & 3 != 0 {
            let reason = "the lowest two bits are of ECN, and must be 0";
            self.rejected.reject("tos", tos, reason);
        }
        self.rare_mut().tos = tos;
        self
    }

    /// Sets the number of the program that makes the route, as `proto N`. Default: 78, netloom's.
    ///
    /// With the number of another program that program's equal route can't be told from this one.
    #[doc(alias("rtm_protocol", "RTPROT_STATIC"))]
    pub fn protocol(mut self, protocol: u8) -> Self {
        self.rare_mut().protocol = Some(protocol);
        self
    }

    /// Sets the preference among routes with the same metric, as `pref high` (IPv6).
    #[doc(alias = "RTA_PREF")]
    pub fn preference(mut self, preference: impl Into<RoutePreference>) -> Self {
        self.rare_mut().preference = Some(preference.into());
        self
    }

    /// Sets the time after which the kernel deletes the route, as `expires N` (IPv6). The kernel
    /// counts whole seconds: a part of one is rounded up.
    #[doc(alias = "RTA_EXPIRES")]
    pub fn expires(mut self, after: Duration) -> Self {
        let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
        // The kernel counts ticks in 31 bits, up to a thousand a second.
        let seconds = u32::try_from(seconds).ok().filter(|it| (1..=2_000_000).contains(it));
        if seconds.is_none() {
            let reason = "a lifetime has from one second to 2,000,000 seconds";
            self.rejected.reject("expires", format!("{after:?}"), reason);
        }
        self.rare_mut().expires = seconds;
        self
    }

    /// Sets the realm for accounting and `tc` filters, as `realm N` (IPv4). A kernel without
    /// `CONFIG_IP_ROUTE_CLASSID` ignores the realm.
    #[doc(alias = "RTA_FLOW")]
    pub fn realm(mut self, realm: u32) -> Self {
        self.rare_mut().realm = Some(realm);
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
    pub fn mtu(self, mtu: u32) -> Self {
        self.option(RouteOption::Mtu, mtu)
    }

    /// Sets the TCP segment size in bytes that the kernel announces to peers, as `advmss N`.
    /// Default: derived from the MTU. The kernel lowers a larger value to 65,495.
    #[doc(alias("RTAX_ADVMSS", "mss"))]
    pub fn advmss(self, bytes: u32) -> Self {
        self.option(RouteOption::Advmss, bytes)
    }

    /// Sets an option, as `window N` and the like. [`RouteOption`] has the units. 0 is the same as
    /// no option.
    #[doc(alias = "RTA_METRICS")]
    pub fn option(mut self, option: RouteOption, value: u32) -> Self {
        self.rare_mut().options.set(option, value);
        self
    }

    /// Keeps an option as it is set, as `mtu lock N`: path MTU discovery and TCP don't change it.
    #[doc(alias = "RTAX_LOCK")]
    pub fn lock(mut self, option: RouteOption) -> Self {
        self.rare_mut().options.lock(option);
        self
    }

    /// Sets the congestion control for TCP by name, as `congctl reno`.
    #[doc(alias = "RTAX_CC_ALGO")]
    pub fn congestion_control(mut self, name: impl AsRef<str>) -> Self {
        check_congestion_control(&mut self.rejected, name.as_ref());
        self.rare_mut().options.set_congestion_control(name.as_ref());
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

    /// Returns the links that the route names.
    pub(super) fn links(&self) -> impl Iterator<Item = &LinkRef> {
        let hops = self.rare().hops.iter().filter_map(|hop| hop.link.as_ref());
        self.link().into_iter().chain(hops)
    }

    pub(crate) fn link(&self) -> Option<&LinkRef> {
        self.link.as_deref()
    }

    pub(super) fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(Rare::NONE)
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(super) fn route_type(&self) -> RouteType {
        self.rare().kind.unwrap_or(RouteType::Unicast)
    }

    pub(super) fn is_ipv6(&self) -> bool {
        if let Some(Destination::Network(net)) = self.destination {
            return net.addr().is_ipv6();
        }
        let rare = self.rare();
        let hop = rare.hops.iter().find_map(|hop| hop.gateway);
        let from = rare.from.map(|from| from.addr());
        self.gateway.or(hop).or(rare.source).or(from).is_some_and(|address| address.is_ipv6())
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.route_type() != RouteType::Unicast {
            write!(f, "{} ", self.route_type())?;
        }
        match self.destination {
            Some(destination) => write!(f, "{destination}")?,
            None => f.write_str("(no destination)")?,
        }
        part(f, " from ", self.rare().from)?;
        part(f, " via ", self.gateway)?;
        part(f, " dev ", self.link().map(LinkRef::name))?;
        part(f, " table ", self.table)?;
        part(f, " metric ", self.metric)
    }
}
