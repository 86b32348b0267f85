//! Checks the types of named sets against the fields that rules look up in them.

use super::{Operation, Refused, Transaction};
use crate::error::{Cause, Error};
use crate::netlink::Socket;
use crate::nft::live::handle::TableHandle;
use crate::nft::live::reader;
use crate::nft::model::interval::Shape;
use crate::nft::model::set_message::shape_of;
use crate::wire::nft::message::MessageType;
use crate::wire::nft::set as wire;

/// A named set that the transaction creates, or that a rule looks up in an existing table.
pub(super) struct NamedSet {
    operation: usize,
    table: TableHandle,
    name: String,
    shape: Shape,
}

impl Transaction {
    pub(super) fn remember_set(&mut self, table: &TableHandle, name: &str, shape: &Shape) {
        let (operation, table, shape) = (self.index(), table.clone(), shape.clone());
        self.new_sets.push(NamedSet { operation, table, name: name.to_owned(), shape });
    }

    /// Checks the named sets of a rule. Sets that the transaction creates are checked now, others
    /// by [`check_lookups`](Self::check_lookups).
    pub(super) fn check_named_sets(&mut self, table: &TableHandle, named: Vec<(String, Shape)>) {
        for (name, shape) in named {
            let is_it = |set: &&NamedSet| set.name == name && set.table.number == table.number;
            let wrong = if let Some(set) = self.new_sets.iter().find(is_it) {
                shape.check_lookup(&name, &set.shape).err()
            } else {
                let (operation, table) = (self.index(), table.clone());
                self.lookups.push(NamedSet { operation, table, name, shape });
                None
            };
            if let Some(reason) = wrong {
                self.refuse_for(reason);
            }
        }
    }

    /// Reads the existing sets, and returns the operations that look up a set of another type.
    pub(super) fn check_lookups(
        &self,
        socket: &mut Socket,
        operations: &[Operation],
    ) -> Result<Vec<Refused>, Cause> {
        let mut refused = Vec::new();
        let mut read: Vec<(&NamedSet, Option<Shape>)> = Vec::new();
        let existing = |lookup: &&NamedSet| lookup.table.number.if_known().is_some();
        for lookup in self.lookups.iter().filter(existing) {
            let is_same = |(other, _): &&(&NamedSet, _)| {
                other.name == lookup.name && other.table.number == lookup.table.number
            };
            let shape = if let Some((_, shape)) = read.iter().find(is_same) {
                shape.clone()
            } else {
                let (family, table) = (lookup.table.family, &lookup.table.name);
                let of = wire::Set::by_name(table, &lookup.name);
                let set: Option<wire::Set> = reader::get(socket, MessageType::GetSet, family, &of)?;
                let shape = set.as_ref().map(shape_of);
                read.push((lookup, shape.clone()));
                shape
            };
            // A missing set is left to the kernel to refuse.
            let Some(shape) = shape else { continue };
            if let Err(reason) = lookup.shape.check_lookup(&lookup.name, &shape) {
                let index = lookup.operation;
                let (action, object) = operations.get(index).cloned().unwrap_or_default();
                let error = Error::invalid(action, object, reason).in_namespace(&self.netns);
                refused.push(Refused { index, error });
            }
        }
        Ok(refused)
    }
}
