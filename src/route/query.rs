//! The route that packets would take.

use std::fmt;
use std::net::IpAddr;

use nix::errno::Errno;

use super::RTM_GETROUTE;
use super::info::{RouteInfo, RouteView};
use crate::error::Error;
use crate::input::{FirstRejected, Input};
use crate::link::{LinkIndex, LinkRef};
use crate::netlink::Batch;
use crate::netns::Netns;
use crate::text::part;
use crate::wire::attribute::Writer;
use crate::wire::route::{
    AF_INET, AF_INET6, RTA_DST, RTA_IIF, RTA_MARK, RTA_OIF, RTA_SRC, RTA_UID, RouteView as Wire,
};

/// A question for the route that packets to an address would take, by all rules and tables.
///
/// Replaces `ip route get ADDRESS` with `from`, `mark`, `uid`, `iif` and `oif`.
///
/// ```
/// use netloom::{Namespace, RouteQuery, VethEnd, VethPair};
/// # netloom::sandbox::enter()?;
///
/// let red = Namespace::anonymous().create()?;
/// let end = VethEnd::new("eth0").address("10.0.0.2/24").gateway("10.0.0.1").up();
/// let _cable = VethPair::new(end, "veth2").create(&red)?;
/// let taken = RouteQuery::new("192.0.2.7").mark(5).send(&red)?;
/// assert_eq!(taken.gateway, Some("10.0.0.1".parse().unwrap()));
/// assert_eq!(taken.source, Some("10.0.0.2".parse().unwrap()));
/// assert_eq!((taken.route.table, taken.route.is_default()), (254, true));
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: ip-route(8), `net/ipv4/route.c`, `net/ipv6/route.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a question does nothing until `send`"]
pub struct RouteQuery {
    destination: Option<IpAddr>,
    source: Option<IpAddr>,
    mark: Option<u32>,
    uid: Option<u32>,
    iif: Option<LinkRef>,
    oif: Option<LinkRef>,
    rejected: FirstRejected,
}

/// The way that packets would take.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TakenRoute {
    /// The route, with its table. In a namespace whose rules nobody changed the kernel tells the
    /// main table for the local one, too.
    pub route: RouteInfo,
    /// The index of the link that packets leave by, or the loopback link for this host's own
    /// addresses.
    pub link: Option<LinkIndex>,
    /// The gateway. Of a multipath route, the one that the kernel chose.
    pub gateway: Option<IpAddr>,
    /// The source address of packets that have none yet.
    pub source: Option<IpAddr>,
}

impl RouteQuery {
    /// A question for packets to this address.
    pub fn new(destination: impl Input<IpAddr>) -> Self {
        let mut rejected = FirstRejected::default();
        let destination = rejected.read("destination", destination);
        if let Some(unspecified) = destination.filter(IpAddr::is_unspecified) {
            rejected.reject("destination", unspecified, "no packet goes to this address");
        }
        let (source, mark, uid, iif, oif) = (None, None, None, None, None);
        Self { destination, source, mark, uid, iif, oif, rejected }
    }

    /// Sets the source address of the packets, as `from ADDRESS`. Without [`iif`](Self::iif) this
    /// host must have the address.
    pub fn source(mut self, source: impl Input<IpAddr>) -> Self {
        self.source = self.rejected.read("source", source).or(self.source);
        self
    }

    /// Sets the mark of the packets, as `mark N`.
    pub fn mark(mut self, mark: u32) -> Self {
        self.mark = Some(mark);
        self
    }

    /// Sets the user that sends the packets, as `uid N`. Default: the caller.
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// Asks for packets that arrive by this link, as `iif NAME`. IPv4 packets need
    /// [`source`](Self::source) then.
    pub fn iif(mut self, link: impl Into<LinkRef>) -> Self {
        self.iif = Some(link.into());
        self
    }

    /// Asks for packets of a socket bound to this link, as `oif NAME`.
    pub fn oif(mut self, link: impl Into<LinkRef>) -> Self {
        self.oif = Some(link.into());
        self
    }

    /// Asks the kernel.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` for a bad literal and addresses of two families, before any system
    ///   call
    /// - `is_not_found()` if a link doesn't exist
    /// - `ENETUNREACH` if no route leads to the address; `EHOSTUNREACH`, `EACCES` and `EINVAL` for
    ///   an `unreachable`, a `prohibit` and a `blackhole` route
    #[doc(alias("ip route get", "RTM_GETROUTE"))]
    pub fn send(&self, netns: &Netns) -> Result<TakenRoute, Error> {
        const ACTION: &str = "find the route to";
        const RTM_F_FIB_MATCH: u32 = 0x2000;
        self.rejected.check(ACTION, self).map_err(|error| error.in_namespace(netns))?;
        let ipv6 = self.destination.is_some_and(|destination| destination.is_ipv6());
        if self.source.is_some_and(|source| source.is_ipv6() != ipv6) {
            let reason = "the source is of another family than the destination";
            return Err(Error::invalid(ACTION, self, reason).in_namespace(netns));
        }
        let index =
            |link: Option<&LinkRef>| link.map(|link| link.resolve(netns, ACTION, self)).transpose();
        let links = [index(self.iif.as_ref())?, index(self.oif.as_ref())?];
        let failed =
            |cause: crate::error::Cause| explain(cause.doing(ACTION, self).in_namespace(netns));
        // One asks for the way, the other for the route in its table.
        let mut batch = Batch::default();
        for flags in [0, RTM_F_FIB_MATCH] {
            batch.request(RTM_GETROUTE, 0, |out| self.write(flags, links, out));
        }
        let (mut way, mut route) = (None, None);
        let refusals = netns.rtnetlink(|socket| {
            socket.exchange(&mut batch, |place, answer| match place {
                0 => {
                    way = Wire::read(answer).map(|way| {
                        let hop = way.next_hops().next();
                        let link = hop.and_then(|hop| hop.index).map(LinkIndex::from);
                        (link, hop.and_then(|hop| hop.gateway), way.source())
                    });
                }
                _ => route = RouteView::read(answer).map(RouteInfo::from),
            })
        });
        if let Some((_, refusal)) = refusals.map_err(failed)?.into_iter().next() {
            return Err(failed(refusal.into()));
        }
        match (way, route) {
            (Some((link, gateway, source)), Some(route)) => {
                Ok(TakenRoute { route, link, gateway, source })
            }
            _ => Err(failed(crate::error::Cause::Malformed("the answer has no route"))),
        }
    }

    /// Appends `struct rtmsg` and the attributes.
    fn write(&self, flags: u32, [iif, oif]: [Option<u32>; 2], out: &mut Vec<u8>) {
        let ipv6 = self.destination.is_some_and(|destination| destination.is_ipv6());
        let (family, bits) = if ipv6 { (AF_INET6, 128) } else { (AF_INET, 32) };
        let source_bits = if self.source.is_some() { bits } else { 0 };
        out.extend_from_slice(&[family, bits, source_bits, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&flags.to_ne_bytes());
        let mut attributes = Writer::new(out);
        for (kind, address) in [(RTA_DST, self.destination), (RTA_SRC, self.source)] {
            if let Some(address) = address {
                attributes.ip(kind, address);
            }
        }
        let numbers = [(RTA_IIF, iif), (RTA_OIF, oif), (RTA_MARK, self.mark), (RTA_UID, self.uid)];
        for (kind, number) in numbers {
            if let Some(number) = number {
                attributes.u32(kind, number);
            }
        }
    }
}

/// Adds the meaning of the kernel's errno for the way of a packet.
fn explain(error: Error) -> Error {
    error
        .hint_on(Errno::ENETUNREACH, || "no route leads to the address".into())
        .hint_on(Errno::EHOSTUNREACH, || {
            "an `unreachable` route refuses such packets, or the link that they arrive by doesn't \
             forward"
                .into()
        })
        .hint_on(Errno::EACCES, || "a `prohibit` route refuses such packets".into())
        .hint_on(Errno::EINVAL, || {
            "a `blackhole` route drops such packets, or this host doesn't have the source address"
                .into()
        })
}

impl fmt::Display for RouteQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.destination {
            Some(destination) => write!(f, "{destination}")?,
            None => f.write_str("(no destination)")?,
        }
        part(f, " from ", self.source)?;
        part(f, " iif ", self.iif.as_ref().map(LinkRef::name))?;
        part(f, " oif ", self.oif.as_ref().map(LinkRef::name))?;
        part(f, " mark ", self.mark)?;
        part(f, " uid ", self.uid)
    }
}

impl Netns {
    /// Asks for the route that packets to an address would take, as `ip route get ADDRESS`.
    /// [`RouteQuery`] has more to ask.
    ///
    /// # Errors
    ///
    /// Those of [`RouteQuery::send`].
    #[doc(alias("ip route get", "RTM_GETROUTE"))]
    pub fn route_to(&self, destination: impl Input<IpAddr>) -> Result<TakenRoute, Error> {
        RouteQuery::new(destination).send(self)
    }
}
