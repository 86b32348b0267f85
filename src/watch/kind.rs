//! The kinds of objects that can be watched, and the groups of their notifications.

use super::connections::Connections;
use super::filter::{Family, Filter};
use super::model::Model;
use super::objects::{NamespaceId, Objects};
use super::routes::Routes;
use super::ruleset::Ruleset;
use crate::address::AddressInfo;
use crate::link::LinkInfo;
use crate::neighbor::NeighborInfo;
use crate::netlink::Protocol;

/// The groups of rtnetlink. Source: `include/uapi/linux/rtnetlink.h`, `RTNLGRP_*`.
const LINK: u32 = 1;
const NEIGH: u32 = 3;
const IPV4_IFADDR: u32 = 5;
const IPV4_ROUTE: u32 = 7;
const IPV6_IFADDR: u32 = 9;
const IPV6_ROUTE: u32 = 11;
const NSID: u32 = 28;
const NEXTHOP: u32 = 32;

/// The groups of nfnetlink, which take `CAP_NET_ADMIN`. Source:
/// `include/uapi/linux/netfilter/nfnetlink.h`, `NFNLGRP_*`.
const CONNTRACK_NEW: u32 = 1;
const CONNTRACK_UPDATE: u32 = 2;
const CONNTRACK_DESTROY: u32 = 3;
const NFTABLES: u32 = 7;

/// A kind of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Links,
    Addresses,
    Routes,
    Neighbors,
    NamespaceIds,
    Conntrack,
    Ruleset,
}

impl Kind {
    /// The kinds of rtnetlink, which take no privilege.
    pub(super) const ROUTING: [Self; 4] =
        [Self::Links, Self::Addresses, Self::Routes, Self::Neighbors];

    /// The name in errors.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Links => "links",
            Self::Addresses => "addresses",
            Self::Routes => "routes",
            Self::Neighbors => "neighbours",
            Self::NamespaceIds => "namespace ids",
            Self::Conntrack => "tracked connections",
            Self::Ruleset => "the ruleset",
        }
    }

    pub(super) fn protocol(self) -> Protocol {
        match self {
            Self::Conntrack | Self::Ruleset => Protocol::Netfilter,
            _ => Protocol::Route,
        }
    }

    /// The groups to join. Each has the family of its notifications.
    pub(super) fn groups(self, filter: &Filter) -> Vec<u32> {
        let groups: &[(u32, Option<Family>)] = match self {
            Self::Links => &[(LINK, None)],
            Self::Addresses => {
                &[(IPV4_IFADDR, Some(Family::Ipv4)), (IPV6_IFADDR, Some(Family::Ipv6))]
            }
            // After changes of links, addresses and next hops, the kernel removes routes without a
            // notification.
            Self::Routes => &[
                (LINK, None),
                (NEXTHOP, None),
                (IPV4_IFADDR, Some(Family::Ipv4)),
                (IPV6_IFADDR, Some(Family::Ipv6)),
                (IPV4_ROUTE, Some(Family::Ipv4)),
                (IPV6_ROUTE, Some(Family::Ipv6)),
            ],
            Self::Neighbors => &[(NEIGH, None)],
            Self::NamespaceIds => &[(NSID, None)],
            Self::Conntrack => {
                &[(CONNTRACK_NEW, None), (CONNTRACK_UPDATE, None), (CONNTRACK_DESTROY, None)]
            }
            Self::Ruleset => &[(NFTABLES, None)],
        };
        let is_wanted =
            |family: Option<Family>| family.is_none_or(|family| filter.has_family(family));
        groups.iter().filter(|(_, family)| is_wanted(*family)).map(|(group, _)| *group).collect()
    }

    pub(super) fn model(self, filter: &Filter) -> Box<dyn Model> {
        let filter = filter.clone();
        match self {
            Self::Links => Box::new(Objects::<LinkInfo>::new(filter)),
            Self::Addresses => Box::new(Objects::<AddressInfo>::new(filter)),
            Self::Routes => Box::new(Routes::new(filter)),
            Self::Neighbors => Box::new(Objects::<NeighborInfo>::new(filter)),
            Self::NamespaceIds => Box::new(Objects::<NamespaceId>::new(filter)),
            Self::Conntrack => Box::new(Connections::new(filter.connections)),
            Self::Ruleset => Box::new(Ruleset::default()),
        }
    }
}
