//! The state of routes as the kernel lists them: borrowed from the answer, or copied.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;

use super::kind::{RoutePreference, RouteType};
use super::options::RouteOptions;
use crate::link::LinkIndex;
use crate::link_names::{LinkNames, Show};
use crate::listed::listed;
use crate::scope::Scope;
use crate::text::part;
use crate::wire::message::Message;
use crate::wire::route::{AF_INET, AF_INET6, RouteView as Wire};

/// The main routing table, which `ip route` prints.
pub(super) const MAIN: u32 = 254;
/// The table of this host's own addresses.
pub(super) const LOCAL: u32 = 255;

/// A next hop of a listed route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct NextHopInfo {
    /// The index of the link.
    pub link: Option<LinkIndex>,
    /// The gateway.
    pub gateway: Option<IpAddr>,
    /// The hop's share of the packets, relative to the route's other hops.
    pub weight: u16,
    /// True if the kernel accepts a gateway outside the networks of the link (`onlink`).
    pub on_link: bool,
}

/// A route of a list, borrowed while [`Netns::fold_routes`](crate::Netns::fold_routes) reads the
/// list. `RouteInfo::from` copies the view.
#[derive(Debug, Clone, Copy)]
pub struct RouteView<'a> {
    wire: Wire<'a>,
    destination: IpNet,
}

impl<'a> RouteView<'a> {
    #[inline] // Otherwise, copying the view would cost as much as reading it.
    pub(crate) fn read(message: Message<'a>) -> Option<Self> {
        const RTM_F_CLONED: u32 = 0x200;
        let wire = Wire::read(message)?;
        if wire.flags & RTM_F_CLONED != 0 {
            return None;
        }
        let everything = match wire.family {
            AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => return None,
        };
        let address = wire.destination().unwrap_or(everything);
        Some(Self { wire, destination: IpNet::new(address, wire.prefix).ok()? })
    }

    /// Returns the next hops: one, or several for a multipath route.
    #[inline]
    pub fn next_hops(&self) -> impl Iterator<Item = NextHopInfo> + use<'a> {
        let hops = self.wire.next_hops();
        hops.map(|hop| NextHopInfo {
            link: hop.index.map(LinkIndex::from),
            gateway: hop.gateway,
            weight: hop.weight,
            on_link: hop.on_link,
        })
    }
}

listed! {
    /// A route as the kernel lists it, a line of `ip route show table all`.
    #[cfg_attr(feature = "serde", derive(serde::Serialize))]
    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    RouteInfo of RouteView as route {
        /// The destination's network. A prefix length of 0 means a default route.
        destination: IpNet = route.destination,
        /// The network of the source addresses that the route applies to (`from`, IPv6).
        #[doc(alias = "RTA_SRC")]
        from: Option<IpNet> = IpNet::new(route.wire.from()?, route.wire.source_prefix).ok(),
        /// The type: how the kernel treats the route's packets.
        kind: RouteType = route.wire.kind.into(),
        /// The routing table: 254 is the main one, 255 the kernel's own.
        table: u32 = route.wire.table(),
        /// The metric. Of several routes to a destination, the kernel uses the one with the lowest
        /// metric.
        metric: u32 = route.wire.priority().unwrap_or(0),
        /// The source address of packets that a socket sends without one.
        source: Option<IpAddr> = route.wire.source(),
        /// The program that created the route, by number (`RTPROT_*`): 2 is the kernel, 78 netloom.
        protocol: u8 = route.wire.protocol,
        /// The scope: how far away the destination is.
        scope: Scope = route.wire.scope.into(),
        /// The path MTU set on the route, in bytes.
        mtu: Option<u32> = route.wire.mtu(),
        /// The TCP segment size in bytes that the kernel announces to peers, if the route sets one.
        advmss: Option<u32> = route.wire.advmss(),
        /// The options: path MTU, hints for TCP, and their locks.
        options: RouteOptions = RouteOptions::read(route.wire.metrics()),
        /// The type of service that packets must have (IPv4); 0 is any.
        tos: u8 = route.wire.tos,
        /// The preference among routes with the same metric (IPv6).
        preference: Option<RoutePreference> = route.wire.preference().map(Into::into),
        /// The realm (IPv4).
        realm: Option<u32> = route.wire.realm(),
        /// The time after which the kernel deletes the route (IPv6). Events leave it out.
        expires: Option<Duration> = route.wire.expires(),
    }
    copies route {
        /// The next hops: one, or several for a multipath route.
        next_hops: Vec<NextHopInfo> = route.next_hops().collect(),
    }
}

impl RouteInfo {
    /// Returns whether the route is a default route.
    pub fn is_default(&self) -> bool {
        self.destination.prefix_len() == 0
    }

    /// Returns the gateway of the first next hop.
    pub fn gateway(&self) -> Option<IpAddr> {
        self.next_hops.first()?.gateway
    }

    /// Formats the route as one line of `ip route`, with the links' names.
    pub fn display<'a>(&'a self, names: &'a LinkNames) -> impl fmt::Display + 'a {
        Show(|f: &mut fmt::Formatter<'_>| self.write(f, names))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, names: &LinkNames) -> fmt::Result {
        if self.kind != RouteType::Unicast {
            write!(f, "{} ", self.kind)?;
        }
        if self.is_default() {
            f.write_str("default")?;
        } else {
            write!(f, "{}", self.destination)?;
        }
        part(f, " from ", self.from)?;
        if self.tos != 0 {
            write!(f, " tos {:#04x}", self.tos)?;
        }
        let (only, several) = match self.next_hops.as_slice() {
            [only] => (Some(only), &[][..]),
            several => (None, several),
        };
        if let Some(hop) = only {
            hop.write(f, names)?;
        }
        part(f, " table ", Some(self.table).filter(|table| *table != MAIN))?;
        write!(f, " proto {}", Show(|f: &mut fmt::Formatter<'_>| protocol(self.protocol, f)))?;
        part(f, " scope ", Some(self.scope).filter(|scope| *scope != Scope::Global))?;
        part(f, " src ", self.source)?;
        part(f, " metric ", Some(self.metric).filter(|metric| *metric != 0))?;
        part(f, " ", Some(&self.options).filter(|options| **options != RouteOptions::NONE))?;
        part(f, " pref ", self.preference.filter(|it| *it != RoutePreference::Medium))?;
        part(f, " realm ", self.realm)?;
        if let Some(left) = self.expires {
            write!(f, " expires {}sec", left.as_secs())?;
        }
        if only.is_some_and(|hop| hop.on_link) {
            f.write_str(" onlink")?;
        }
        several.iter().try_for_each(|hop| {
            f.write_str(" nexthop")?;
            hop.write(f, names)?;
            write!(f, " weight {}", hop.weight)?;
            f.write_str(if hop.on_link { " onlink" } else { "" })
        })
    }
}

impl NextHopInfo {
    fn write(&self, f: &mut fmt::Formatter<'_>, names: &LinkNames) -> fmt::Result {
        part(f, " via ", self.gateway)?;
        part(f, " dev ", self.link.map(|link| names.show(link)))
    }
}

/// Writes the program that created a route: the name in iproute2's `rt_protos`, or the number.
fn protocol(number: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(match number {
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        9 => "ra",
        16 => "dhcp",
        other => return write!(f, "{other}"),
    })
}

/// Formats the route as one line of `ip route`, with the links' indexes: `dev if3`.
impl fmt::Display for RouteInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, LinkNames::NONE)
    }
}
