//! The deletion of many links of a namespace at once: the links are put in a new group, and the
//! group is deleted.
//!
//! The kernel waits 16 to 20 ms for each link that it deletes alone, but only once for a whole
//! group (`net/core/rtnetlink.c`, `rtnl_group_dellink`).

use std::collections::BTreeMap;

use super::handle::Link;
use super::message::change;
use super::shared::Snapshot;
use crate::error::{Cause, Error};
use crate::netlink::{RequestType, Requests, Tag};
use crate::netns::{Look, Netns, Quoted};
use crate::sys::random::random;
use crate::wire::attribute::Writer;
use crate::wire::link::{AF_UNSPEC, IFLA_GROUP, LinkView, header};

/// A link's state before the deletion.
struct Listed {
    group: u32,
    /// True if this is the link to delete, not another one with the same index.
    is_same: bool,
    /// True if the link has a kind. If a link in the group has none, the kernel refuses to delete
    /// the group.
    has_kind: bool,
}

/// Deletes links of one namespace by group. Returns, for each link, whether it was deleted.
pub(super) fn delete(links: &[&Link]) -> Result<Vec<bool>, Error> {
    let snapshots: Vec<_> = links.iter().map(|link| link.snapshot()).collect();
    let Some(netns) = snapshots.first().map(|snapshot| snapshot.netns.clone()) else {
        return Ok(Vec::new());
    };
    let before = list(&netns, &snapshots)?;
    // If this process is killed before the deletion, `reap` finds the links by this tag. The tag is
    // valid only while `tag` is alive.
    let tag = unused_tag(&netns, &before);
    let group = tag.as_ref().map(Tag::number).or_else(|| unused_group(&before));
    let group = group.ok_or_else(|| {
        Cause::Invalid("every group number that was tried is in use".into()).doing("group", "links")
    })?;
    let reached = |snapshot: &Snapshot| {
        before.get(&snapshot.id.index).is_some_and(|listed| listed.is_same && listed.has_kind)
    };
    let grouped: Vec<_> =
        snapshots.iter().map(|snapshot| &**snapshot).filter(|snapshot| reached(snapshot)).collect();
    let all_grouped = put_in_group(&netns, &grouped, |_| Some(group));
    let result =
        if grouped.is_empty() { Ok(()) } else { delete_group(&netns, group, grouped.len()) };
    if result.is_ok() && all_grouped {
        return Ok(snapshots.iter().map(|snapshot| reached(snapshot)).collect());
    }
    let after = list(&netns, &snapshots)?;
    let is_there =
        |snapshot: &Snapshot| after.get(&snapshot.id.index).is_some_and(|listed| listed.is_same);
    // A link that was not deleted gets its previous group back.
    let staying: Vec<_> = grouped.into_iter().filter(|snapshot| is_there(snapshot)).collect();
    put_in_group(&netns, &staying, |snapshot| Some(before.get(&snapshot.id.index)?.group));
    result?;
    Ok(snapshots.iter().map(|snapshot| reached(snapshot) && !is_there(snapshot)).collect())
}

/// Lists the links of a namespace by index, and marks those that are to be deleted.
fn list(
    netns: &Netns,
    snapshots: &[std::sync::Arc<Snapshot>],
) -> Result<BTreeMap<u32, Listed>, Error> {
    let by_index: BTreeMap<u32, &Snapshot> =
        snapshots.iter().map(|snapshot| (snapshot.id.index, &**snapshot)).collect();
    let read = |view: LinkView<'_>| {
        let snapshot = by_index.get(&view.index);
        // `compare` reads the tag, which is the group, so the list is taken before the group
        // changes.
        let is_same =
            snapshot.is_some_and(|snapshot| snapshot.id.compare(view, netns) == Look::Same);
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
/// anyway, or no tag is available.
fn unused_tag(netns: &Netns, links: &BTreeMap<u32, Listed>) -> Option<Tag> {
    let is_unused = |tag: &Tag| links.values().all(|listed| listed.group != tag.number());
    if netns.dies_with_process() { None } else { netns.fresh_tag().ok().filter(is_unused) }
}

/// Sets the group of each link. Returns whether every request succeeded. A refused request does not
/// stop those after it.
fn put_in_group(
    netns: &Netns,
    snapshots: &[&Snapshot],
    group: impl Fn(&Snapshot) -> Option<u32>,
) -> bool {
    let mut all = true;
    for chunk in snapshots.chunks(Requests::AT_ONCE) {
        let names: Vec<_> = chunk.iter().map(|snapshot| Quoted(&snapshot.id.name)).collect();
        let mut requests = Requests::default();
        for (snapshot, name) in chunk.iter().zip(&names) {
            if let Some(group) = group(snapshot) {
                let request = change(snapshot.id.index, |link| link.u32(IFLA_GROUP, group));
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
