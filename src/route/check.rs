//! Checks of routes before any system call, and the meaning of the kernel's refusals.

use std::net::IpAddr;

use nix::errno::Errno;

use super::builder::Route;
use super::kind::RouteType;
use super::next_hop::NextHop;
use crate::error::Error;

const OTHER_FAMILY: &str = "the gateway is of another family than the destination";

impl Route {
    pub(crate) fn check(&self, action: &'static str) -> Result<(), Error> {
        self.rejected.check(action, self)?;
        let reason = self.wrong_way().or_else(|| self.wrong_family());
        match reason.map(str::to_owned).or_else(|| self.rare().options.refusal()) {
            Some(reason) => Err(Error::invalid(action, self, reason)),
            None => Ok(()),
        }
    }

    /// Returns a reason to refuse the gateway, the link and the next hops.
    fn wrong_way(&self) -> Option<&'static str> {
        let hops = &self.rare().hops;
        let leads = self.gateway.is_some() || self.link().is_some() || self.rare().on_link;
        if Self::is_rejecting(self.route_type()) {
            let reason =
                "a route of this type leads nowhere: leave out via(), dev() and next_hop()";
            return (leads || !hops.is_empty()).then_some(reason);
        }
        if self.route_type() == RouteType::Local && self.link().is_none() {
            return Some("a local route needs dev(link)");
        }
        if !hops.is_empty() {
            return self.wrong_hops(hops, leads);
        }
        wrong_hop(self.is_ipv6(), self.gateway, self.link().is_some(), self.rare().on_link)
    }

    fn wrong_hops(&self, hops: &[NextHop], leads: bool) -> Option<&'static str> {
        if leads {
            return Some(
                "next hops have gateways and links of their own: leave out via() and dev()",
            );
        }
        if hops.len() == 1 {
            return Some(
                "a multipath route has two next hops or more: use via() and dev() for one",
            );
        }
        let ipv6 = self.is_ipv6();
        hops.iter().find_map(|hop| wrong_hop(ipv6, hop.gateway, hop.link.is_some(), hop.on_link))
    }

    /// Returns a reason to refuse what only the other family has.
    fn wrong_family(&self) -> Option<&'static str> {
        let rare = self.rare();
        let ipv6 = self.is_ipv6();
        if rare.source.is_some_and(|source| source.is_ipv6() != ipv6) {
            Some("the source address is of another family than the destination")
        } else if rare.from.is_some_and(|from| from.addr().is_ipv6() != ipv6) {
            Some("from() is of another family than the destination")
        } else if ipv6 && rare.tos != 0 {
            Some("IPv6 routes have no tos()")
        } else if !ipv6 && rare.from.is_some() {
            Some("IPv4 routes have no from(): use a rule")
        } else if !ipv6 && (rare.preference.is_some() || rare.expires.is_some()) {
            Some("only IPv6 routes have preference() and expires()")
        } else {
            None
        }
    }

    /// Reports whether a route of this type has no next hop.
    pub(super) fn is_rejecting(kind: RouteType) -> bool {
        use RouteType::{Blackhole, Prohibit, Throw, Unreachable};
        matches!(kind, Blackhole | Unreachable | Prohibit | Throw)
    }
}

/// Returns a reason to refuse a gateway with or without a link.
fn wrong_hop(
    ipv6: bool,
    gateway: Option<IpAddr>,
    link: bool,
    on_link: bool,
) -> Option<&'static str> {
    match gateway {
        None if !link => Some("the route leads nowhere: set via(gateway) or dev(link)"),
        Some(IpAddr::V4(_)) if ipv6 => Some(OTHER_FAMILY),
        Some(IpAddr::V6(gateway)) if !link && gateway.is_unicast_link_local() => {
            Some("a link-local gateway can be on any link: choose the link with dev(link)")
        }
        _ if on_link && !link => Some("on_link() needs dev(link)"),
        _ => None,
    }
}

/// Adds a hint that explains the kernel's errno for a route.
pub(crate) fn explain(error: Error) -> Error {
    error
        .hint_on(Errno::ENETUNREACH, || {
            "the gateway is on no network of a link that is up: give the link an address first, or \
             use on_link()"
                .into()
        })
        .hint_on(Errno::EHOSTUNREACH, || {
            "the gateway is on no network of a link that is up: give the link an address first"
                .into()
        })
        .hint_on(Errno::ENETDOWN, || "the link is down: set it up first".into())
        .hint_on(Errno::EEXIST, || {
            "such a route exists already: same destination, table and metric".into()
        })
}
