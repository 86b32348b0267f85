//! A route as the kernel lists it.

use crate::link::LinkIndex;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// What a route does with packets, the first word of a line of `ip route` where it is not `unicast`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RouteType {
    /// Sends them on.
    Unicast,
    /// Takes them in.
    Local,
    /// Takes them in and sends them to all on a link.
    Broadcast,
    /// Takes them in, as one of several.
    Anycast,
    /// Sends them to a group.
    Multicast,
    /// Drops them without a word.
    Blackhole,
    /// Refuses them: unreachable.
    Unreachable,
    /// Refuses them: prohibited.
    Prohibit,
    /// Has the next table looked at.
    Throw,
    /// Another, by its number (`RTN_*`).
    Other(u8),
}

impl From<u8> for RouteType {
    fn from(kind: u8) -> Self {
        match kind {
            1 => Self::Unicast,
            2 => Self::Local,
            3 => Self::Broadcast,
            4 => Self::Anycast,
            5 => Self::Multicast,
            6 => Self::Blackhole,
            7 => Self::Unreachable,
            8 => Self::Prohibit,
            9 => Self::Throw,
            other => Self::Other(other),
        }
    }
}

/// One way a route goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NextHop {
    /// The index of the link.
    pub link: Option<LinkIndex>,
    /// The gateway, where there is one.
    pub gateway: Option<IpAddr>,
    /// Its share among the route's hops.
    pub weight: u16,
}

/// A route as the kernel lists it, a line of `ip route show table all`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteInfo {
    /// The network it leads to; a length of 0 is the default route.
    pub destination: IpNet,
    /// The ways it goes: one, or several for a multipath route.
    pub next_hops: Vec<NextHop>,
    /// What it does with packets.
    pub kind: RouteType,
    /// The table it is in: 254 is the main one, 255 the kernel's own.
    pub table: u32,
    /// Its metric.
    pub metric: u32,
    /// The source address for packets that have none.
    pub source: Option<IpAddr>,
    /// Who made it, by number (`RTPROT_*`): 2 is the kernel, 78 netloom.
    pub protocol: u8,
    /// How far its destination is, by number (`RT_SCOPE_*`): 0 anywhere, 253 on a link.
    pub scope: u8,
    /// The path MTU set on it, in bytes.
    pub mtu: Option<u32>,
    /// The segment size that TCP announces to peers by it, in bytes, where it has one.
    pub advmss: Option<u32>,
}

impl RouteInfo {
    /// Whether it is a default route.
    pub fn is_default(&self) -> bool {
        self.destination.prefix_len() == 0
    }

    /// The gateway of its first hop.
    pub fn gateway(&self) -> Option<IpAddr> {
        self.next_hops.first()?.gateway
    }
}

/// One line, in the words of `ip route`.
impl fmt::Display for RouteInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_default() {
            f.write_str("default")?;
        } else {
            write!(f, "{}", self.destination)?;
        }
        for hop in &self.next_hops {
            if let Some(gateway) = hop.gateway {
                write!(f, " via {gateway}")?;
            }
            if let Some(link) = hop.link {
                write!(f, " dev if{link}")?;
            }
        }
        match self.metric {
            0 => Ok(()),
            metric => write!(f, " metric {metric}"),
        }
    }
}
