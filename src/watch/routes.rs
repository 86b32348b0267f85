//! The model of routes. Several routes may have one key. A replacement depends on their order.

use std::collections::BTreeMap;
use std::mem;

use ipnet::IpNet;

use super::doubt::{Doubts, after_changes};
use super::event::{Change, Event};
use super::filter::Filter;
use super::model::{Doubt, Model};
use crate::error::Error;
use crate::netlink::{Batch, RequestType};
use crate::netns::Netns;
use crate::route::{RouteInfo, RouteView};
use crate::wire::message::{Message, NLM_F_APPEND, NLM_F_DUMP, NLM_F_REPLACE};
use crate::wire::route::RTMSG;

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;

/// The key of routes. The kernel uses the first of the routes with one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    table: u32,
    destination: IpNet,
    from: Option<IpNet>,
    type_of_service: u8,
    metric: u32,
}

type Table = BTreeMap<Key, Vec<RouteInfo>>;

/// The model of the routes that match a filter.
#[derive(Debug)]
pub(super) struct Routes {
    filter: Filter,
    known: Table,
    /// The list that was read and is not complete.
    listed: Option<Table>,
    doubts: Doubts,
}

impl Routes {
    pub(super) fn new(filter: Filter) -> Self {
        Self { filter, known: Table::new(), listed: None, doubts: Doubts::default() }
    }

    /// Reports whether the first known route of a key is also the first in the kernel's list.
    fn has_order(&self) -> bool {
        // A replacement may be older than the list that was read, and a filter hides some routes.
        self.listed.is_none() && self.filter.links.is_empty()
    }

    /// Applies a new route. `None` if nothing changed, or if the change has to be looked up.
    fn add(&mut self, key: Key, mut route: RouteInfo, flags: u16) -> Option<Change<RouteInfo>> {
        let has_order = self.has_order();
        let routes = self.listed.as_mut().unwrap_or(&mut self.known).entry(key).or_default();
        if routes.contains(&route) {
            return None;
        }
        let is_v4 = key.destination.addr().is_ipv4();
        let replaced = if flags & NLM_F_REPLACE != 0 {
            if !routes.is_empty() && (!has_order || !is_v4 && routes.len() > 1) {
                self.doubts.note_any();
                return None;
            }
            (!routes.is_empty()).then_some(0)
        } else if is_v4 {
            None
        } else {
            // An IPv6 route got another next hop, which the kernel reports first.
            let place = routes.iter().position(|old| shares_hop(old, &route));
            if let Some(old) = place.and_then(|at| routes.get(at)) {
                let first =
                    route.next_hops.iter().position(|hop| old.next_hops.first() == Some(hop));
                route.next_hops.rotate_left(first.unwrap_or(0));
                if *old == route {
                    return None;
                }
                if !has_all_hops(&route, old) {
                    self.doubts.note_any();
                    return None;
                }
            }
            place
        };
        if let Some(old) = replaced.and_then(|at| routes.get_mut(at)) {
            let old = mem::replace(old, route.clone());
            return Some(Change::Changed { old, new: route });
        }
        let place = if flags & NLM_F_APPEND != 0 || !is_v4 { routes.len() } else { 0 };
        routes.insert(place, route.clone());
        Some(Change::New(route))
    }

    /// Applies the removal of a route. `None` if it was unknown, or if the change has to be looked
    /// up.
    fn remove(&mut self, key: Key, route: &RouteInfo) -> Option<Change<RouteInfo>> {
        let table = self.listed.as_mut().unwrap_or(&mut self.known);
        let routes = table.get_mut(&key)?;
        let Some(at) = routes.iter().position(|known| known == route) else {
            // The kernel reports a removed next hop of an IPv6 route as a route.
            self.doubts.note_any();
            return None;
        };
        let old = routes.remove(at);
        if routes.is_empty() {
            table.remove(&key);
        }
        Some(Change::Removed(old))
    }
}

fn shares_hop(one: &RouteInfo, other: &RouteInfo) -> bool {
    one.next_hops.iter().any(|hop| {
        other.next_hops.iter().any(|of| (of.link, of.gateway) == (hop.link, hop.gateway))
    })
}

fn has_all_hops(route: &RouteInfo, part: &RouteInfo) -> bool {
    part.next_hops.iter().all(|hop| {
        route.next_hops.iter().any(|of| (of.link, of.gateway) == (hop.link, hop.gateway))
    })
}

/// Reads a route and its key, if it matches.
fn read(message: Message<'_>, filter: &Filter) -> Option<(Key, RouteInfo)> {
    let view = RouteView::read(message)?;
    let destination = view.destination();
    if !filter.has_table(view.table()) || !filter.has_address(destination.addr()) {
        return None;
    }
    let mut links = view.next_hops().filter_map(|hop| hop.link);
    if !filter.has_any_link(links.by_ref().map(u32::from)) {
        return None;
    }
    let key = Key {
        table: view.table(),
        destination,
        from: view.from(),
        type_of_service: view.tos(),
        metric: view.metric(),
    };
    // The lifetime counts down: it would differ at each look.
    Some((key, RouteInfo { expires: None, ..view.into() }))
}

impl Model for Routes {
    fn list(&mut self, netns: &Netns, _is_first: bool) -> Result<(), Error> {
        // A change may have begun before the watcher started.
        after_changes(netns)?;
        let all =
            |batch: &mut Batch| batch.push(RequestType::GetRoute, NLM_F_DUMP, &[0; RTMSG], |_| ());
        let filter = &self.filter;
        let listed = netns.fold("routes", all, Table::new, |listed, message| {
            if let Some((key, route)) = read(message, filter) {
                listed.entry(key).or_default().push(route);
            }
        })?;
        self.listed = Some(listed);
        self.doubts = Doubts::default();
        Ok(())
    }

    fn take(&mut self, message: Message<'_>, events: &mut Vec<Event>) {
        if !matches!(message.kind, RTM_NEWROUTE | RTM_DELROUTE) {
            self.doubts.note(message);
            return;
        }
        let is_replacement = message.flags & NLM_F_REPLACE != 0;
        if is_replacement && !self.filter.links.is_empty() {
            // The replaced route may have used a watched link that the new route does not use.
            self.doubts.note_any();
        }
        let Some((key, route)) = read(message, &self.filter) else { return };
        let change = if message.kind == RTM_NEWROUTE {
            self.add(key, route, message.flags)
        } else {
            self.remove(key, &route)
        };
        if self.listed.is_none() {
            events.extend(change.map(Event::Route));
        }
    }

    fn complete(&mut self, is_first: bool, events: &mut Vec<Event>) {
        let Some(listed) = self.listed.take() else { return };
        let mut known = mem::replace(&mut self.known, listed);
        for (key, new) in &self.known {
            let old = known.remove(key).unwrap_or_default();
            difference(old, new, is_first, events);
        }
        for old in known.into_values() {
            difference(old, &[], is_first, events);
        }
    }

    fn abandon(&mut self) {
        if self.listed.take().is_some() {
            self.doubts.note_any();
        }
    }

    fn doubt(&mut self, netns: &Netns) -> Result<Doubt, Error> {
        if self.doubts.is_empty() {
            return Ok(Doubt::None);
        }
        if !self.doubts.settle(netns)? {
            return Ok(Doubt::Later);
        }
        if self.doubts.are_about(self.known.values().flatten()) {
            return Ok(Doubt::Real);
        }
        self.doubts = Doubts::default();
        Ok(Doubt::None)
    }
}

/// Appends the changes of the routes of one key. An IPv6 route whose next hops changed counts as
/// changed.
fn difference(mut old: Vec<RouteInfo>, new: &[RouteInfo], is_first: bool, events: &mut Vec<Event>) {
    let mut changed: Vec<_> = new.iter().filter(|new| !take_equal(&mut old, new)).collect();
    // A removed and a new route of one key count as one changed route.
    while let (Some(_), Some(_)) = (old.first(), changed.first()) {
        let (old, new) = (old.remove(0), changed.remove(0).clone());
        events.push(Event::Route(Change::Changed { old, new }));
    }
    events.extend(old.into_iter().map(|old| Event::Route(Change::Removed(old))));
    for new in changed {
        let change = if is_first { Change::Existing } else { Change::New };
        events.push(Event::Route(change(new.clone())));
    }
}

fn take_equal(routes: &mut Vec<RouteInfo>, route: &RouteInfo) -> bool {
    let place = routes.iter().position(|known| known == route);
    place.map(|at| routes.remove(at)).is_some()
}
