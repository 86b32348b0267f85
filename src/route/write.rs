//! The request of a route: `struct rtmsg` and its attributes.

use ipnet::IpNet;

use super::builder::Route;
use super::info::{LOCAL, MAIN};
use super::kind::RouteType;
use super::next_hop::write_gateway;
use super::{PROTOCOL, RTM_NEWROUTE};
use crate::link::LinkRef;
use crate::netlink::Batch;
use crate::scope::Scope;
use crate::wire::attribute::Writer;
use crate::wire::message::{NLM_F_CREATE, NLM_F_EXCL};
use crate::wire::route::{
    AF_INET, AF_INET6, RTA_DST, RTA_EXPIRES, RTA_FLOW, RTA_METRICS, RTA_MULTIPATH, RTA_OIF,
    RTA_PREF, RTA_PREFSRC, RTA_PRIORITY, RTA_SRC, RTA_TABLE, RTNH_F_ONLINK,
};

/// Returns the index of a link.
type Index<'a> = &'a dyn Fn(&LinkRef) -> Option<u32>;

impl Route {
    /// Appends the request that creates the route out of the link with this index.
    pub(crate) fn add(&self, index: u32, batch: &mut Batch) -> usize {
        self.request(NLM_F_CREATE | NLM_F_EXCL, &|_| Some(index), batch)
    }

    /// Appends the request for the route with these flags.
    pub(super) fn request(&self, flags: u16, index: Index<'_>, batch: &mut Batch) -> usize {
        batch.request(RTM_NEWROUTE, flags, |out| self.write(out, index))
    }

    /// Appends `struct rtmsg` and the attributes. Nothing is allocated for a plain route: programs
    /// create many.
    pub(super) fn write(&self, out: &mut Vec<u8>, index: Index<'_>) {
        let (ipv6, rare) = (self.is_ipv6(), self.rare());
        let destination = self.network();
        let table = self.table_or_default();
        // The header's field has 8 bits. RTA_TABLE carries the full number.
        let short_table = u8::try_from(table).unwrap_or(0);
        let prefix = destination.prefix_len();
        let family = if ipv6 { AF_INET6 } else { AF_INET };
        let from = rare.from.map_or(0, |from| from.prefix_len());
        let protocol = rare.protocol.unwrap_or(PROTOCOL);
        let (scope, kind) = (u8::from(self.effective_scope()), u8::from(self.route_type()));
        out.extend_from_slice(&[
            family,
            prefix,
            from,
            rare.tos,
            short_table,
            protocol,
            scope,
            kind,
        ]);
        let flags = if rare.on_link { RTNH_F_ONLINK } else { 0 };
        out.extend_from_slice(&flags.to_ne_bytes());
        let mut attributes = Writer::new(out);
        attributes.u32(RTA_TABLE, table);
        if prefix > 0 {
            attributes.ip(RTA_DST, destination.addr());
        }
        if let Some(gateway) = self.gateway {
            write_gateway(ipv6, gateway, &mut attributes);
        }
        if let Some(index) = self.link().and_then(index) {
            attributes.u32(RTA_OIF, index);
        }
        if let Some(metric) = self.effective_metric(destination) {
            attributes.u32(RTA_PRIORITY, metric);
        }
        self.write_rare(&mut attributes, index);
    }

    fn write_rare(&self, attributes: &mut Writer<'_>, index: Index<'_>) {
        let rare = self.rare();
        if let Some(source) = rare.source {
            attributes.ip(RTA_PREFSRC, source);
        }
        rare.options.write(RTA_METRICS, attributes);
        if let Some(from) = rare.from.filter(|from| from.prefix_len() > 0) {
            attributes.ip(RTA_SRC, from.addr());
        }
        if !rare.hops.is_empty() {
            let mut hops = Vec::new();
            for hop in &rare.hops {
                hop.write(self.is_ipv6(), hop.link.as_ref().and_then(index), &mut hops);
            }
            attributes.bytes(RTA_MULTIPATH, &hops);
        }
        if let Some(preference) = rare.preference {
            attributes.u8(RTA_PREF, preference.into());
        }
        if let Some(seconds) = rare.expires {
            attributes.u32(RTA_EXPIRES, seconds);
        }
        if let Some(realm) = rare.realm {
            attributes.u32(RTA_FLOW, realm);
        }
    }

    pub(super) fn network(&self) -> IpNet {
        self.destination.unwrap_or(super::Destination::Default).network(self.is_ipv6())
    }

    /// Returns the table. For packets to this host the kernel looks in table 255, as `ip` does.
    pub(super) fn table_or_default(&self) -> u32 {
        use RouteType::{Anycast, Broadcast, Local};
        let usual =
            if matches!(self.route_type(), Local | Broadcast | Anycast) { LOCAL } else { MAIN };
        self.table.unwrap_or(usual)
    }

    /// Returns the scope that `ip` sets, if none is given.
    fn effective_scope(&self) -> Scope {
        use RouteType::{Anycast, Broadcast, Local, Multicast, Unicast};
        let leads = self.gateway.is_some() || !self.rare().hops.is_empty();
        self.rare().scope.unwrap_or(match self.route_type() {
            _ if self.is_ipv6() => Scope::Global,
            Local => Scope::Host,
            Broadcast | Multicast | Anycast => Scope::Link,
            Unicast if !leads => Scope::Link,
            _ => Scope::Global,
        })
    }

    /// Returns the metric for the request. For IPv6 the kernel's default is sent explicitly, so
    /// that the request matches the listed route.
    pub(super) fn effective_metric(&self, destination: IpNet) -> Option<u32> {
        const IP6_RT_PRIO_USER: u32 = 1024;
        match destination {
            IpNet::V4(_) => self.metric,
            IpNet::V6(_) => self.metric.filter(|&metric| metric != 0).or(Some(IP6_RT_PRIO_USER)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::wire::message::Message;
    use crate::wire::route::RouteView;

    proptest::proptest! {
        #[test]
        fn whatever_is_asked_for_reads_back(
            addresses: [[u8; 16]; 3],
            ipv6: bool,
            length in 0u8..=128,
            numbers: [Option<u32>; 4],
            scope: Option<u8>,
            index: u32,
            gateway: bool,
            source: bool,
        ) {
            let ip = |bytes: [u8; 16]| match (ipv6, bytes) {
                (true, bytes) => IpAddr::from(bytes),
                (false, [a, b, c, d, ..]) => IpAddr::from([a, b, c, d]),
            };
            let [to, via, from] = addresses.map(ip);
            let [metric, table, mtu, advmss] = numbers;
            let net = IpNet::new(to, if ipv6 { length } else { length % 33 }).unwrap().trunc();
            let mut route = Route::new(net);
            route.gateway = gateway.then_some(via);
            let source = source.then_some(from);
            (route.metric, route.table) = (metric, table);
            if let Some(mtu) = mtu {
                route = route.mtu(mtu);
            }
            if let Some(advmss) = advmss {
                route = route.advmss(advmss);
            }
            if let Some(scope) = scope {
                route = route.scope(scope);
            }
            if let Some(source) = source {
                route = route.source(source);
            }

            let mut payload = Vec::new();
            let index_of = |_: &LinkRef| Some(index);
            route = route.dev("eth0");
            route.write(&mut payload, &index_of);
            let message = Message { kind: 24, flags: 0, sequence: 0, payload: &payload };
            let view = RouteView::read(message).unwrap();
            assert_eq!(view.destination(), (net.prefix_len() > 0).then_some(net.addr()));
            assert_eq!((view.prefix, view.protocol, view.kind), (net.prefix_len(), PROTOCOL, 1));
            assert_eq!(view.table(), table.unwrap_or(254));
            assert_eq!((view.gateway(), view.source()), (route.gateway, source));
            assert_eq!((view.mtu(), view.advmss()), (mtu, advmss));
            let metric = if ipv6 { metric.filter(|&m| m != 0).or(Some(1024)) } else { metric };
            assert_eq!(view.priority(), metric);
            assert_eq!(view.next_hops().next().and_then(|hop| hop.index), Some(index));
            // An IPv4 route without a gateway has the scope `link` (253).
            assert_eq!(view.scope, scope.unwrap_or(if ipv6 || gateway { 0 } else { 253 }));
        }
    }
}
