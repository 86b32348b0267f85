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
        let snapshot = self.snapshot();
        let failed = |cause| snapshot.failure(ACTION, cause);
        match snapshot.id.look(&snapshot.netns).map_err(failed)? {
            Look::Same => {}
            Look::Gone => return Ok(Removed::Gone),
            Look::Differs(text) => return Err(failed(Cause::Replaced(text))),
        }
        match snapshot.send(ACTION, message::delete(snapshot.id.index)) {
            Ok(()) => Ok(Removed::Deleted),
            // Another program deleted the link after the check. The next attempt checks again.
            Err(error) => Err(error.hint_on(Errno::EOPNOTSUPP, || {
                "the kernel creates this link itself and refuses to delete it".into()
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

/// A link alone, or both ends of a veth pair. Deleting one end deletes both.
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
            // The first index may belong to another link by now. Deleting the second end deletes
            // the first end too.
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

/// Hands the deletion to the open drop scope.
pub(super) fn defer(ends: Ends, deferred: &mut Deferred) -> bool {
    deferred.add(|links: &mut DroppedLinks| links.0.push(ends));
    true
}

/// The links of dropped owners. When the drop scope closes, they are deleted by group.
#[derive(Debug, Default)]
struct DroppedLinks(Vec<Ends>);

impl Collected for DroppedLinks {
    /// Deletes the links of each namespace as one group. A link that the group deletion missed is
    /// deleted alone, and reports its own error.
    fn remove(self: Box<Self>) -> Vec<Error> {
        let mut is_deleted = vec![false; self.0.len()];
        for (positions, links) in by_namespace(&self.0) {
            if links.len() < 2 {
                continue;
            }
            match group::delete(&links) {
                Ok(deleted) => {
                    let deleted =
                        positions.into_iter().zip(deleted).filter(|(_, deleted)| *deleted);
                    deleted.for_each(|(position, _)| is_deleted[position] = true);
                }
                Err(error) => log::debug!("{error}: deleting {} links one by one", links.len()),
            }
        }
        let left = self.0.iter().zip(is_deleted).filter(|(_, deleted)| !deleted);
        left.filter_map(|(ends, _)| remove_in_two(ends).err()).collect()
    }
}

/// Sorts links by namespace, each with its position in `all`. Of a veth pair, takes the end in the
/// namespace that has more links to delete: that needs fewer groups.
fn by_namespace(all: &[Ends]) -> Vec<(Vec<usize>, Vec<&Link>)> {
    let namespace = |link: &Link| link.snapshot().netns.id();
    let mut sizes: BTreeMap<NetnsId, usize> = BTreeMap::new();
    for end in all.iter().flat_map(Ends::each) {
        *sizes.entry(namespace(end)).or_default() += 1;
    }
    let size = |link: &Link| sizes.get(&namespace(link)).copied().unwrap_or(0);
    let mut sorted: BTreeMap<NetnsId, (Vec<usize>, Vec<&Link>)> = BTreeMap::new();
    for (position, ends) in all.iter().enumerate() {
        let end = match &ends.other {
            Some(other) if size(other) > size(&ends.one) => other,
            _ => &ends.one,
        };
        let (positions, links) = sorted.entry(namespace(end)).or_default();
        positions.push(position);
        links.push(end);
    }
    sorted.into_values().collect()
}
