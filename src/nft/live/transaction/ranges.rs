//! Checks changes to sets with intervals against the elements in the set.

use nix::errno::Errno;

use super::{Operation, Refused, Transaction};
use crate::error::Cause;
use crate::netlink::Socket;
use crate::nft::live::handle::SetHandle;
use crate::nft::live::reader;
use crate::nft::model::ranges::{KeyRange, Ranges};
use crate::wire::nft::element as wire;
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::message::MessageType;

/// A change to the elements of a set with intervals.
pub(super) struct Change {
    operation: usize,
    set: SetHandle,
    kind: Kind,
}

enum Kind {
    Add(Vec<KeyRange>),
    Remove(Vec<KeyRange>),
    Flush,
}

impl Change {
    /// Applies the change to `ranges`. Fails if the kernel should refuse the change.
    fn apply(&self, ranges: &mut Ranges<'_>) -> Result<(), (Errno, String)> {
        match &self.kind {
            Kind::Flush => ranges.clear(),
            Kind::Add(intervals) => {
                for one in intervals {
                    ranges.add(one.clone()).map_err(|other| {
                        (Errno::EEXIST, format!("{other} is in the set and overlaps"))
                    })?;
                }
            }
            Kind::Remove(intervals) => {
                for one in intervals {
                    if !ranges.remove(one) {
                        let found = ranges.holding(one).map(|other| ranges.element(other));
                        let hint = match found {
                            Some(other) => format!(
                                "the element is part of {other}: remove that whole interval"
                            ),
                            None => "the set does not have this element".into(),
                        };
                        return Err((Errno::ENOENT, hint));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Transaction {
    pub(super) fn change_ranges(
        &mut self,
        set: &SetHandle,
        kind: MessageType,
        elements: &[wire::Element],
    ) {
        let intervals = elements.iter().filter_map(KeyRange::new).collect();
        let kind = match kind {
            MessageType::NewElement => Kind::Add(intervals),
            _ => Kind::Remove(intervals),
        };
        self.ranges.push(Change { operation: self.index(), set: set.clone(), kind });
    }

    pub(super) fn flush_ranges(&mut self, set: &SetHandle) {
        if set.shape.interval {
            let (operation, kind) = (self.index(), Kind::Flush);
            self.ranges.push(Change { operation, set: set.clone(), kind });
        }
    }

    /// Returns the changes, by set, that could conflict with elements. A new set with only one
    /// change can't conflict: its first elements were checked before.
    fn changed_sets(&self) -> Vec<Vec<&Change>> {
        let mut sets: Vec<Vec<&Change>> = Vec::new();
        for change in &self.ranges {
            match sets.iter_mut().find(|set| set[0].set.number == change.set.number) {
                Some(set) => set.push(change),
                None => sets.push(vec![change]),
            }
        }
        let is_new = |set: &SetHandle| self.created.contains(&set.number.identity());
        sets.retain(|set| set.len() > 1 || !is_new(&set[0].set));
        sets
    }

    pub(super) fn has_to_look(&self) -> bool {
        !self.ranges.is_empty() && !self.changed_sets().is_empty()
    }

    /// Reads the sets, and returns the operations that conflict with their elements.
    pub(super) fn check_ranges(
        &self,
        socket: &mut Socket,
        operations: &[Operation],
    ) -> Result<Vec<Refused>, Cause> {
        let mut refused = Vec::new();
        for changes in self.changed_sets() {
            let SetHandle { table, name, shape, number } = &changes[0].set;
            let mut listed = Vec::new();
            if !self.created.contains(&number.identity()) {
                let of = ElementsOf::new(&table.name, name);
                match reader::all_elements(socket, table.family, &of) {
                    // A missing set is left to the kernel to refuse.
                    Err(cause) if cause.errno() == Some(Errno::ENOENT) => continue,
                    all => listed = all?,
                }
            }
            let mut ranges = Ranges::new(shape, listed);
            for change in changes {
                if let Err((errno, hint)) = change.apply(&mut ranges) {
                    let (index, cause) = (change.operation, Cause::from(errno));
                    let (action, object) = operations.get(index).cloned().unwrap_or_default();
                    let error = cause.doing(action, object).in_namespace(&self.netns).hint(hint);
                    refused.push(Refused { index, error });
                }
            }
        }
        refused.sort_by_key(|refused| refused.index);
        Ok(refused)
    }
}
