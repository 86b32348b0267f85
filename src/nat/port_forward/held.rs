//! What is published by a namespace's handle, and how that changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;

use nix::errno::Errno;

use super::builder::{ACTION, PortForward};
use super::handle::PortForwardHandle;
use super::loopback::LocalRouting;
use super::mapping::{self, Mapping, Port, explain, taken};
use super::ruleset::{Elements, PortTable};
use super::stale::{self, At};
use crate::error::{Cause, Error};
use crate::netlink::Socket;
use crate::netns::{Netns, NfTables};
use crate::nft::Operations;
use crate::protocol::Protocol;
use crate::wire::nft::message::MessageType;

#[derive(Debug, Default)]
struct HeldPorts {
    next: u64,
    v4: OfFamily,
    v6: OfFamily,
    local: LocalRouting,
}

/// The mappings of a family: the first brings the table, the last takes it along.
#[derive(Debug, Default)]
struct OfFamily {
    mappings: BTreeMap<u64, Held>,
    /// Who has a port.
    holders: HashMap<Port, u64>,
    /// How many mappings lead to a container by a link.
    containers: HashMap<(u32, IpAddr), usize>,
}

#[derive(Debug, Clone)]
struct Held {
    mapping: Mapping,
    /// Whether the link routes loopback addresses for this one, too.
    is_local: bool,
}

impl HeldPorts {
    fn of(&mut self, is_ipv4: bool) -> &mut OfFamily {
        if is_ipv4 { &mut self.v4 } else { &mut self.v6 }
    }

    /// At which of these a UDP mapping is for that one address.
    fn addressed(&self, asked: &BTreeSet<At>) -> BTreeSet<At> {
        let is_held = |(address, port): &&At| {
            let family = if address.is_ipv4() { &self.v4 } else { &self.v6 };
            family.holders.contains_key(&(Protocol::UDP, Some(*address), *port))
        };
        asked.iter().filter(is_held).copied().collect()
    }
}

/// Publishes all of them, or none.
pub(super) fn create(
    netns: &Netns,
    forwards: &[PortForward],
) -> Result<Vec<PortForwardHandle>, Error> {
    let Some(first) = forwards.first() else { return Ok(Vec::new()) };
    let mappings = mapping::resolve(netns, forwards)?;
    let handles = in_tables(netns, first, |nf_tables| {
        let (socket, held) = state(nf_tables, first)?;
        add(netns, socket, held, mappings, first)
    })?;
    let made: Vec<_> = handles.iter().map(|handle| &handle.forward).collect();
    match stale::forget_others(netns, &made, &|asked| addressed(netns, asked)) {
        Ok(()) => Ok(handles),
        Err(error) => {
            // The error that is returned is the one that counts.
            for handle in &handles {
                drop(remove(handle));
            }
            Err(error)
        }
    }
}

fn addressed(netns: &Netns, asked: &BTreeSet<At>) -> Result<BTreeSet<At>, Error> {
    in_tables(netns, &"UDP connections", |nf_tables| {
        Ok(state(nf_tables, &"UDP connections")?.1.addressed(asked))
    })
}

fn add(
    netns: &Netns,
    socket: &mut Socket,
    held: &mut HeldPorts,
    mappings: Vec<Mapping>,
    shown: &PortForward,
) -> Result<Vec<PortForwardHandle>, Error> {
    let numbered = || (held.next..).zip(mappings.iter());
    let mut transaction = Operations::new();
    let step = (ACTION, shown as &dyn fmt::Display);
    let too_long = || Error::invalid(ACTION, shown, "it can't be put into an element");
    let mut containers: HashMap<(u32, IpAddr), usize> = HashMap::new();
    let mut changes = Vec::new();
    for is_ipv4 in [true, false] {
        let mut holders: HashMap<Port, u64> = HashMap::new();
        let known = if is_ipv4 { &held.v4 } else { &held.v6 };
        let mut elements = Elements::default();
        for (number, mapping) in numbered() {
            if mapping.target.is_ipv4() != is_ipv4 {
                continue;
            }
            for (port, target) in mapping.ports() {
                let before = known.holders.get(&port).copied();
                if let Some(holder) = before.or_else(|| holders.insert(port, number)) {
                    let known = known.mappings.get(&holder).map(|held| &held.mapping);
                    let fresh = || numbered().find(|(number, _)| *number == holder);
                    let holder = known.or_else(|| fresh().map(|(_, holder)| holder));
                    let holder = holder.map(|holder| holder.forward.to_string());
                    return Err(taken(&mapping.forward, holder));
                }
                elements.add_port(port, Some(target), None).ok_or_else(too_long)?;
            }
            let container = (mapping.link, mapping.target);
            let count = containers.entry(container).or_default();
            if *count == 0 && !known.containers.contains_key(&container) {
                elements.add_container(container.0, container.1).ok_or_else(too_long)?;
            }
            *count += 1;
        }
        let table = PortTable::held(socket.port(), is_ipv4);
        let is_wanted = mappings.iter().any(|mapping| mapping.target.is_ipv4() == is_ipv4);
        let is_new = is_wanted && known.mappings.is_empty();
        if is_new {
            table.push_create(&mut transaction).ok_or_else(too_long)?;
        }
        table.push_elements(&mut transaction, step, MessageType::NewElement, &elements);
        changes.push((table, is_new, elements));
    }
    transaction.commit(socket, |_| ()).map_err(explain).inspect_err(|error| {
        if error.is_unknown_outcome() {
            forget_unknown(socket, &changes);
        }
    })?;

    let mut handles = Vec::with_capacity(mappings.len());
    for mapping in mappings {
        let Mapping { forward, target, .. } = mapping.clone();
        let number = held.next;
        held.next += 1;
        let family = held.of(target.is_ipv4());
        family.holders.extend(mapping.ports().map(|(port, _)| (port, number)));
        *family.containers.entry((mapping.link, target)).or_default() += 1;
        family.mappings.insert(number, Held { mapping, is_local: false });
        let netns = netns.clone();
        handles.push(PortForwardHandle { netns, forward, target, number, kept: None });
    }
    if let Err(error) = route_loopback(netns, held, &handles) {
        for handle in &handles {
            drop(take(socket, held, handle));
        }
        return Err(error);
    }
    Ok(handles)
}

/// After an answer was lost: what may be there and has no owner goes.
fn forget_unknown(socket: &mut Socket, changes: &[(PortTable, bool, Elements)]) {
    let mut transaction = Operations::new();
    let step = ("delete", &"what an unread answer told of" as &dyn fmt::Display);
    for (table, is_new, elements) in changes {
        if *is_new {
            table.push_delete(&mut transaction, step);
        } else {
            table.push_elements(&mut transaction, step, MessageType::DeleteElement, elements);
        }
    }
    transaction.commit(socket, |_| ()).ok();
}

/// Where a loopback address leads to a mapping, has answers come back to one.
fn route_loopback(
    netns: &Netns,
    held: &mut HeldPorts,
    handles: &[PortForwardHandle],
) -> Result<(), Error> {
    for handle in handles.iter().filter(|handle| handle.forward.is_at_loopback()) {
        if let Some(one) = held.v4.mappings.get_mut(&handle.number) {
            held.local.hold(netns, one.mapping.link)?;
            one.is_local = true;
        }
    }
    Ok(())
}

/// By its number, if it is still there; with the last of the family goes the table.
pub(super) fn remove(handle: &PortForwardHandle) -> Result<(), Error> {
    in_tables(&handle.netns, handle, |nf_tables| {
        let (socket, held) = state(nf_tables, handle)?;
        take(socket, held, handle)
    })?;
    let forwards = [&handle.forward];
    stale::forget_own(&handle.netns, &forwards, &|asked| addressed(&handle.netns, asked))
}

/// Whether it has not been deleted.
pub(super) fn is_there(handle: &PortForwardHandle) -> bool {
    let there = in_tables(&handle.netns, handle, |nf_tables| {
        let (_, held) = state(nf_tables, handle)?;
        Ok(held.of(handle.target.is_ipv4()).mappings.contains_key(&handle.number))
    });
    there.unwrap_or(false)
}

fn take(
    socket: &mut Socket,
    held: &mut HeldPorts,
    handle: &PortForwardHandle,
) -> Result<(), Error> {
    let step = ("stop forwarding port", handle as &dyn fmt::Display);
    let is_ipv4 = handle.target.is_ipv4();
    let family = held.of(is_ipv4);
    let Some(Held { mapping, .. }) = family.mappings.get(&handle.number).cloned() else {
        return Err(Cause::from(Errno::ENOENT).doing(step.0, step.1));
    };
    let container = (mapping.link, mapping.target);
    let is_last = family.containers.get(&container).is_none_or(|count| *count <= 1);
    let table = PortTable::held(socket.port(), is_ipv4);
    let mut transaction = Operations::new();
    if family.mappings.len() == 1 {
        table.push_delete(&mut transaction, step);
    } else {
        let mut elements = Elements::default();
        let of_ports: Option<()> =
            mapping.ports().try_for_each(|(port, _)| elements.add_port(port, None, None));
        let of_container =
            if is_last { elements.add_container(container.0, container.1) } else { Some(()) };
        if of_ports.and(of_container).is_none() {
            return Err(Error::invalid(step.0, step.1, "it can't be put into an element"));
        }
        table.push_elements(&mut transaction, step, MessageType::DeleteElement, &elements);
    }
    // Off first: from then on nothing leads here that what is deleted next has to drop.
    let local = held.of(is_ipv4).mappings.get(&handle.number).filter(|one| one.is_local);
    if let Some(link) = local.map(|one| one.mapping.link) {
        held.local.release(&handle.netns, link)?;
        if let Some(one) = held.of(is_ipv4).mappings.get_mut(&handle.number) {
            one.is_local = false;
        }
    }
    let deleted = transaction.commit(socket, |_| ());
    // Gone may be the work of a first try whose answer was lost.
    if deleted.as_ref().is_err_and(|error| !error.is_not_found()) {
        return deleted;
    }
    let family = held.of(is_ipv4);
    family.mappings.remove(&handle.number);
    for (port, _) in mapping.ports() {
        family.holders.remove(&port);
    }
    if is_last {
        family.containers.remove(&container);
    } else if let Some(count) = family.containers.get_mut(&container) {
        *count -= 1;
    }
    Ok(())
}

fn state<'a>(
    nf_tables: &'a mut NfTables,
    shown: &dyn fmt::Display,
) -> Result<(&'a mut Socket, &'a mut HeldPorts), Error> {
    nf_tables.with().map_err(|cause| cause.doing("find held ports for", shown))
}

fn in_tables<T>(
    netns: &Netns,
    shown: &dyn fmt::Display,
    work: impl FnOnce(&mut NfTables) -> Result<T, Error>,
) -> Result<T, Error> {
    netns
        .nf_tables(|nf_tables| Ok(work(nf_tables)))
        .map_err(|cause| cause.doing("open nf_tables for", shown))
        .flatten()
        .map_err(|error| error.in_namespace(netns))
}
