//! Routes borrowed from the answers that list them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::info::{NextHop, RouteInfo, RouteType};
use crate::error::Error;
use crate::link::LinkIndex;
use crate::netlink::{Batch, RequestType};
use crate::netns::Netns;
use crate::scope::Scope;
use crate::wire::message::{Message, NLM_F_DUMP};
use crate::wire::route::{AF_INET, AF_INET6, RTMSG, RouteView as Wire};

/// A route of a list, borrowed while [`Netns::fold_routes`] reads it. `RouteInfo::from` copies it.
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

    /// The destination's network; a length of 0 is the default route.
    #[inline]
    pub fn destination(&self) -> IpNet {
        self.destination
    }

    /// The only sources that the route is for, as in [`RouteInfo::from`].
    pub fn from(&self) -> Option<IpNet> {
        IpNet::new(self.wire.from()?, self.wire.source_prefix).ok()
    }

    /// The next hops: one, or several for a multipath route.
    #[inline]
    pub fn next_hops(&self) -> impl Iterator<Item = NextHop> + use<'a> {
        let hops = self.wire.next_hops();
        hops.map(|hop| NextHop {
            link: hop.index.map(LinkIndex::from),
            gateway: hop.gateway,
            weight: hop.weight,
            on_link: hop.on_link,
        })
    }

    /// The treatment of packets.
    #[inline]
    pub fn kind(&self) -> RouteType {
        self.wire.kind.into()
    }

    /// The table: 254 is the main one, 255 the kernel's own.
    #[inline]
    pub fn table(&self) -> u32 {
        self.wire.table()
    }

    /// The metric. Of several routes to a destination the lowest counts.
    #[inline]
    pub fn metric(&self) -> u32 {
        self.wire.priority().unwrap_or(0)
    }

    /// The source address for packets that have none yet.
    pub fn source(&self) -> Option<IpAddr> {
        self.wire.source()
    }

    /// The maker of the route, as in [`RouteInfo::protocol`].
    pub fn protocol(&self) -> u8 {
        self.wire.protocol
    }

    /// The distance of the destination.
    pub fn scope(&self) -> Scope {
        self.wire.scope.into()
    }

    /// The path MTU set on the route, in bytes.
    pub fn mtu(&self) -> Option<u32> {
        self.wire.mtu()
    }

    /// The segment size set on the route, as in [`RouteInfo::advmss`].
    pub fn advmss(&self) -> Option<u32> {
        self.wire.advmss()
    }
}

impl From<RouteView<'_>> for RouteInfo {
    fn from(view: RouteView<'_>) -> Self {
        Self {
            destination: view.destination(),
            from: view.from(),
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
    /// Visits all routes of all tables without keeping them: memory stays flat however many they are.
    /// [`routes`](Self::routes) returns them by value.
    ///
    /// A list that changes while it is read is read again. The fold then starts over with a new value of
    /// `start`, so that its result comes from one whole list.
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
    /// [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) if the list changed during all attempts
    /// to read it.
    #[doc(alias("ip route show", "RTM_GETROUTE"))]
    pub fn fold_routes<A>(
        &self,
        start: impl FnMut() -> A,
        mut visit: impl FnMut(&mut A, RouteView<'_>),
    ) -> Result<A, Error> {
        let all =
            |batch: &mut Batch| batch.push(RequestType::GetRoute, NLM_F_DUMP, &[0; RTMSG], |_| ());
        self.fold("routes", all, start, |so_far, message| {
            if let Some(route) = RouteView::read(message) {
                visit(so_far, route);
            }
        })
    }

    /// Lists all routes of all tables, IPv4 and IPv6, as `ip route show table all`. Routes of the main
    /// table, which `route` prints, have a [`table`](RouteInfo::table) of 254.
    /// [`fold_routes`](Self::fold_routes) visits very many routes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) if the list changed during all attempts
    /// to read it.
    #[doc(alias("route", "ip route show", "RTM_GETROUTE"))]
    pub fn routes(&self) -> Result<Vec<RouteInfo>, Error> {
        self.fold_routes(Vec::new, |list, route| list.push(route.into()))
    }
}
