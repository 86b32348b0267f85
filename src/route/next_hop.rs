//! The next hops of multipath routes.

use std::net::IpAddr;

use crate::input::{FirstRejected, Input};
use crate::link::LinkRef;
use crate::wire::attribute::Writer;
use crate::wire::route::{AF_INET6, RTA_GATEWAY, RTA_VIA, RTNH_F_ONLINK};

/// The builder of a next hop of a multipath route, as `nexthop via GATEWAY dev NAME weight N`.
///
/// [`Route::next_hop`](crate::Route::next_hop) has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a next hop does nothing until a route has it"]
pub struct NextHop {
    pub(super) gateway: Option<IpAddr>,
    pub(super) link: Option<LinkRef>,
    pub(super) weight: u16,
    pub(super) on_link: bool,
    pub(super) rejected: FirstRejected,
}

impl NextHop {
    /// A next hop of weight 1. It needs a gateway or a link.
    #[expect(clippy::new_without_default, reason = "a hop without a gateway or link is no use")]
    pub fn new() -> Self {
        let rejected = FirstRejected::default();
        Self { gateway: None, link: None, weight: 1, on_link: false, rejected }
    }

    /// Sets the gateway, as `via GATEWAY`.
    pub fn via(mut self, gateway: impl Input<IpAddr>) -> Self {
        self.gateway = self.rejected.read("via", gateway).or(self.gateway);
        self
    }

    /// Sets the link, as `dev NAME`. Default: the gateway's link.
    pub fn dev(mut self, link: impl Into<LinkRef>) -> Self {
        self.link = Some(link.into());
        self
    }

    /// Sets the share of this hop among the route's hops, from 1 to 256. Default: 1.
    pub fn weight(mut self, weight: u16) -> Self {
        if !(1..=256).contains(&weight) {
            self.rejected.reject("weight", weight, "a weight is a number from 1 to 256");
        }
        self.weight = weight;
        self
    }

    /// Takes the gateway for reachable on the link, as `onlink`.
    pub fn on_link(mut self) -> Self {
        self.on_link = true;
        self
    }

    /// Appends `struct rtnexthop` and its attributes.
    pub(super) fn write(&self, ipv6: bool, index: Option<u32>, out: &mut Vec<u8>) {
        let start = out.len();
        let on_link = u8::try_from(RTNH_F_ONLINK).unwrap_or(0);
        let flags = if self.on_link { on_link } else { 0 };
        let weight = u8::try_from(self.weight.saturating_sub(1)).unwrap_or(u8::MAX);
        out.extend_from_slice(&[0, 0, flags, weight]);
        out.extend_from_slice(&index.unwrap_or(0).to_ne_bytes());
        if let Some(gateway) = self.gateway {
            write_gateway(ipv6, gateway, &mut Writer::new(out));
        }
        let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
        if let Some(place) = out.get_mut(start..start + 2) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
    }
}

/// Appends the gateway. `RTA_VIA` has one of the other family.
pub(super) fn write_gateway(ipv6_route: bool, gateway: IpAddr, attributes: &mut Writer<'_>) {
    match gateway {
        IpAddr::V6(gateway) if !ipv6_route => {
            let family = u16::from(AF_INET6).to_ne_bytes();
            attributes.parts(RTA_VIA, [&family, &gateway.octets()]);
        }
        gateway => attributes.ip(RTA_GATEWAY, gateway),
    }
}
