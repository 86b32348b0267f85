//! What is published by a namespace's handle, and how that changes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use super::builder::{ACTION, STOP};
use super::elements::{Bound, PortElement, Shared};
use super::handle::{PortForwardHandle, mappings};
use super::local;
use super::mapping::{Container, Mapping, Mappings, explain, runs};
use super::numbers::Numbers;
use super::ruleset::PortTable;
use super::stale;
use super::tables::{Known, Ports, Step, change, with};
use crate::error::Error;
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::{Operations, is_outdated};
use crate::owned::Owned;
use crate::wire::nft::message::MessageType;

#[derive(Debug, Default)]
pub(super) struct HeldPorts {
    next: u64,
    v4: OfFamily,
    v6: OfFamily,
}

/// The mappings of a family: the first brings the table, the last takes it along. Who has a port the kernel
/// knows, as nobody else can change the table.
#[derive(Debug, Default)]
struct OfFamily {
    table: Option<PortTable>,
    mappings: Numbers,
    /// How many mappings lead to a container by a link.
    containers: BTreeMap<Container, usize>,
    /// How many have loopback addresses routed by a link.
    local: BTreeMap<u32, usize>,
}

impl HeldPorts {
    fn of(&mut self, is_ipv4: bool) -> &mut OfFamily {
        if is_ipv4 { &mut self.v4 } else { &mut self.v6 }
    }

    /// The table of a family, of the owner with this socket.
    fn table(&mut self, socket_port: u32, is_ipv4: bool) -> PortTable {
        let table = &mut self.of(is_ipv4).table;
        table.get_or_insert_with(|| PortTable::held(socket_port, is_ipv4)).clone()
    }
}

impl OfFamily {
    /// Counts mappings more: what the first of each container and of each link brings.
    fn come<'m>(&mut self, mappings: impl Iterator<Item = &'m Mapping>) -> Shared {
        let mut new = Shared::default();
        for (mapping, many) in runs(mappings) {
            let container = mapping.container();
            if is_first(self.containers.entry(container), many) {
                new.add_container(container);
            }
            if mapping.is_at_loopback() && is_first(self.local.entry(mapping.link), many) {
                new.add_local(mapping.link);
            }
        }
        new
    }

    /// Counts mappings less: what the last of each container and of each link takes along.
    fn go<'m>(&mut self, mappings: impl Iterator<Item = &'m Mapping>) -> Shared {
        let mut gone = Shared::default();
        for (mapping, many) in runs(mappings) {
            let container = mapping.container();
            if is_last(self.containers.entry(container), many) {
                gone.add_container(container);
            }
            if mapping.is_at_loopback() && is_last(self.local.entry(mapping.link), many) {
                gone.add_local(mapping.link);
            }
        }
        gone
    }
}

/// Counts so many more, and says whether there was none before.
fn is_first<K: Ord>(count: Entry<'_, K, usize>, many: usize) -> bool {
    let count = count.or_default();
    *count += many;
    *count == many
}

/// Counts so many less, and says whether there is none any more.
fn is_last<K: Ord>(count: Entry<'_, K, usize>, many: usize) -> bool {
    match count {
        Entry::Occupied(mut count) if *count.get() > many => {
            *count.get_mut() -= many;
            false
        }
        Entry::Occupied(count) => {
            count.remove();
            true
        }
        Entry::Vacant(_) => false,
    }
}

fn of_family<'m>(
    mappings: impl Mappings<'m>,
    is_ipv4: bool,
) -> impl Iterator<Item = &'m Mapping> + Clone {
    mappings.filter(move |mapping| mapping.is_ipv4() == is_ipv4)
}

/// Those of a family at one address each, or those at all.
fn bound_to<'m>(
    mappings: impl Mappings<'m>,
    is_ipv4: bool,
    bound: Bound,
) -> impl Iterator<Item = Mapping> {
    let of_kind = of_family(mappings, is_ipv4);
    of_kind.filter(move |mapping| Bound::to(mapping.host_address) == bound).copied()
}

/// Publishes all of them, or none.
pub(super) fn create(
    netns: &Netns,
    owned: &mut [Owned<PortForwardHandle>],
    shown: &dyn fmt::Display,
) -> Result<(), Error> {
    let step = (ACTION, shown);
    let first = change(netns, step, |socket, ports, generation| {
        add(socket, ports, generation, &mappings(owned), step)
    })?;
    for (number, one) in (first..).zip(owned.iter_mut()) {
        one.number = number;
        one.begin();
    }
    // An error here has all of them go again, with their owners.
    local::hold(netns, mappings(owned), step)
}

/// A change to the table of a family.
struct Change {
    table: PortTable,
    is_new: bool,
    shared: Shared,
}

/// Adds them: the number of the first.
fn add<'m>(
    socket: &mut Socket,
    Ports { known, held }: &mut Ports,
    generation: u32,
    mappings: &impl Mappings<'m>,
    step: Step<'_>,
) -> Result<u64, Error> {
    let port = socket.port();
    known.refuse_taken(socket, mappings, |table| !table.is_of(port))?;
    let mut transaction = Operations::at_generation(generation);
    let mut changes = Vec::with_capacity(2);
    for is_ipv4 in [true, false] {
        let of_family = of_family(mappings.clone(), is_ipv4);
        if of_family.clone().next().is_none() {
            continue;
        }
        let table = held.table(port, is_ipv4);
        let family = held.of(is_ipv4);
        let is_new = family.mappings.is_empty();
        if is_new {
            table.push_create(&mut transaction);
        }
        let shared = family.come(of_family.clone());
        let of_kind = |bound| bound_to(mappings.clone(), is_ipv4, bound);
        let ports = |bound| of_kind(bound).flat_map(PortElement::of);
        transaction.reserve(mappings.len().saturating_mul(PortElement::MOST));
        table.push_elements(&mut transaction, step, MessageType::NewElement, ports, &shared);
        changes.push(Change { table, is_new, shared });
    }
    if let Err(error) = transaction.commit(socket, |_| ()) {
        for Change { table, .. } in &changes {
            held.of(table.is_ipv4).go(of_family(mappings.clone(), table.is_ipv4));
        }
        if error.is_already_exists() {
            known.refuse_taken(socket, mappings, |table| table.is_of(port))?;
        }
        if error.is_outcome_unknown() {
            forget_unknown(socket, mappings, &changes);
        }
        return Err(explain(error));
    }
    known.committed();
    changes.iter().filter(|change| change.is_new).for_each(|change| known.made(&change.table));

    let first = held.next;
    held.next += mappings.len() as u64;
    for is_ipv4 in changes.iter().map(|change| change.table.is_ipv4) {
        let numbered = (first..).zip(mappings.clone());
        let of_family = numbered.filter(|(_, mapping)| mapping.is_ipv4() == is_ipv4);
        held.of(is_ipv4).mappings.extend(of_family.map(|(number, _)| number));
    }
    Ok(first)
}

/// After an answer was lost: what may be there and has no owner goes.
fn forget_unknown<'m>(socket: &mut Socket, mappings: &impl Mappings<'m>, changes: &[Change]) {
    let mut transaction = Operations::new();
    let step: Step<'_> = ("delete", &"what an unread answer told of");
    for Change { table, is_new, shared } in changes {
        if *is_new {
            table.push_delete(&mut transaction, step);
        } else {
            let of_kind = |bound| bound_to(mappings.clone(), table.is_ipv4, bound);
            let ports = |bound| of_kind(bound).flat_map(PortElement::gone);
            table.push_elements(&mut transaction, step, MessageType::DeleteElement, ports, shared);
        }
    }
    transaction.commit(socket, |_| ()).ok();
}

/// Whether it has not been deleted.
pub(super) fn is_there(handle: &PortForwardHandle) -> bool {
    let is_there = with(&handle.netns, ("look for", handle), |_, Ports { held, .. }| {
        Ok(held.of(handle.mapping.is_ipv4()).mappings.contains(handle.number))
    });
    is_there.unwrap_or(false)
}

/// Removes those that are there, each by its number, and what can't be part of the transaction; whether it was all
/// of them. With the last of a family goes the table.
pub(super) fn take_all(netns: &Netns, handles: &[&PortForwardHandle]) -> Result<bool, Error> {
    let Some(first) = handles.first() else { return Ok(true) };
    let step: Step<'_> = (STOP, first);
    let Taken { there, is_last_local } = with(netns, step, |socket, Ports { known, held }| {
        take(socket, known, held, handles, step).inspect_err(|_| known.forget())
    })?;
    let settled = if is_last_local { local::settle(netns) } else { Ok(false) };
    stale::forget_own(netns, there.iter())?;
    settled.map(|_| there.len() == handles.len())
}

struct Taken {
    there: Vec<Mapping>,
    /// Whether links may have to be as they were before.
    is_last_local: bool,
}

fn take(
    socket: &mut Socket,
    known: &mut Known,
    held: &mut HeldPorts,
    handles: &[&PortForwardHandle],
    step: Step<'_>,
) -> Result<Taken, Error> {
    let port = socket.port();
    let (mut there, mut is_last_local) = (Vec::with_capacity(handles.len()), false);
    for PortForwardHandle { mapping, number, .. } in handles {
        if held.of(mapping.is_ipv4()).mappings.contains(*number) {
            there.push(*mapping);
        } else {
            // A first try may have come no further.
            is_last_local |= mapping.is_at_loopback();
        }
    }
    let mut changes = Vec::with_capacity(2);
    for is_ipv4 in [true, false] {
        let of_family = of_family(there.iter(), is_ipv4);
        let many = of_family.clone().count();
        if many > 0 {
            let table = held.table(port, is_ipv4);
            let family = held.of(is_ipv4);
            let (is_last, shared) = (family.mappings.len() == many, family.go(of_family));
            is_last_local |= !shared.local.is_empty();
            changes.push((table, is_last, shared));
        }
    }
    if changes.is_empty() {
        return Ok(Taken { there, is_last_local });
    }
    let mut delete = |generation: Option<u32>| {
        let mut transaction = generation.map_or_else(Operations::new, Operations::at_generation);
        for (table, is_last, shared) in &changes {
            if *is_last {
                table.push_delete(&mut transaction, step);
            } else {
                let of_kind = |bound| bound_to(there.iter(), table.is_ipv4, bound);
                let ports = |bound| of_kind(bound).flat_map(PortElement::gone);
                let kind = MessageType::DeleteElement;
                table.push_elements(&mut transaction, step, kind, ports, shared);
            }
        }
        transaction.commit(socket, |_| ())
    };
    // Nobody else can change the table. The generation says whether what is known of others stays true.
    let deleted = match known.generation().map(|known| delete(Some(known))) {
        Some(Err(error)) if is_outdated(&error) => None,
        tried => tried,
    };
    let deleted = deleted.unwrap_or_else(|| {
        known.forget();
        delete(None)
    });
    match deleted {
        Ok(()) => known.committed(),
        // Gone may be the work of a first try whose answer was lost. Of many, one may be.
        Err(error) if error.is_not_found() && there.len() == 1 => known.forget(),
        Err(error) => {
            for (table, ..) in &changes {
                held.of(table.is_ipv4).come(of_family(there.iter(), table.is_ipv4));
            }
            return Err(error);
        }
    }
    changes.iter().filter(|(_, is_last, _)| *is_last).for_each(|(table, ..)| known.gone(table));
    for PortForwardHandle { mapping, number, .. } in handles {
        held.of(mapping.is_ipv4()).mappings.remove(*number);
    }
    Ok(Taken { there, is_last_local })
}
