//! Routes as the kernel lists them.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::link::LinkIndex;
use crate::link_names::{LinkNames, Show};
use crate::numbered::numbered;
use crate::scope::Scope;

/// The main table, which `ip route` prints.
pub(super) const MAIN: u32 = 254;

numbered! {
    /// The treatment of packets, the first word of a line of `ip route` if not `unicast`.
    #[doc(alias = "RTN_UNICAST")]
    RouteType: u8 {
        /// Packets are forwarded.
        Unicast = 1 "unicast",
        /// Packets are delivered to this host.
        Local = 2 "local",
        /// Packets are delivered to this host, and sent as link broadcasts.
        Broadcast = 3 "broadcast",
        /// Packets are delivered to this host, one of several with the address.
        Anycast = 4 "anycast",
        /// Packets are sent to a group.
        Multicast = 5 "multicast",
        /// Packets are dropped without an answer.
        Blackhole = 6 "blackhole",
        /// Packets are rejected as unreachable.
        Unreachable = 7 "unreachable",
        /// Packets are rejected as prohibited.
        Prohibit = 8 "prohibit",
        /// The lookup continues in the next table.
        Throw = 9 "throw",
    }
}

/// A next hop of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NextHop {
    /// The index of the link.
    pub link: Option<LinkIndex>,
    /// The gateway.
    pub gateway: Option<IpAddr>,
    /// The hop's share among the route's hops.
    pub weight: u16,
    /// The gateway is taken for reachable on the link (`onlink`).
    pub on_link: bool,
}

/// A route as the kernel lists it, a line of `ip route show table all`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RouteInfo {
    /// The destination's network; a length of 0 is the default route.
    pub destination: IpNet,
    /// The only sources that the route is for (`from`, IPv6).
    #[doc(alias = "RTA_SRC")]
    pub from: Option<IpNet>,
    /// The next hops: one, or several for a multipath route.
    pub next_hops: Vec<NextHop>,
    /// The treatment of packets.
    pub kind: RouteType,
    /// The table: 254 is the main one, 255 the kernel's own.
    pub table: u32,
    /// The metric. Of several routes to a destination the lowest counts.
    pub metric: u32,
    /// The source address for packets that have none yet.
    pub source: Option<IpAddr>,
    /// The maker of the route, by number (`RTPROT_*`): 2 is the kernel, 78 netloom.
    pub protocol: u8,
    /// The distance of the destination.
    pub scope: Scope,
    /// The path MTU set on the route, in bytes.
    pub mtu: Option<u32>,
    /// The segment size set on the route for TCP to announce to peers, in bytes.
    pub advmss: Option<u32>,
}

impl RouteInfo {
    /// Reports whether the route is a default route.
    pub fn is_default(&self) -> bool {
        self.destination.prefix_len() == 0
    }

    /// The gateway of the first hop.
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
        if let Some(from) = self.from {
            write!(f, " from {from}")?;
        }
        let (only, several) = match self.next_hops.as_slice() {
            [only] => (Some(only), &[][..]),
            several => (None, several),
        };
        if let Some(hop) = only {
            hop.write(f, names)?;
        }
        if self.table != MAIN {
            write!(f, " table {}", self.table)?;
        }
        write!(f, " proto {}", Show(|f: &mut fmt::Formatter<'_>| protocol(self.protocol, f)))?;
        if self.scope != Scope::Global {
            write!(f, " scope {}", self.scope)?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if self.metric != 0 {
            write!(f, " metric {}", self.metric)?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some(advmss) = self.advmss {
            write!(f, " advmss {advmss}")?;
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

impl NextHop {
    fn write(&self, f: &mut fmt::Formatter<'_>, names: &LinkNames) -> fmt::Result {
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        match self.link {
            Some(link) => write!(f, " dev {}", names.show(link)),
            None => Ok(()),
        }
    }
}

/// Writes the maker of a route, by the name in iproute2's `rt_protos` or by number.
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
