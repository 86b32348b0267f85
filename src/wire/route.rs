//! A route as the kernel lists it: `struct rtmsg` and its attributes.
//!
//! ```text
//!  0        1         2         3     4       5          6       7      8       12
//!  | family | dst len | src len | tos | table | protocol | scope | type | flags | attributes …
//!
//! RTA_DST 1 address    RTA_SRC      2 address    RTA_OIF       4 u32
//! RTA_GATEWAY 5 address  RTA_PRIORITY 6 u32
//! RTA_PREFSRC 7 address RTA_METRICS 8 nest       RTA_MULTIPATH 9 next hops RTA_TABLE   15 u32
//! RTA_VIA 18 family (u16) and address   RTA_IIF 3 u32   RTA_FLOW 11 u32   RTA_CACHEINFO 12 struct
//! RTA_MARK 16 u32   RTA_PREF 20 u8   RTA_EXPIRES 23 u32   RTA_UID 25 u32
//! struct rtnexthop: length (u16), flags (u8), hops (u8, weight - 1), index (u32), attributes
//! ```
//!
//! Source: rtnetlink(7), include/uapi/linux/rtnetlink.h.

use std::net::IpAddr;
use std::time::Duration;

use super::attribute::{Attribute, Attributes, aligned};
use super::indexed::Indexed;
use super::message::Message;

pub(crate) const RTA_DST: u16 = 1;
pub(crate) const RTA_SRC: u16 = 2;
pub(crate) const RTA_OIF: u16 = 4;
pub(crate) const RTA_GATEWAY: u16 = 5;
pub(crate) const RTA_PRIORITY: u16 = 6;
pub(crate) const RTA_PREFSRC: u16 = 7;
pub(crate) const RTA_METRICS: u16 = 8;
pub(crate) const RTA_MULTIPATH: u16 = 9;
pub(crate) const RTA_TABLE: u16 = 15;
pub(crate) const RTA_VIA: u16 = 18;
pub(crate) const RTA_IIF: u16 = 3;
pub(crate) const RTA_FLOW: u16 = 11;
const RTA_CACHEINFO: u16 = 12;
pub(crate) const RTA_MARK: u16 = 16;
pub(crate) const RTA_PREF: u16 = 20;
pub(crate) const RTA_EXPIRES: u16 = 23;
pub(crate) const RTA_UID: u16 = 25;
const RTAX_MTU: u16 = 2;
const RTAX_ADVMSS: u16 = 8;

pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_INET6: u8 = 10;

/// The length of `struct rtmsg`.
pub(crate) const RTMSG: usize = 12;
const RTNEXTHOP: usize = 8;
pub(crate) const RTNH_F_ONLINK: u32 = 4;

/// A route borrowed from the message. One pass finds its attributes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RouteView<'a> {
    pub(crate) family: u8,
    pub(crate) prefix: u8,
    /// The prefix length of the sources that the route is for (IPv6).
    pub(crate) source_prefix: u8,
    /// The type of service (IPv4).
    pub(crate) tos: u8,
    pub(crate) protocol: u8,
    pub(crate) scope: u8,
    pub(crate) kind: u8,
    /// `RTM_F_CLONED` and the like.
    pub(crate) flags: u32,
    short_table: u8,
    pub(super) attributes: Indexed<'a, { RTA_VIA as usize + 1 }>,
}

/// A next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextHopView {
    pub(crate) index: Option<u32>,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) weight: u16,
    pub(crate) on_link: bool,
}

impl<'a> RouteView<'a> {
    #[inline]
    pub(crate) fn read(message: Message<'a>) -> Option<Self> {
        let (header, attributes) = message.split::<RTMSG>()?;
        let [family, prefix, source_prefix, tos, short_table, protocol, scope, kind, flags @ ..] =
            *header;
        Some(Self {
            family,
            prefix,
            source_prefix,
            tos,
            protocol,
            scope,
            kind,
            flags: u32::from_ne_bytes(flags),
            short_table,
            attributes: Indexed::new(attributes),
        })
    }

    #[inline]
    pub(crate) fn destination(&self) -> Option<IpAddr> {
        self.attributes.get(RTA_DST)?.ip()
    }

    /// The sources that the route is for.
    pub(crate) fn from(&self) -> Option<IpAddr> {
        self.attributes.get(RTA_SRC)?.ip()
    }

    #[inline]
    pub(crate) fn gateway(&self) -> Option<IpAddr> {
        gateway(|kind| self.attributes.get(kind))
    }

    #[inline]
    pub(crate) fn output(&self) -> Option<u32> {
        self.attributes.u32(RTA_OIF)
    }

    #[inline]
    pub(crate) fn priority(&self) -> Option<u32> {
        self.attributes.u32(RTA_PRIORITY)
    }

    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.attributes.get(RTA_PREFSRC)?.ip()
    }

    pub(crate) fn mtu(&self) -> Option<u32> {
        self.metrics().get(RTAX_MTU)?.u32()
    }

    pub(crate) fn advmss(&self) -> Option<u32> {
        self.metrics().get(RTAX_ADVMSS)?.u32()
    }

    pub(crate) fn metrics(&self) -> Attributes<'a> {
        self.attributes.get(RTA_METRICS).map(Attribute::nested).unwrap_or_default()
    }

    pub(crate) fn preference(&self) -> Option<u8> {
        let listed = || self.attributes.all().get(RTA_PREF)?.u8();
        if self.family == AF_INET6 { listed() } else { None }
    }

    pub(crate) fn realm(&self) -> Option<u32> {
        self.attributes.u32(RTA_FLOW)
    }

    /// The time after which the kernel deletes the route: `rta_expires` in `struct rta_cacheinfo`,
    /// in hundredths of a second.
    pub(crate) fn expires(&self) -> Option<Duration> {
        let [.., e0, e1, e2, e3] = self.attributes.get(RTA_CACHEINFO)?.array::<12>()?;
        let left = u64::try_from(i32::from_ne_bytes([e0, e1, e2, e3])).ok()?;
        (left > 0).then(|| Duration::from_millis(left * 10))
    }

    #[inline]
    pub(crate) fn table(&self) -> u32 {
        self.attributes.u32(RTA_TABLE).unwrap_or(self.short_table.into())
    }

    /// The next hops: those of a multipath route, or the only one.
    #[inline]
    pub(crate) fn next_hops(&self) -> impl Iterator<Item = NextHopView> + use<'a> {
        let multipath = self.attributes.get(RTA_MULTIPATH);
        let (index, gateway) = (self.output(), self.gateway());
        let leads_somewhere = multipath.is_none() && (index.is_some() || gateway.is_some());
        let on_link = self.flags & RTNH_F_ONLINK != 0;
        let only = NextHopView { index, gateway, weight: 1, on_link };
        let only = leads_somewhere.then_some(only);
        only.into_iter().chain(next_hops(multipath.map(|list| list.value).unwrap_or_default()))
    }
}

/// The gateway of a hop, in the family of the route or in another.
#[inline]
fn gateway<'a>(get: impl Fn(u16) -> Option<Attribute<'a>>) -> Option<IpAddr> {
    let via = || Attribute::of(get(RTA_VIA)?.value.get(2..)?).ip();
    get(RTA_GATEWAY).and_then(Attribute::ip).or_else(via)
}

#[inline]
fn next_hops(bytes: &[u8]) -> impl Iterator<Item = NextHopView> {
    split_hops(bytes).map(|(hop, _)| hop)
}

/// The next hops, each with its bytes.
#[inline]
pub(super) fn split_hops(mut bytes: &[u8]) -> impl Iterator<Item = (NextHopView, &[u8])> {
    std::iter::from_fn(move || {
        let &[l0, l1, flags, hop, i0, i1, i2, i3] = bytes.first_chunk::<RTNEXTHOP>()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let attributes = Attributes::new(bytes.get(RTNEXTHOP..length)?);
        let whole = bytes.get(..aligned(length)).unwrap_or(bytes);
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        let view = NextHopView {
            index: Some(u32::from_ne_bytes([i0, i1, i2, i3])).filter(|&index| index != 0),
            gateway: gateway(|kind| attributes.get(kind)),
            weight: u16::from(hop) + 1,
            on_link: u32::from(flags) & RTNH_F_ONLINK != 0,
        };
        Some((view, whole))
    })
}

#[cfg(test)]
mod tests {
    use super::super::attribute::Writer;
    use super::*;

    fn message(payload: &[u8]) -> Message<'_> {
        Message { kind: 24, flags: 0, sequence: 0, payload }
    }

    fn hops(view: RouteView<'_>) -> Vec<NextHopView> {
        view.next_hops().collect()
    }

    fn payload(fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut payload = vec![2, 0, 0, 0, 254, 78, 0, 1, 0, 0, 0, 0];
        fill(&mut Writer::new(&mut payload));
        payload
    }

    #[test]
    fn a_default_route_is_read() {
        let payload = payload(|writer| {
            writer.bytes(RTA_GATEWAY, &[10, 0, 0, 1]);
            writer.u32(RTA_OIF, 2);
            writer.u32(RTA_TABLE, 1000);
        });
        let view = RouteView::read(message(&payload)).unwrap();
        assert_eq!((view.prefix, view.destination(), view.protocol), (0, None, 78));
        assert_eq!(view.table(), 1000);
        let gateway = Some(IpAddr::from([10, 0, 0, 1]));
        assert_eq!(
            hops(view),
            [NextHopView { index: Some(2), gateway, weight: 1, on_link: false }]
        );
    }

    #[test]
    fn every_next_hop_of_a_multipath_route_is_read_and_no_cut_makes_it_fail() {
        let mut list = Vec::new();
        for index in [3u8, 4] {
            list.extend_from_slice(&[
                16,
                0,
                index & 4,
                index,
                index,
                0,
                0,
                0,
                8,
                0,
                5,
                0,
                10,
                0,
                0,
                index,
            ]);
        }
        let payload = payload(|writer| writer.bytes(RTA_MULTIPATH, &list));
        let view = RouteView::read(message(&payload)).unwrap();
        let hop = |index: u8| NextHopView {
            index: Some(index.into()),
            gateway: Some(IpAddr::from([10, 0, 0, index])),
            weight: u16::from(index) + 1,
            on_link: index == 4,
        };
        assert_eq!(hops(view), [hop(3), hop(4)]);
        for cut in 0..payload.len() {
            let view = RouteView::read(message(&payload[..cut]));
            drop(view.map(hops));
        }
        assert_eq!(next_hops(&[0; 64]).next(), None, "a length of zero ends the list");
    }
}
