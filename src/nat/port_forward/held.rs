//! What is published by a namespace's handle, and how that changes.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use nix::errno::Errno;

use super::builder::{ACTION, STOP};
use super::elements::Elements;
use super::handle::PortForwardHandle;
use super::local;
use super::mapping::{Container, Mapping, explain};
use super::numbers::Numbers;
use super::ruleset::PortTable;
use super::stale;
use super::tables::{Known, Ports, Step, change, with};
use crate::error::{Cause, Error};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::{Operations, is_outdated};
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
    mappings: Numbers,
    /// How many mappings lead to a container by a link.
    containers: HashMap<Container, usize>,
    /// How many have loopback addresses routed by a link.
    local: HashMap<u32, usize>,
}

impl HeldPorts {
    fn of(&mut self, is_ipv4: bool) -> &mut OfFamily {
        if is_ipv4 { &mut self.v4 } else { &mut self.v6 }
    }
}

/// Publishes all of them, or none.
pub(super) fn create(
    netns: &Netns,
    mappings: &[Mapping],
    shown: &dyn fmt::Display,
) -> Result<Vec<PortForwardHandle>, Error> {
    let step = (ACTION, shown);
    let handles = change(netns, step, |socket, ports, generation| {
        add(netns, socket, ports, generation, mappings, step)
    })?;
    local::hold(netns, &local::links_of(&handles), step).inspect_err(|_| {
        // The error that is returned is the one that counts.
        for handle in &handles {
            drop(remove(handle));
        }
    })?;
    Ok(handles)
}

/// What mappings have in common that need the same besides their ports: to where, and whether from loopback
/// addresses, too.
fn place(mapping: &Mapping) -> (Container, bool) {
    (mapping.container(), mapping.is_at_loopback())
}

/// A change to the table of a family.
struct Change<'a> {
    table: PortTable,
    is_new: bool,
    elements: Elements<'a>,
}

fn add(
    netns: &Netns,
    socket: &mut Socket,
    Ports { known, held }: &mut Ports,
    generation: u32,
    mappings: &[Mapping],
    step: Step<'_>,
) -> Result<Vec<PortForwardHandle>, Error> {
    let port = socket.port();
    let is_own = |table: &PortTable| *table == PortTable::held(port, table.is_ipv4);
    known.refuse_taken(socket, mappings, |table| !is_own(table))?;
    let mut transaction = Operations::at_generation(generation);
    let mut changes = Vec::new();
    for is_ipv4 in [true, false] {
        let of_family = || mappings.iter().filter(|one| one.is_ipv4() == is_ipv4);
        if of_family().next().is_none() {
            continue;
        }
        let family = held.of(is_ipv4);
        let mut elements = Elements::for_ports(of_family().map(|one| one.host_ports.len()).sum());
        let (mut new, mut local) = (BTreeSet::new(), BTreeSet::new());
        let mut last = None;
        for mapping in of_family() {
            for (port, target) in mapping.ports() {
                elements.add_port(port, Some(target), None);
            }
            let (container, is_local) = place(mapping);
            // Most of them lead where the one before does.
            if last.replace((container, is_local)) == Some((container, is_local)) {
                continue;
            }
            if !family.containers.contains_key(&container) && new.insert(container) {
                elements.add_container(container);
            }
            let link = mapping.link;
            if is_local && !family.local.contains_key(&link) && local.insert(link) {
                elements.add_local(link);
            }
        }
        let table = PortTable::held(port, is_ipv4);
        let is_new = family.mappings.is_empty();
        if is_new {
            table.push_create(&mut transaction);
        }
        table.push_elements(&mut transaction, step, MessageType::NewElement, &elements);
        changes.push(Change { table, is_new, elements });
    }
    if let Err(error) = transaction.commit(socket, |_| ()) {
        if error.is_already_exists() {
            known.refuse_taken(socket, mappings, is_own)?;
        }
        if error.is_unknown_outcome() {
            forget_unknown(socket, &changes);
        }
        return Err(explain(error));
    }
    known.committed();
    changes.iter().filter(|change| change.is_new).for_each(|change| known.made(&change.table));

    let first = held.next;
    held.next += mappings.len() as u64;
    let number = |(number, mapping): (u64, &Mapping)| PortForwardHandle {
        netns: netns.clone(),
        mapping: *mapping,
        number,
        kept: None,
    };
    let handles: Vec<_> = (first..).zip(mappings).map(number).collect();
    for alike in handles.chunk_by(|one, next| place(&one.mapping) == place(&next.mapping)) {
        let PortForwardHandle { mapping, number, .. } = &alike[0];
        let family = held.of(mapping.is_ipv4());
        family.mappings.extend(*number..*number + alike.len() as u64);
        *family.containers.entry(mapping.container()).or_default() += alike.len();
        if mapping.is_at_loopback() {
            *family.local.entry(mapping.link).or_default() += alike.len();
        }
    }
    Ok(handles)
}

/// After an answer was lost: what may be there and has no owner goes.
fn forget_unknown(socket: &mut Socket, changes: &[Change<'_>]) {
    let mut transaction = Operations::new();
    let step: Step<'_> = ("delete", &"what an unread answer told of");
    for Change { table, is_new, elements } in changes {
        if *is_new {
            table.push_delete(&mut transaction, step);
        } else {
            table.push_elements(&mut transaction, step, MessageType::DeleteElement, elements);
        }
    }
    transaction.commit(socket, |_| ()).ok();
}

/// By its number, if it is still there; with the last of the family goes the table.
pub(super) fn remove(handle: &PortForwardHandle) -> Result<(), Error> {
    let taken = with(&handle.netns, (STOP, handle), |socket, Ports { known, held }| {
        take(socket, known, held, handle).inspect_err(|_| known.forget())
    });
    let is_last = match &taken {
        Ok(is_last) => *is_last,
        // A first try may have come no further.
        Err(error) => error.is_not_found() && handle.mapping.is_at_loopback(),
    };
    let settled = if is_last { local::settle(&handle.netns) } else { Ok(false) };
    let forgotten = match &taken {
        Ok(_) => stale::forget_own(&handle.netns, &[handle.mapping]),
        Err(_) => Ok(()),
    };
    settled.and(taken.map(drop)).and(forgotten)
}

/// Whether it has not been deleted.
pub(super) fn is_there(handle: &PortForwardHandle) -> bool {
    let is_there = with(&handle.netns, ("look for", handle), |_, Ports { held, .. }| {
        Ok(held.of(handle.mapping.is_ipv4()).mappings.contains(handle.number))
    });
    is_there.unwrap_or(false)
}

/// Takes it away. Whether it was the last that had its link route loopback addresses.
fn take(
    socket: &mut Socket,
    known: &mut Known,
    held: &mut HeldPorts,
    handle: &PortForwardHandle,
) -> Result<bool, Error> {
    let step: Step<'_> = (STOP, handle);
    let PortForwardHandle { mapping, number, .. } = *handle;
    let table = PortTable::held(socket.port(), mapping.is_ipv4());
    let family = held.of(mapping.is_ipv4());
    if !family.mappings.contains(number) {
        return Err(Cause::from(Errno::ENOENT).doing(step.0, step.1));
    }
    let is_last = family.mappings.len() == 1;
    let count = family.containers.get(&mapping.container()).copied().unwrap_or(1);
    let mut elements = Elements::for_ports(mapping.host_ports.len());
    for (port, _) in mapping.ports() {
        elements.add_port(port, None, None);
    }
    if count <= 1 {
        elements.add_container(mapping.container());
    }
    let local = family.local.get(&mapping.link).copied().unwrap_or(1);
    let is_last_local = mapping.is_at_loopback() && local <= 1;
    if is_last_local {
        elements.add_local(mapping.link);
    }
    let mut delete = |transaction: Operations<'_>| {
        let mut transaction = transaction;
        if is_last {
            table.push_delete(&mut transaction, step);
        } else {
            table.push_elements(&mut transaction, step, MessageType::DeleteElement, &elements);
        }
        transaction.commit(socket, |_| ())
    };
    // Nobody else can change the table. The generation says whether what is known of others stays true.
    let deleted = match known.generation().map(|known| delete(Operations::at_generation(known))) {
        Some(Err(error)) if is_outdated(&error) => None,
        tried => tried,
    };
    let deleted = deleted.unwrap_or_else(|| {
        known.forget();
        delete(Operations::new())
    });
    // Gone may be the work of a first try whose answer was lost.
    match deleted {
        Ok(()) => known.committed(),
        Err(error) if error.is_not_found() => known.forget(),
        Err(error) => return Err(error),
    }
    if is_last {
        known.gone(&table);
    }
    let family = held.of(mapping.is_ipv4());
    family.mappings.remove(number);
    match family.containers.get_mut(&mapping.container()) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(family.containers.remove(&mapping.container())),
    }
    match family.local.get_mut(&mapping.link) {
        _ if !mapping.is_at_loopback() => {}
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(family.local.remove(&mapping.link)),
    }
    Ok(is_last_local)
}
