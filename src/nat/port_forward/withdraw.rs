//! Deletion of published ports, held and persistent.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::handle::{Persistent, PortForwardHandle};
use super::mapping::{Mapping, Port};
use super::record::Record;
use super::row_changes::RowChanges;
use super::ruleset::ruleset;
use super::state::{Known, Ports, TagRows, Turn, change};
use super::table::{PortElement, PortTable, State};
use super::tag::{Number, TagHash, link_counter};
use super::{loopback, stale};
use crate::drop_scope::{Collected, Deferred};
use crate::error::Error;
use crate::netns::Netns;
use crate::nft::{Step, Transaction};
use crate::owned::remove_in_two;
use crate::owned::sealed::{Remove, Removed};
use crate::wire::nft::message::MessageType;
use crate::wire::nft::object::{Object, ObjectKind};
use crate::wire::nft::userdata::UserData;

const ACTION: &str = "delete published port";

/// The maximum number of ports deleted in one transaction. An ordinary user's send buffer has room
/// for more.
const AT_ONCE: usize = 1000;

impl Remove for PortForwardHandle {
    fn remove(&self) -> Result<Removed, Error> {
        let existed = delete_all(&self.netns, &[self])?;
        Ok(if existed { Removed::Deleted } else { Removed::Gone })
    }

    fn defer(&self, deferred: &mut Deferred) -> bool {
        deferred.add(|ports: &mut DroppedPorts| ports.0.push(self.clone()));
        true
    }
}

/// The published ports of dropped owners, to be deleted in few transactions.
#[derive(Debug, Default)]
struct DroppedPorts(Vec<PortForwardHandle>);

impl Collected for DroppedPorts {
    fn remove(self: Box<Self>) -> Vec<Error> {
        // Each namespace handle has its own socket, which owns the table of its held ports.
        let mut by_socket: Vec<Vec<&PortForwardHandle>> = Vec::new();
        for port in &self.0 {
            let is_its = |ports: &&mut Vec<&PortForwardHandle>| {
                ports.first().is_some_and(|first| first.netns.is_clone_of(&port.netns))
            };
            match by_socket.iter_mut().find(is_its) {
                Some(ports) => ports.push(port),
                None => by_socket.push(vec![port]),
            }
        }
        let mut failures = Vec::new();
        for ports in &mut by_socket {
            // Deletes the last rows of each tag first, because the rows behind a deleted row have
            // to move.
            let rows = |port: &&PortForwardHandle| {
                let one = port.persistent.as_ref()?;
                Some((Arc::clone(&one.tag), Reverse(one.place)))
            };
            ports.sort_by_cached_key(rows);
            for ports in ports.chunks(AT_ONCE) {
                if delete_all(&ports[0].netns, ports).is_err() {
                    failures.extend(ports.iter().filter_map(|port| remove_in_two(*port).err()));
                }
            }
        }
        failures
    }
}

/// Deletes the ports that still exist. Returns whether all of them existed.
fn delete_all(netns: &Netns, handles: &[&PortForwardHandle]) -> Result<bool, Error> {
    let Some(first) = handles.first() else { return Ok(true) };
    let step: Step<'_> = (ACTION, first);
    let deleted = change(netns, step, |turn| delete(turn, handles))?;
    let settled = match &deleted.unneeded {
        Some(links) => loopback::settle(netns, links.clone(), step),
        None => Ok(()),
    };
    stale::forget_own(netns, &deleted.mappings)?;
    loopback::check(netns, step)?;
    settled.map(|()| deleted.mappings.len() == handles.len())
}

#[derive(Debug, Default)]
struct Deleted {
    mappings: Vec<Mapping>,
    /// The links that may no longer need to route loopback addresses; `None` if nothing has to be
    /// settled.
    unneeded: Option<BTreeSet<u32>>,
}

fn delete(turn: &mut Turn<'_>, handles: &[&PortForwardHandle]) -> Result<Deleted, Error> {
    let mut removals = Vec::new();
    for is_ipv4 in [true, false] {
        for owner in [Some(turn.socket.port()), None] {
            let table = PortTable::new(owner, is_ipv4);
            let of_table = handles.iter().copied().filter(|handle| {
                (handle.mapping.is_ipv4(), handle.persistent.is_none())
                    == (is_ipv4, table.is_held())
            });
            let of_table: Vec<_> = of_table.collect();
            if !of_table.is_empty() {
                removals.extend(Removal::new(turn, table, &of_table)?);
            }
        }
    }
    if removals.is_empty() {
        turn.unchanged()?;
    } else {
        let mut transaction = turn.transaction();
        for removal in removals.iter().filter(|removal| !removal.is_last) {
            let table = &removal.table;
            if turn.ports.known.state(table) == Some(State::Broken) {
                // Remaining mappings need the whole table, and a deletion in a missing set is refused.
                transaction.restore(&ruleset(table));
                turn.ports.known.created(table);
            }
        }
        transaction.begin(turn.step.0, "");
        for removal in &removals {
            removal.push(&mut transaction);
        }
        match turn.commit(transaction) {
            Ok(()) => {}
            // A held port is missing: an earlier attempt deleted it, and its answer was lost. For a
            // persistent port, another program may have deleted only a part.
            Err(error)
                if error.is_not_found() && matches!(handles, [one] if one.persistent.is_none()) =>
            {
                turn.ports.known = Known::default();
            }
            Err(error) => return Err(error),
        }
    }
    let mut deleted = Deleted::default();
    for removal in removals {
        removal.finish(turn.ports, &mut deleted);
    }
    let known = &mut turn.ports.known;
    if !known.has_ipv4() && known.guard.is_ours() {
        deleted.unneeded.get_or_insert_default();
    }
    if deleted.mappings.len() < handles.len() {
        // An earlier attempt may have failed after the deletion, before it settled the links.
        let local = handles.iter().filter(|handle| handle.mapping.covers_loopback());
        deleted.unneeded.get_or_insert_default().extend(local.map(|handle| handle.mapping.link));
    }
    for link in deleted.unneeded.iter().flatten() {
        known.steady.remove(link);
    }
    Ok(deleted)
}

/// The mappings to delete from one table, and what to delete with them.
#[derive(Debug)]
struct Removal<'h> {
    table: PortTable,
    found: Vec<(Number, &'h PortForwardHandle)>,
    /// The ports whose elements belong to these mappings.
    ports: Vec<Port>,
    /// For each link, how many deleted and how many remaining mappings use it.
    links: Vec<(u32, [u32; 2], [u32; 2])>,
    rows: RowChanges,
    /// True if no mapping remains, so that the whole table is deleted.
    is_last: bool,
}

impl<'h> Removal<'h> {
    /// Prepares the deletion from one table. Returns `None` if none of the mappings exists.
    fn new(
        turn: &mut Turn<'_>,
        table: PortTable,
        handles: &[&'h PortForwardHandle],
    ) -> Result<Option<Self>, Error> {
        if !turn.ports.known.has(&table) {
            // An earlier attempt deleted the table, and its answer was lost.
            turn.ports.uses(&table).clear();
            for handle in handles {
                handle.flag.set_deleted();
            }
            return Ok(None);
        }
        let (mut found, unsure) = sure(&turn.ports.known, &table, handles);
        make_distinct(&mut found);
        let mut ports: Vec<_> = found.iter().flat_map(|(_, one)| published(one.mapping)).collect();
        if !unsure.is_empty() {
            let mut read = find_rows(turn, &table, &unsure)?;
            make_distinct(&mut read);
            read.retain(|(number, _)| found.binary_search_by_key(number, |one| one.0).is_err());
            let handles: Vec<_> = read.iter().map(|(_, handle)| *handle).collect();
            let own = own_ports(turn, &table, &handles)?;
            ports.extend(own.into_iter().map(|(_, port)| port));
            found.extend(read);
        }
        if found.is_empty() {
            return Ok(None);
        }
        let mut deleted: BTreeMap<u32, [u32; 2]> = BTreeMap::new();
        for (_, PortForwardHandle { mapping, .. }) in &found {
            deleted.entry(mapping.link).or_default()[usize::from(mapping.covers_loopback())] += 1;
        }
        let mut links = Vec::with_capacity(deleted.len());
        for (link, deleted) in deleted {
            let all = turn.uses(&table, link)?;
            links.push((link, deleted, [0, 1].map(|at| all[at].saturating_sub(deleted[at]))));
        }
        let mut rows = RowChanges::default();
        let are_unused = links.iter().all(|(_, _, left)| *left == [0, 0]);
        let is_last = if table.is_held() {
            are_unused && turn.ports.uses(&table).len() == links.len()
        } else {
            rows = RowChanges::new(turn, &table, found.iter().map(|(number, _)| *number))?;
            are_unused && rows.ended_tags >= turn.tag_count(&table)?
        };
        Ok(Some(Self { table, found, ports, links, rows, is_last }))
    }

    fn push(&self, transaction: &mut Transaction) {
        let Self { table, ports, links, rows, is_last, .. } = self;
        if *is_last {
            return table.push_delete(transaction);
        }
        table.push_ports(transaction, (MessageType::DeleteElement, 0), |is_addressed| {
            let ports = ports.iter().filter(move |port| port.1.is_some() == is_addressed);
            ports.map(|port| PortElement { port: *port, target: None, comment: None })
        });
        rows.push(table, transaction);
        let (mut hairpin, mut local, mut counters) = (Vec::new(), Vec::new(), Vec::new());
        for (link, deleted, left) in links {
            if *left == [0, 0] {
                hairpin.push(*link);
            }
            for covers_loopback in [false, true] {
                let at = usize::from(covers_loopback);
                if left[at] == 0 && deleted[at] > 0 {
                    counters.push(link_counter(*link, covers_loopback));
                    local.extend(covers_loopback.then_some(*link));
                }
            }
        }
        if !table.is_held() {
            // Deleting an element that another program deleted would fail, so each element is added
            // first.
            table.push_links(transaction, MessageType::NewElement, (&hairpin, &local));
            for counter in counters {
                let object = Object::by_name(&table.name, ObjectKind::Counter, &counter);
                transaction.push(MessageType::DeleteObject, 0, table.family(), &object);
            }
        }
        table.push_links(transaction, MessageType::DeleteElement, (&hairpin, &local));
    }

    /// Updates the cache and the handles after the deletion.
    fn finish(self, ports: &mut Ports, deleted: &mut Deleted) {
        self.found.iter().for_each(|(_, handle)| handle.flag.set_deleted());
        for (link, uses, left) in self.links {
            if left[1] == 0 && uses[1] > 0 {
                deleted.unneeded.get_or_insert_default().insert(link);
            }
            match left {
                [0, 0] => drop(ports.uses(&self.table).remove(&link)),
                left => drop(ports.uses(&self.table).insert(link, left)),
            }
        }
        let known = &mut ports.known;
        let tags = &mut known.tags[usize::from(self.table.is_ipv4)];
        *tags = tags.map(|count| count.saturating_sub(self.rows.ended_tags));
        for (hash, rows) in self.rows.tags {
            known.rows.insert((self.table.is_ipv4, hash), rows);
        }
        if self.is_last {
            ports.deleted(&self.table);
        }
        deleted.mappings.extend(self.found.iter().map(|(_, handle)| handle.mapping));
    }
}

/// Sorts mappings by their numbers and removes duplicates: a port may have been adopted twice.
fn make_distinct<T>(found: &mut Vec<(Number, T)>) {
    found.sort_by_key(|(number, _)| *number);
    found.dedup_by_key(|(number, _)| *number);
}

fn published(mapping: Mapping) -> impl Iterator<Item = Port> {
    mapping.ports().map(|(port, _)| port)
}

/// A mapping that exists, with its number.
type Found<'h> = (Number, &'h PortForwardHandle);
/// A mapping that other programs may have deleted or moved.
type Unsure<'h> = (&'h PortForwardHandle, &'h Persistent);

/// Separates the mappings that certainly exist, with their numbers, from those to look up.
///
/// No other program can change a held table. A persistent mapping is certain if no other program
/// changed the ruleset since its creation, and no row of its tag moved.
fn sure<'h>(
    known: &Known,
    table: &PortTable,
    handles: &[&'h PortForwardHandle],
) -> (Vec<Found<'h>>, Vec<Unsure<'h>>) {
    let (mut found, mut unsure) = (Vec::with_capacity(handles.len()), Vec::new());
    for &handle in handles {
        match &handle.persistent {
            None if handle.flag.exists() => found.push((handle.flag.number(), handle)),
            None => {}
            Some(one) => {
                let hash = TagHash::of(&one.tag);
                let rows = known.rows.get(&(table.is_ipv4, hash));
                let is_sure = handle.flag.exists()
                    && one.since.is_some()
                    && one.since == known.since()
                    && rows.is_some_and(|rows| !rows.is_moved);
                if is_sure {
                    found.push((hash.number(one.place), handle));
                } else {
                    unsure.push((handle, &**one));
                }
            }
        }
    }
    (found, unsure)
}

/// Finds the rows of persistent mappings. Most rows are still at their last known places.
fn find_rows<'h>(
    turn: &mut Turn<'_>,
    table: &PortTable,
    handles: &[(&'h PortForwardHandle, &'h Persistent)],
) -> Result<Vec<(Number, &'h PortForwardHandle)>, Error> {
    let seen = handles.iter().map(|(_, one)| (TagHash::of(&one.tag), one.place));
    let texts = turn.texts(table, seen.clone())?;
    let mut found = Vec::with_capacity(handles.len());
    // For each tag, the places of all its rows by their texts.
    let mut moved: HashMap<TagHash, HashMap<String, u16>> = HashMap::new();
    for (((handle, one), (hash, place)), text) in handles.iter().zip(seen).zip(texts) {
        let record = Record { mapping: handle.mapping, number: one.number }.to_string();
        // Other handles in this process may know the old places of these rows.
        let count = turn.row_count(table, hash)?;
        let rows = TagRows { count, is_moved: true };
        turn.ports.known.rows.insert((table.is_ipv4, hash), rows);
        if text.as_ref() == Some(&record) {
            found.push((hash.number(place), *handle));
            continue;
        }
        let places = match moved.entry(hash) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let texts = turn.texts(table, (1..=count).map(|place| (hash, place)))?;
                let rows = texts.into_iter().zip(1..=count);
                unknown.insert(rows.filter_map(|(text, place)| Some((text?, place))).collect())
            }
        };
        if let Some(place) = places.get(&record) {
            found.push((hash.number(*place), *handle));
        }
    }
    Ok(found)
}

/// Returns the ports of persistent mappings whose elements have the tag of their mapping, each with
/// the place of its mapping. Any program can delete an element, and then another mapping can use
/// its port.
pub(super) fn own_ports(
    turn: &mut Turn<'_>,
    table: &PortTable,
    handles: &[&PortForwardHandle],
) -> Result<Vec<(usize, Port)>, Error> {
    let of_all = handles
        .iter()
        .enumerate()
        .flat_map(|(at, handle)| published(handle.mapping).map(move |port| (port, at)));
    let (ports, places): (Vec<_>, Vec<_>) = of_all.unzip();
    let found = turn.elements(table, &ports)?;
    let own = ports.into_iter().zip(places).zip(found).filter(|((_, at), element)| {
        let userdata = element.as_ref().and_then(|element| element.userdata.as_ref());
        userdata.and_then(UserData::as_comment) == handles[*at].tag()
    });
    Ok(own.map(|((port, at), _)| (at, port)).collect())
}
