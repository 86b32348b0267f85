//! The links of many targets, by the kernel's tables of routes: a few lists instead of a question
//! each.
//!
//! The tables answer as the kernel does only while it consults no others, and only for plain
//! routes. Every other target is left to a question.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::error::Cause;
use crate::netlink::{Batch, RequestType, Socket};
use crate::netns::Netns;
use crate::wire::attribute::Attribute;
use crate::wire::message::{Message, NLM_F_DUMP};
use crate::wire::route::{
    AF_INET, AF_INET6, RTA_DST, RTA_GATEWAY, RTA_METRICS, RTA_OIF, RTA_PREFSRC, RTA_PRIORITY,
    RTA_TABLE, RTMSG, RTNH_F_ONLINK, RouteView,
};

const LOCAL: u8 = 255;
const MAIN: u8 = 254;
const DEFAULT: u8 = 253;

/// Returns the links of those targets whose routes are certain. Reads at most twice as many routes
/// as there are targets: a question costs more than two routes.
pub(super) fn links(netns: &Netns, targets: &[IpAddr]) -> BTreeMap<IpAddr, u32> {
    let mut links = BTreeMap::new();
    for family in [AF_INET, AF_INET6] {
        let of_family = targets.iter().filter(|target| target.is_ipv4() == (family == AF_INET));
        let of_family: Vec<_> = of_family.copied().collect();
        if of_family.is_empty() {
            continue;
        }
        // A socket of its own: a list that is not read to its end leaves it useless.
        let tables = netns.with_new_socket(|socket| tables(socket, family, 2 * of_family.len()));
        match tables {
            Ok(Some([local, main])) => {
                let certain = |target| match (local.longest(target), main.longest(target)) {
                    (None, Some(Route::By(link))) => Some((target, link)),
                    _ => None,
                };
                links.extend(of_family.into_iter().filter_map(certain));
            }
            Ok(None) => {}
            Err(cause) => log::debug!("routes are asked for one by one: {cause}"),
        }
    }
    links
}

/// Reads the tables `local` and `main`; `None` if the kernel may consult others, or if they are
/// long.
fn tables(socket: &mut Socket, family: u8, most: usize) -> Result<Option<[Table; 2]>, Cause> {
    let mut batch = Batch::default();
    batch.request(RequestType::GetRule as u16, NLM_F_DUMP, |out| {
        out.extend_from_slice(&[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    });
    let rules =
        socket.dump_most(&mut batch, 3, |rule| Some(default_rule(rule)))?.unwrap_or_default();
    let has = |table| rules.contains(&Some(table));
    if rules.contains(&None) || !has(LOCAL) || !has(MAIN) {
        return Ok(None);
    }
    let mut read = |table| Table::read(socket, (family, table), most);
    let (local, main) = (read(LOCAL)?, read(MAIN)?);
    Ok(local.zip(main).map(|(local, main)| [local, main]))
}

/// Returns the table of a rule that every new namespace has, into which all packets look.
fn default_rule(rule: Message<'_>) -> Option<u8> {
    const FRA_PRIORITY: u16 = 6;
    const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
    const FRA_PROTOCOL: u16 = 21;
    const TO_TABLE: u8 = 1;
    let Some(([_, 0, 0, 0, table, _, _, TO_TABLE, 0, 0, 0, 0], attributes)) = rule.split() else {
        return None;
    };
    let priority = attributes.get(FRA_PRIORITY).and_then(Attribute::u32).unwrap_or(0);
    let is_default = matches!((*table, priority), (LOCAL, 0) | (MAIN, 32_766) | (DEFAULT, 32_767))
        && attributes.iter().all(|attribute| match attribute.kind {
            FRA_SUPPRESS_PREFIXLEN => attribute.u32() == Some(u32::MAX),
            kind => matches!(kind, FRA_PRIORITY | RTA_TABLE | FRA_PROTOCOL),
        });
    is_default.then_some(*table)
}

/// The routes to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    /// All packets leave by this link.
    By(u32),
    /// The kernel chooses.
    Uncertain,
}

/// A table of routes.
#[derive(Default)]
struct Table {
    routes: HashMap<IpNet, Route>,
    lengths: BTreeSet<u8>,
}

impl Table {
    fn read(
        socket: &mut Socket,
        (family, table): (u8, u8),
        most: usize,
    ) -> Result<Option<Self>, Cause> {
        let mut header = [0; RTMSG];
        [header[0], header[4]] = [family, table];
        let mut batch = Batch::default();
        batch.push(RequestType::GetRoute, NLM_F_DUMP, &header, |_| ());
        let listed = socket.dump_most(&mut batch, most, |route| Some(entry(route)))?;
        let Some(listed) = listed else { return Ok(None) };
        let mut read = Self::default();
        for route in listed {
            let Some((destination, route)) = route else { return Ok(None) };
            read.lengths.insert(destination.prefix_len());
            let several = |first: &mut Route| *first = Route::Uncertain;
            read.routes.entry(destination).and_modify(several).or_insert(route);
        }
        Ok(Some(read))
    }

    /// Returns the route of the longest prefix that includes an address.
    fn longest(&self, address: IpAddr) -> Option<Route> {
        let of_length = |length: &u8| IpNet::new(address, *length).ok().map(|net| net.trunc());
        let mut prefixes = self.lengths.iter().rev().filter_map(of_length);
        prefixes.find_map(|prefix| self.routes.get(&prefix).copied())
    }
}

/// Reads a route and its destination.
fn entry(route: Message<'_>) -> Option<(IpNet, Route)> {
    const RTN_UNICAST: u8 = 1;
    const RTA_CACHEINFO: u16 = 12;
    const RTA_PREF: u16 = 20;
    const PLAIN: [u16; 9] = [
        RTA_DST,
        RTA_OIF,
        RTA_GATEWAY,
        RTA_PRIORITY,
        RTA_PREFSRC,
        RTA_METRICS,
        RTA_CACHEINFO,
        RTA_TABLE,
        RTA_PREF,
    ];
    let view = RouteView::read(route)?;
    let any = match view.family {
        AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let destination = IpNet::new(view.destination().unwrap_or(any), view.prefix).ok()?;
    let (header, attributes) = route.split::<RTMSG>()?;
    let [_, _, source_prefix, tos, ..] = *header;
    let is_sure = (source_prefix, tos, view.kind) == (0, 0, RTN_UNICAST)
        && view.flags & !RTNH_F_ONLINK == 0
        && attributes.iter().all(|attribute| PLAIN.contains(&attribute.kind));
    let link = view.output().filter(|_| is_sure);
    Some((destination, link.map_or(Route::Uncertain, Route::By)))
}
