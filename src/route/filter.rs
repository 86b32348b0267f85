//! Filters of routes, to list, to find and to flush them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nix::errno::Errno;

use super::destination::Destination;
use super::handle::RouteHandle;
use super::info::{MAIN, RouteInfo, RouteView};
use super::kind::RouteType;
use super::{RTM_GETROUTE, RTM_NEWROUTE, remove};
use crate::error::{Cause, Error};
use crate::input::{FirstRejected, Input};
use crate::link::LinkRef;
use crate::netlink::Batch;
use crate::netns::Netns;
use crate::text::part;
use crate::wire::attribute::Writer;
use crate::wire::message::{Message, NLM_F_DUMP};
use crate::wire::route::{AF_INET, AF_INET6, RTA_OIF, RTA_TABLE, RTMSG};

/// A filter of routes; with nothing set, all routes of all tables match.
///
/// Replaces `ip route show` and `ip route flush` with a selector. The kernel itself looks at the
/// family, the table, the link, the type and the protocol, so that a list of few routes among many
/// is quick.
///
/// ```
/// use netloom::{Namespace, Route, RouteFilter};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// let _lost = Route::blackhole("10.66.0.0/16").table(77).create(&host)?;
/// let of_table = RouteFilter::new().table(77);
/// assert_eq!(of_table.list(&host)?.len(), 1);
/// // ip route flush table 77
/// assert_eq!(of_table.flush(&host)?, 1);
/// # Ok::<(), netloom::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a filter does nothing until `list` or `flush`"]
pub struct RouteFilter {
    is_ipv6: Option<bool>,
    table: Option<u32>,
    link: Option<LinkRef>,
    kind: Option<RouteType>,
    protocol: Option<u8>,
    destination: Option<Destination>,
    within: Option<IpNet>,
    gateway: Option<IpAddr>,
    metric: Option<u32>,
    rejected: FirstRejected,
}

/// The protocol numbers of routes that the kernel makes: for redirects, for addresses, and for
/// router advertisements (`RTPROT_REDIRECT`, `RTPROT_KERNEL`, `RTPROT_RA`).
const OF_KERNEL: [u8; 3] = [1, 2, 9];

impl RouteFilter {
    /// Matches all routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Matches IPv4 routes.
    pub fn ipv4(mut self) -> Self {
        self.is_ipv6 = Some(false);
        self
    }

    /// Matches IPv6 routes.
    pub fn ipv6(mut self) -> Self {
        self.is_ipv6 = Some(true);
        self
    }

    /// Matches routes of this table, as `table N`. 254 is the main one.
    pub fn table(mut self, table: u32) -> Self {
        if table == 0 {
            self.rejected.reject("table", 0, "there is no table 0; the main one is 254");
        }
        self.table = Some(table);
        self
    }

    /// Matches routes with a next hop out of this link, as `dev NAME`.
    pub fn dev(mut self, link: impl Into<LinkRef>) -> Self {
        self.link = Some(link.into());
        self
    }

    /// Matches routes of this type, as `type blackhole`.
    pub fn kind(mut self, kind: impl Into<RouteType>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Matches routes made by this program, as `proto N`. 78 is netloom.
    pub fn protocol(mut self, protocol: u8) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Matches routes to exactly this destination, as `exact PREFIX`. `default` is that of both
    /// families.
    pub fn destination(mut self, destination: impl Input<Destination>) -> Self {
        self.destination = self.rejected.read("destination", destination).or(self.destination);
        self
    }

    /// Matches routes to this network and to networks within, as `root PREFIX`.
    #[doc(alias = "ip route show root")]
    pub fn within(mut self, network: impl Input<Destination>) -> Self {
        match self.rejected.read("within", network) {
            Some(Destination::Network(network)) => self.within = Some(network),
            Some(default) => {
                self.rejected.reject("within", default, "write 0.0.0.0/0 or ::/0: the family");
            }
            None => {}
        }
        self
    }

    /// Matches routes with a next hop by this gateway, as `via GATEWAY`.
    pub fn via(mut self, gateway: impl Input<IpAddr>) -> Self {
        self.gateway = self.rejected.read("via", gateway).or(self.gateway);
        self
    }

    /// Matches routes with this metric, as `metric N`.
    pub fn metric(mut self, metric: u32) -> Self {
        self.metric = Some(metric);
        self
    }

    /// Lists the routes that match.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` for a bad literal, before any system call
    /// - `is_not_found()` if the link doesn't exist
    /// - [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) if the list changed during all
    ///   attempts to read it
    #[doc(alias("ip route show", "ip route list", "RTM_GETROUTE"))]
    pub fn list(&self, netns: &Netns) -> Result<Vec<RouteInfo>, Error> {
        self.fold(netns, Vec::new, |list, route| list.push(route.into()))
    }

    /// Visits the routes that match without keeping them, as
    /// [`fold_routes`](Netns::fold_routes) does.
    ///
    /// # Errors
    ///
    /// Those of [`list`](Self::list).
    pub fn fold<A>(
        &self,
        netns: &Netns,
        start: impl FnMut() -> A,
        mut visit: impl FnMut(&mut A, RouteView<'_>),
    ) -> Result<A, Error> {
        self.fold_messages("list", netns, start, |so_far, route, _| visit(so_far, route))
    }

    /// Deletes the routes that match, except those that the kernel made: of protocol `kernel`,
    /// `redirect` and `ra`. Returns how many. Routes are deleted one by one, a hundred in a
    /// datagram, so others may be left after an error.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` for a bad literal, if nothing is set in the filter, and for a
    ///   protocol of the kernel, before any system call
    /// - those of [`list`](Self::list)
    #[doc(alias("ip route flush", "RTM_DELROUTE"))]
    pub fn flush(&self, netns: &Netns) -> Result<usize, Error> {
        const ACTION: &str = "flush";
        let refuse = |reason| Err(Error::invalid(ACTION, self, reason).in_namespace(netns));
        if *self == Self::default() {
            return refuse(
                "an empty filter matches all routes of the namespace: set what to match",
            );
        }
        if self.protocol.is_some_and(|protocol| OF_KERNEL.contains(&protocol)) {
            return refuse("routes that the kernel made are not flushed");
        }
        let found =
            self.fold_messages(ACTION, netns, Batch::default, |found, route, message| {
                if !OF_KERNEL.contains(&route.protocol()) {
                    remove::push_whole(found, message);
                }
            })?;
        match remove::delete_listed(netns, &found) {
            Ok(missed) => Ok(found.len() - missed),
            Err(cause) => Err(cause.doing(ACTION, self).in_namespace(netns)),
        }
    }

    fn fold_messages<A>(
        &self,
        action: &'static str,
        netns: &Netns,
        mut start: impl FnMut() -> A,
        mut visit: impl FnMut(&mut A, RouteView<'_>, Message<'_>),
    ) -> Result<A, Error> {
        self.rejected.check(action, self).map_err(|error| error.in_namespace(netns))?;
        let link = self.link.as_ref().map(|link| link.resolve(netns, action, self)).transpose()?;
        let mut question = Batch::default();
        question.request(RTM_GETROUTE, NLM_F_DUMP, |out| self.write(link, out));
        let listed = netns.rtnetlink(|socket| {
            socket.fold(&mut question, &mut start, |so_far, message| {
                if let Some(route) = RouteView::read(message)
                    && self.matches(link, route)
                {
                    visit(so_far, route, message);
                }
            })
        });
        match listed {
            // The family has no such table.
            Err(cause) if self.table.is_some() && cause.errno() == Some(Errno::ENOENT) => {
                Ok(start())
            }
            listed => listed.map_err(|cause| cause.doing(action, self).in_namespace(netns)),
        }
    }

    /// Appends `struct rtmsg` and the attributes by which the kernel filters.
    fn write(&self, link: Option<u32>, out: &mut Vec<u8>) {
        let mut header = [0; RTMSG];
        header[0] = match self.family_is_ipv6() {
            Some(true) => AF_INET6,
            Some(false) => AF_INET,
            None => 0,
        };
        header[5] = self.protocol.unwrap_or(0);
        header[7] = self.kind.map_or(0, u8::from);
        out.extend_from_slice(&header);
        let mut attributes = Writer::new(out);
        if let Some(table) = self.table {
            attributes.u32(RTA_TABLE, table);
        }
        if let Some(link) = link {
            attributes.u32(RTA_OIF, link);
        }
    }

    /// Returns the only family that can match.
    fn family_is_ipv6(&self) -> Option<bool> {
        let of = |net: IpNet| net.addr().is_ipv6();
        let destination = match self.destination {
            Some(Destination::Network(network)) => Some(of(network)),
            _ => None,
        };
        self.is_ipv6.or(destination).or(self.within.map(of))
    }

    fn matches(&self, link: Option<u32>, route: RouteView<'_>) -> bool {
        let to = route.destination();
        let is_destination = |destination: Destination| match destination {
            Destination::Default => to.prefix_len() == 0,
            Destination::Network(network) => to == network,
        };
        let is = |wanted: Option<u32>, is: u32| wanted.is_none_or(|wanted| wanted == is);
        let has_link = |index: u32| route.next_hops().any(|hop| hop.link == Some(index.into()));
        let has_gateway = |gateway| route.next_hops().any(|hop| hop.gateway == Some(gateway));
        self.is_ipv6.is_none_or(|ipv6| ipv6 == to.addr().is_ipv6())
            && is(self.table, route.table())
            && is(self.metric, route.metric())
            && self.kind.is_none_or(|kind| kind == route.kind())
            && self.protocol.is_none_or(|protocol| protocol == route.protocol())
            && self.destination.is_none_or(is_destination)
            && self.within.is_none_or(|network| network.contains(&to))
            && link.is_none_or(has_link)
            && self.gateway.is_none_or(has_gateway)
    }
}

impl Netns {
    /// Finds a route by its destination or a filter, whichever program made it. Of several, the one
    /// with the lowest metric is found. The table is the main one unless the filter has another.
    ///
    /// [`Owned::adopt`](crate::Owned::adopt) takes on the duty to delete the route,
    /// [`change`](RouteHandle::change) changes it. What a killed program with netloom left has the
    /// protocol number 78.
    ///
    /// ```
    /// use netloom::{Namespace, Owned, Route, RouteFilter};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// Route::blackhole("10.66.0.0/16").create(&host)?.keep();
    /// Route::blackhole("10.66.0.0/16").table(77).create(&host)?.keep();
    /// Owned::adopt(host.route("10.66.0.0/16")?).delete()?;
    /// let aside = host.route(RouteFilter::new().protocol(78).table(77))?;
    /// assert_eq!(aside.info()?.to_string(), "blackhole 10.66.0.0/16 table 77 proto 78");
    /// # Owned::adopt(aside).delete()?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if no route matches
    /// - those of [`RouteFilter::list`]
    #[doc(alias("ip route show exact", "RTM_GETROUTE"))]
    pub fn route(&self, filter: impl Into<RouteFilter>) -> Result<RouteHandle, Error> {
        const ACTION: &str = "find";
        let mut filter = filter.into();
        filter.table = filter.table.or(Some(MAIN));
        let first = filter.fold_messages(
            ACTION,
            self,
            || None,
            |found, route, message| {
                let rank = (route.destination().addr().is_ipv6(), route.metric());
                if found.as_ref().is_none_or(|(least, _)| rank < *least) {
                    let mut batch = Batch::default();
                    batch.request(RTM_NEWROUTE, 0, |out| out.extend_from_slice(message.payload));
                    *found = Some((rank, batch));
                }
            },
        )?;
        let Some((_, batch)) = first else {
            let gone = Cause::from(Errno::ESRCH).doing(ACTION, filter).in_namespace(self);
            return Err(gone.hint("no such route is there"));
        };
        Ok(RouteHandle::new(self.clone(), batch))
    }
}

macro_rules! from_destination {
    ($($from:ty),+) => {$(
        /// Matches routes to exactly this destination.
        impl From<$from> for RouteFilter {
            fn from(destination: $from) -> Self {
                Self::new().destination(destination)
            }
        }
    )+};
}
from_destination!(&str, String, &String, Destination, IpNet, Ipv4Net, Ipv6Net, IpAddr);

impl From<Ipv4Addr> for RouteFilter {
    fn from(host: Ipv4Addr) -> Self {
        Self::from(IpAddr::V4(host))
    }
}

impl From<Ipv6Addr> for RouteFilter {
    fn from(host: Ipv6Addr) -> Self {
        Self::from(IpAddr::V6(host))
    }
}

impl fmt::Display for RouteFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("routes")?;
        part(f, " to ", self.destination)?;
        part(f, " within ", self.within)?;
        part(f, " via ", self.gateway)?;
        part(f, " dev ", self.link.as_ref().map(LinkRef::name))?;
        part(f, " table ", self.table)?;
        part(f, " metric ", self.metric)?;
        part(f, " type ", self.kind)?;
        part(f, " proto ", self.protocol)
    }
}
