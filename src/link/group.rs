//! Many links of a namespace deleted in one request: put in a group of their own, and the group
//! deleted.
//!
//! The kernel waits 16 to 20 ms for each link that it deletes alone, and once for a whole group
//! (`net/core/rtnetlink.c`, `rtnl_group_dellink`).

use std::collections::BTreeMap;

use super::handle::Link;
use super::message::change;
use super::shared::Place;
use crate::error::{Cause, Error};
use crate::netlink::{RequestType, Requests, Tag};
use crate::netns::{Look, Netns, Quoted};
use crate::sys::random::random;
use crate::wire::attribute::Writer;
use crate::wire::link::{AF_UNSPEC, IFLA_GROUP, LinkView, header};

/// A link as it is listed before the deletion.
struct Listed {
    group: u32,
    /// True if the link is the one to delete.
    is_same: bool,
    /// True if the link has a kind. The kernel deletes no group that has a link without one.
    has_kind: bool,
}

/// Deletes links of one namespace. Returns for each whether the group's deletion reached it.
pub(super) fn delete(links: &[&Link]) -> Result<Vec<bool>, Error> {
    let places: Vec<_> = links.iter().map(|link| link.place()).collect();
    let Some(netns) = places.first().map(|place| place.netns.clone()) else {
        return Ok(Vec::new());
    };
    let before = list(&netns, &places)?;
    // Held until the links are deleted: if this process is killed before that, `reap` finds the
    // links.
    let tag = unused_tag(&netns, &before);
    let group = tag.as_ref().map(Tag::number).or_else(|| unused_group(&before));
    let group =
        group.ok_or_else(|| Cause::Invalid("no group is free".into()).doing("group", "links"))?;
    let reached = |place: &Place| {
        before.get(&place.id.index).is_some_and(|listed| listed.is_same && listed.has_kind)
    };
    let grouped: Vec<_> =
        places.iter().map(|place| &**place).filter(|place| reached(place)).collect();
    let all_grouped = put_in_group(&netns, &grouped, |_| Some(group));
    let result =
        if grouped.is_empty() { Ok(()) } else { delete_group(&netns, group, grouped.len()) };
    if result.is_ok() && all_grouped {
        return Ok(places.iter().map(|place| reached(place)).collect());
    }
    let after = list(&netns, &places)?;
    let is_there = |place: &Place| after.get(&place.id.index).is_some_and(|listed| listed.is_same);
    // A link that stays gets its group back.
    let staying: Vec<_> = grouped.into_iter().filter(|place| is_there(place)).collect();
    put_in_group(&netns, &staying, |place| Some(before.get(&place.id.index)?.group));
    result?;
    Ok(places.iter().map(|place| reached(place) && !is_there(place)).collect())
}

/// Lists the links of a namespace by index, compared with those to delete.
fn list(netns: &Netns, places: &[std::sync::Arc<Place>]) -> Result<BTreeMap<u32, Listed>, Error> {
    let by_index: BTreeMap<u32, &Place> =
        places.iter().map(|place| (place.id.index, &**place)).collect();
    let read = |view: LinkView<'_>| {
        let place = by_index.get(&view.index);
        // A tag is looked at before the links get the group of the deletion.
        let is_same = place.is_some_and(|place| place.id.compare(view, netns) == Look::Same);
        let group = view.group().unwrap_or(0);
        Some((view.index, Listed { group, is_same, has_kind: view.kind().is_some() }))
    };
    let list = netns.list_links(read)?;
    Ok(list.into_iter().collect())
}

fn delete_group(netns: &Netns, group: u32, links: usize) -> Result<(), Error> {
    let count = format!("{links} links");
    let mut requests = Requests::default();
    requests.push("delete", &count, |batch| {
        let attributes = |link: &mut Writer<'_>| link.u32(IFLA_GROUP, group);
        batch.push(RequestType::DelLink, 0, &header(AF_UNSPEC, 0), attributes)
    });
    netns.send(requests)
}

/// Returns a tag that none of these links carries. `None` if the links die with this process
/// anyway, or no tag can be had.
fn unused_tag(netns: &Netns, links: &BTreeMap<u32, Listed>) -> Option<Tag> {
    let is_unused = |tag: &Tag| links.values().all(|listed| listed.group != tag.number());
    if netns.dies_with_process() { None } else { netns.fresh_tag().ok().filter(is_unused) }
}

/// Puts links in groups. Returns whether all requests succeeded: rtnetlink continues after a
/// refusal.
fn put_in_group(netns: &Netns, places: &[&Place], group: impl Fn(&Place) -> Option<u32>) -> bool {
    let mut all = true;
    for chunk in places.chunks(Requests::AT_ONCE) {
        let names: Vec<_> = chunk.iter().map(|place| Quoted(&place.id.name)).collect();
        let mut requests = Requests::default();
        for (place, name) in chunk.iter().zip(&names) {
            if let Some(group) = group(place) {
                let request = change(place.id.index, |link| link.u32(IFLA_GROUP, group));
                requests.push("group", name, request);
            }
        }
        if let Err(error) = netns.send(requests) {
            log::debug!("{error}");
            all = false;
        }
    }
    all
}

/// Returns a group that none of these links is in.
fn unused_group(links: &BTreeMap<u32, Listed>) -> Option<u32> {
    (0..64)
        .map(|_| u32::from_ne_bytes(random()) >> 1 | 1 << 30)
        .find(|group| links.values().all(|listed| listed.group != *group))
}
