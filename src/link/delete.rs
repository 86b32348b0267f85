//! The deletion of links, one by one or many together.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::handle::Link;
use super::{group, message};
use crate::drop_scope::{Collected, Deferred};
use crate::error::{Cause, Error, ErrorKind};
use crate::netns::{Look, NetnsId};
use crate::owned::remove_in_two;
use crate::owned::sealed::{Remove, Removed};

const ACTION: &str = "delete link";

impl Remove for Link {
    fn remove(&self) -> Result<Removed, Error> {
        let place = self.place();
        let failed = |cause| place.failure(ACTION, cause);
        match place.id.look(&place.netns).map_err(failed)? {
            Look::Same => {}
            Look::Gone => return Ok(Removed::Gone),
            Look::Differs(text) => return Err(failed(Cause::Replaced(text))),
        }
        match place.send(ACTION, message::delete(place.id.index)) {
            Ok(()) => Ok(Removed::Deleted),
            // Deleted by another program since the look: the second attempt looks again.
            Err(error) => Err(error.hint_on(Errno::EOPNOTSUPP, || {
                "the kernel made this link and keeps it: only links that were created can be deleted"
                    .into()
            })),
        }
    }

    fn kept(&self) {
        self.untag();
    }

    fn adopted(&self) {
        self.tag();
    }

    fn defer(&self, deferred: &mut Deferred) -> bool {
        defer(Ends { one: self.clone(), other: None }, deferred)
    }
}

/// A link, or both ends of a veth pair, of which either deletes both.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    pub(super) one: Link,
    pub(super) other: Option<Link>,
}

impl Ends {
    fn each(&self) -> impl Iterator<Item = &Link> {
        std::iter::once(&self.one).chain(&self.other)
    }
}

impl Remove for Ends {
    /// Deletes the pair by its second end if the first one is gone or was moved away.
    fn remove(&self) -> Result<Removed, Error> {
        match (self.one.remove(), &self.other) {
            (Ok(Removed::Gone), Some(other)) => other.remove(),
            // The first end may be another link by now. If the second one is deleted, so is the
            // first.
            (Err(error), Some(other)) if error.kind() == ErrorKind::Replaced => {
                match other.remove() {
                    Ok(Removed::Deleted) => Ok(Removed::Deleted),
                    _ => Err(error),
                }
            }
            (answer, _) => answer,
        }
    }
}

/// Leaves the deletion to the open scope.
pub(super) fn defer(ends: Ends, deferred: &mut Deferred) -> bool {
    deferred.add(|links: &mut DroppedLinks| links.0.push(ends));
    true
}

/// The links of dropped owners, to be deleted in one group a namespace.
#[derive(Debug, Default)]
struct DroppedLinks(Vec<Ends>);

impl Collected for DroppedLinks {
    /// Deletes one group of links in each namespace. A link that a group did not reach is deleted
    /// alone, so that it has an answer of its own.
    fn remove(self: Box<Self>) -> Vec<Error> {
        let mut is_deleted = vec![false; self.0.len()];
        for (places, links) in by_namespace(&self.0) {
            if links.len() < 2 {
                continue;
            }
            match group::delete(&links) {
                Ok(deleted) => {
                    let deleted = places.into_iter().zip(deleted).filter(|(_, deleted)| *deleted);
                    deleted.for_each(|(place, _)| is_deleted[place] = true);
                }
                Err(error) => log::debug!("{error}: deleting {} links one by one", links.len()),
            }
        }
        let left = self.0.iter().zip(is_deleted).filter(|(_, deleted)| !deleted);
        left.filter_map(|(ends, _)| remove_in_two(ends).err()).collect()
    }
}

/// Sorts links by namespace, each with its place in the list. Of a veth pair, takes the end whose
/// namespace has more of the others, for few groups.
fn by_namespace(all: &[Ends]) -> Vec<(Vec<usize>, Vec<&Link>)> {
    let namespace = |link: &Link| link.place().netns.id();
    let mut sizes: BTreeMap<NetnsId, usize> = BTreeMap::new();
    for end in all.iter().flat_map(Ends::each) {
        *sizes.entry(namespace(end)).or_default() += 1;
    }
    let size = |link: &Link| sizes.get(&namespace(link)).copied().unwrap_or(0);
    let mut sorted: BTreeMap<NetnsId, (Vec<usize>, Vec<&Link>)> = BTreeMap::new();
    for (place, ends) in all.iter().enumerate() {
        let end = match &ends.other {
            Some(other) if size(other) > size(&ends.one) => other,
            _ => &ends.one,
        };
        let (places, links) = sorted.entry(namespace(end)).or_default();
        places.push(place);
        links.push(end);
    }
    sorted.into_values().collect()
}
