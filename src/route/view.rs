//! A route as the kernel lists it, borrowed from the answer it came in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::info::{NextHop, RouteInfo, RouteType};
use crate::error::Error;
use crate::netlink::{RequestType, RouteRequest};
use crate::netns::Netns;
use crate::wire::message::Message;
use crate::wire::route::{AF_INET, AF_INET6, RTMSG, RouteView as Wire};

/// A route of a list, lent while it is read: see [`Netns::fold_routes`]. It says what a [`RouteInfo`] says,
/// which is made of it by `RouteInfo::from`.
#[derive(Debug, Clone, Copy)]
pub struct RouteView<'a> {
    wire: Wire<'a>,
    destination: IpNet,
}

impl<'a> RouteView<'a> {
    #[inline] // moved about it would cost what reading it does
    pub(super) fn read(message: Message<'a>) -> Option<Self> {
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

    /// The network it leads to; a length of 0 is the default route.
    #[inline]
    pub fn destination(&self) -> IpNet {
        self.destination
    }

    /// The ways it goes: one, or several for a multipath route.
    #[inline]
    pub fn next_hops(&self) -> impl Iterator<Item = NextHop> + use<'a> {
        let hops = self.wire.next_hops();
        hops.map(|hop| NextHop {
            link: hop.index.map(Into::into),
            gateway: hop.gateway,
            weight: hop.weight,
        })
    }

    /// What it does with packets.
    #[inline]
    pub fn kind(&self) -> RouteType {
        self.wire.kind.into()
    }

    /// The table it is in: 254 is the main one, 255 the kernel's own.
    #[inline]
    pub fn table(&self) -> u32 {
        self.wire.table()
    }

    /// Its metric: the lowest counts.
    #[inline]
    pub fn metric(&self) -> u32 {
        self.wire.priority().unwrap_or(0)
    }

    /// The source address for packets that have none yet.
    pub fn source(&self) -> Option<IpAddr> {
        self.wire.source()
    }

    /// Who made it, as in [`RouteInfo::protocol`].
    pub fn protocol(&self) -> u8 {
        self.wire.protocol
    }

    /// How far the destination is, as in [`RouteInfo::scope`].
    pub fn scope(&self) -> u8 {
        self.wire.scope
    }

    /// Its path MTU in bytes, where it has one.
    pub fn mtu(&self) -> Option<u32> {
        self.wire.mtu()
    }

    /// The segment size that TCP announces by it, as in [`RouteInfo::advmss`].
    pub fn advmss(&self) -> Option<u32> {
        self.wire.advmss()
    }
}

impl From<RouteView<'_>> for RouteInfo {
    fn from(view: RouteView<'_>) -> Self {
        Self {
            destination: view.destination(),
            next_hops: view.next_hops().collect(),
            kind: view.kind(),
            table: view.table(),
            metric: view.metric(),
            source: view.source(),
            protocol: view.protocol(),
            scope: view.scope(),
            mtu: view.mtu(),
            advmss: view.advmss(),
        }
    }
}

impl Netns {
    /// Goes through all routes of all tables without keeping them: memory stays flat however many they
    /// are. As [`routes`](Self::routes), which returns them by value.
    ///
    /// A list that changes while it is read is read again, and the fold begins anew with `start`, so that
    /// what is returned was made of one whole list.
    ///
    /// ```
    /// use netloom::{Namespace, VethEnd, VethPair};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let _cable = VethPair::new(VethEnd::new("veth1").address("10.0.0.2/24").up(), "veth2").create(&red)?;
    /// let in_main = red.fold_routes(|| 0, |count, route| *count += u32::from(route.table() == 254))?;
    /// assert_eq!(in_main, 1);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where the list changed each time it was read.
    #[doc(alias("ip route show", "RTM_GETROUTE"))]
    pub fn fold_routes<A>(
        &self,
        start: impl FnMut() -> A,
        mut visit: impl FnMut(&mut A, RouteView<'_>),
    ) -> Result<A, Error> {
        let all = RouteRequest::new(RequestType::GetRoute, &[0; RTMSG], |_| ());
        self.fold("routes", &all, start, |so_far, message| {
            if let Some(route) = RouteView::read(message) {
                visit(so_far, route);
            }
        })
    }

    /// All routes of all tables, IPv4 and IPv6, as `ip route show table all`. The main table's, which
    /// `route` prints, are those with [`table`](RouteInfo::table) 254. For very many there is
    /// [`fold_routes`](Self::fold_routes).
    ///
    /// # Errors
    ///
    /// Where the list changed each time it was read: it is whole, or an error.
    #[doc(alias("route", "ip route show", "RTM_GETROUTE"))]
    pub fn routes(&self) -> Result<Vec<RouteInfo>, Error> {
        self.fold_routes(Vec::new, |list, route| list.push(route.into()))
    }
}
