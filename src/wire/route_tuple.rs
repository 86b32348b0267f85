//! The comparison of a route that was asked for with an entry of the kernel's list, and the request
//! that deletes what both share.

use std::net::IpAddr;

use super::attribute::{Attribute, Writer};
use super::route::{
    AF_INET, AF_INET6, NextHopView, RTA_MULTIPATH, RTA_PREF, RTMSG, RTNH_F_ONLINK, RouteView,
    split_hops,
};

const RTA_NEWDST: u16 = 19;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
const RTA_NH_ID: u16 = 30;
const RTAX_CC_ALGO: u16 = 16;

/// The number of metrics, with room for the unused 0 (`RTAX_MAX` is 17).
const METRICS: usize = 18;

/// The largest values that the kernel keeps, by metric: the path MTU, the segment size and the hop
/// limit (`net/ipv4/metrics.c`).
const MOST: [(usize, u32); 3] = [(2, 65_535 - 15), (8, 65_535 - 40), (10, 255)];

/// The type, the protocol and the preference (IPv6), the source, the scope with the flags (IPv4),
/// and the bytes of further attributes.
type Settings<'a> = ([u8; 3], Option<IpAddr>, Option<(u8, u32)>, [Option<&'a [u8]>; 3]);

impl<'a> RouteView<'a> {
    /// Reports whether `listed` is the entry that the kernel made for this request. The kernel
    /// limits metrics, and chooses the link where the request has none.
    ///
    /// For IPv6 each next hop is a route of its own. The kernel lists those with the same
    /// destination and metric as one, with the metrics and the protocol of the first. Such an entry
    /// matches if a next hop does.
    pub(crate) fn is_listed_as(&self, listed: &RouteView<'_>) -> bool {
        if self.place() != listed.place() {
            return false;
        }
        if self.family == AF_INET6 && (self.is_multipath() || listed.is_multipath()) {
            let shares_hop = listed.next_hops().any(|hop| self.has_hop(&hop));
            return shares_hop && (listed.is_multipath() || self.protocol == listed.protocol);
        }
        let has_same_hops = || {
            let (mut own, mut listed) = (self.next_hops(), listed.next_hops());
            loop {
                match (own.next(), listed.next()) {
                    (None, None) => return true,
                    (Some(own), Some(listed)) if is_hop(self.family, &own, &listed) => {}
                    // The kernel gives a route that rejects packets the loopback link (IPv6).
                    (None, Some(hop)) if self.family == AF_INET6 && hop.gateway.is_none() => {}
                    _ => return false,
                }
            }
        };
        // A kernel without CONFIG_IP_ROUTE_CLASSID keeps no realm.
        let has_same_realm = listed.realm().is_none() || self.realm() == listed.realm();
        has_same_realm
            && self.settings() == listed.settings()
            && self.all_metrics() == listed.all_metrics()
            && has_same_hops()
    }

    /// Reports whether the kernel takes the routes for the same when it replaces one.
    pub(crate) fn has_place_of(&self, other: &RouteView<'_>) -> bool {
        self.place() == other.place()
    }

    /// Reports whether the route has attributes that no builder sets: a nexthop object or an
    /// encapsulation.
    pub(crate) fn has_more(&self) -> bool {
        let more = [RTA_NEWDST, RTA_ENCAP_TYPE, RTA_ENCAP, RTA_NH_ID];
        self.attributes.all().iter().any(|attribute| more.contains(&attribute.kind))
    }

    /// The values that the kernel compares when it looks for a route: family, destination, sources,
    /// type of service, table and priority.
    fn place(&self) -> ([u8; 4], [u32; 2], [Option<IpAddr>; 2]) {
        let numbers = [self.family, self.prefix, self.source_prefix, self.tos];
        let table = [self.table(), self.priority().unwrap_or(0)];
        (numbers, table, [self.destination(), self.from()])
    }

    fn settings(&self) -> Settings<'a> {
        let bytes = |kind| self.attributes.all().get(kind).map(|attribute| attribute.value);
        // The kernel keeps neither for an IPv6 route.
        let ipv4 = (self.family == AF_INET).then_some((self.scope, self.flags & RTNH_F_ONLINK));
        // The kernel lists the usual preference, too: 0.
        let preference = bytes(RTA_PREF).and_then(|value| value.first().copied()).unwrap_or(0);
        let others = [RTA_ENCAP_TYPE, RTA_ENCAP, RTA_NH_ID].map(bytes);
        ([self.kind, self.protocol, preference], self.source(), ipv4, others)
    }

    /// Returns the metrics as the kernel stores them: the values by `RTAX_*` number, limited to
    /// `MOST`, and the name of the congestion control.
    fn all_metrics(&self) -> ([u32; METRICS], &'a [u8]) {
        let (mut metrics, mut congestion) = ([0; METRICS], &[][..]);
        for metric in self.metrics().iter() {
            if metric.kind == RTAX_CC_ALGO {
                congestion = metric.value.split(|&byte| byte == 0).next().unwrap_or_default();
            } else if let Some(place) = metrics.get_mut(usize::from(metric.kind)) {
                *place = metric.u32().unwrap_or(0);
            }
        }
        for (metric, most) in MOST {
            metrics[metric] = metrics[metric].min(most);
        }
        (metrics, congestion)
    }

    fn is_multipath(&self) -> bool {
        self.attributes.get(RTA_MULTIPATH).is_some()
    }

    /// Reports whether a listed hop is one of this route's.
    fn has_hop(&self, listed: &NextHopView) -> bool {
        self.next_hops().any(|own| is_hop(self.family, &own, listed))
    }

    /// Appends the payload of the request that deletes this route from its listed entry: the
    /// entry's own, without the next hops of other routes.
    pub(crate) fn write_deletion(&self, listed: &RouteView<'_>, payload: &[u8], out: &mut Vec<u8>) {
        let whole = self.family != AF_INET6 || !listed.is_multipath();
        let header = payload.get(..RTMSG).filter(|_| !whole);
        let Some(header) = header else { return out.extend_from_slice(payload) };
        let start = out.len();
        out.extend_from_slice(header);
        // The kernel compares the protocol of each next hop.
        if let Some(protocol) = out.get_mut(start + 5) {
            *protocol = self.protocol;
        }
        let mut writer = Writer::new(out);
        for Attribute { kind, value } in listed.attributes.all().iter() {
            if kind == RTA_MULTIPATH {
                let own = split_hops(value).filter(|(hop, _)| self.has_hop(hop));
                writer.bytes(kind, &own.map(|(_, bytes)| bytes).collect::<Vec<_>>().concat());
            } else {
                writer.bytes(kind, value);
            }
        }
    }
}

/// Reports whether the kernel lists the next hop `own` as `listed`.
fn is_hop(family: u8, own: &NextHopView, listed: &NextHopView) -> bool {
    own.gateway == listed.gateway
        && own.weight == listed.weight
        && own.index.is_none_or(|index| listed.index == Some(index))
        && (family != AF_INET || own.on_link == listed.on_link)
}
