//! Deletion of published ports, held and persistent.

use std::collections::{BTreeMap, BTreeSet};

use super::handle::{Held, Identity, Persistent, PortForwardHandle};
use super::mapping::{Mapping, Port, Step};
use super::record::Record;
use super::rows::{self, Row, TagHash};
use super::ruleset::TAGS;
use super::state::{Known, LinkUse, Ports, change, elements, unchanged};
use super::table::PortTable;
use super::{loopback, stale};
use crate::drop_scope::{Collected, Deferred};
use nix::errno::Errno;

use crate::error::{Cause, Error};
use crate::netlink::Socket;
use crate::netns::{Netns, NetnsId};
use crate::nft::Operations;
use crate::owned::remove_in_two;
use crate::owned::sealed::{Remove, Removed};
use crate::wire::message::{NLM_F_CREATE, NLM_F_EXCL};
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::message::MessageType;
use crate::wire::nft::object::{Object, ObjectKind};
use crate::wire::nft::userdata::UserData;

const ACTION: &str = "delete published port";

/// The most ports deleted in one transaction: the send buffer of an ordinary user takes more.
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
        let mut by_namespace: BTreeMap<NetnsId, Vec<&PortForwardHandle>> = BTreeMap::new();
        for port in &self.0 {
            by_namespace.entry(port.netns.id()).or_default().push(port);
        }
        let mut failures = Vec::new();
        for ports in by_namespace.values().flat_map(|ports| ports.chunks(AT_ONCE)) {
            if delete_all(&ports[0].netns, ports).is_err() {
                failures.extend(ports.iter().filter_map(|port| remove_in_two(*port).err()));
            }
        }
        failures
    }
}

/// Deletes the ports that exist. Returns whether all of them did.
fn delete_all(netns: &Netns, handles: &[&PortForwardHandle]) -> Result<bool, Error> {
    let Some(first) = handles.first() else { return Ok(true) };
    let step: Step<'_> = (ACTION, first);
    let deleted = change(netns, step, |socket, ports, generation| {
        delete(socket, ports, generation, handles, step)
    })?;
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
    /// The links that may not need to route loopback addresses any more; `None` if there is nothing
    /// to settle.
    unneeded: Option<BTreeSet<u32>>,
}

fn delete(
    socket: &mut Socket,
    ports: &mut Ports,
    generation: u32,
    handles: &[&PortForwardHandle],
    step: Step<'_>,
) -> Result<Deleted, Error> {
    let owner = socket.port();
    let mut removals = Vec::new();
    for is_ipv4 in [true, false] {
        let of_family = handles.iter().filter(|handle| handle.mapping.is_ipv4() == is_ipv4);
        let (mut held, mut persistent) = (Vec::new(), Vec::new());
        for PortForwardHandle { mapping, identity, .. } in of_family {
            match identity {
                Identity::Held(one) if one.exists() => held.push((one, *mapping)),
                Identity::Held(_) => {}
                Identity::Persistent(one) => persistent.push((&**one, *mapping)),
            }
        }
        let table = PortTable::new(Some(owner), is_ipv4);
        let uses = &mut ports.held[usize::from(is_ipv4)];
        if !ports.known.has(&table) {
            // The first attempt deleted the table, and its answer was lost.
            uses.clear();
            held.drain(..).for_each(|(one, _)| one.set_deleted());
        } else if !held.is_empty() {
            removals.push(Removal::of_held(table, held, uses));
        }
        let table = PortTable::new(None, is_ipv4);
        if !persistent.is_empty() && ports.known.has(&table) {
            let removal = Removal::of_persistent(socket, &mut ports.known, table, &persistent)
                .map_err(|cause| cause.doing(step.0, step.1))?;
            removals.extend(removal);
        }
    }
    if removals.is_empty() {
        unchanged(socket, generation, step)?;
    } else {
        let mut transaction = Operations::at_generation(generation);
        for removal in &removals {
            removal.push(&mut transaction, step);
        }
        match transaction.commit(socket, |_| ()) {
            Ok(()) => ports.known.committed(),
            // The first attempt deleted it, and its answer was lost.
            Err(error) if error.is_not_found() && handles.len() == 1 => ports.known.forget(),
            Err(error) => return Err(error),
        }
    }
    let mut deleted = Deleted::default();
    for removal in removals {
        removal.finish(ports, &mut deleted);
    }
    let is_last = !ports.known.tables.iter().any(|table| table.is_ipv4);
    if is_last && ports.known.guard.is_ours() {
        deleted.unneeded.get_or_insert_default();
    }
    if deleted.mappings.len() < handles.len() {
        // The first attempt may have failed before it came to the links.
        let local = handles.iter().filter(|handle| handle.mapping.covers_loopback());
        for handle in local {
            deleted.unneeded.get_or_insert_default().insert(handle.mapping.link);
        }
    }
    Ok(deleted)
}

/// The mappings to delete from one table.
#[derive(Debug)]
struct Removal<'h> {
    table: PortTable,
    held: Vec<&'h Held>,
    mappings: Vec<Mapping>,
    /// The ports whose elements belong to the mappings.
    ports: Vec<Port>,
    /// The number of mappings that use each link: of the deleted ones, and of the remaining ones
    /// (`left`).
    deleted: LinkUse,
    left: LinkUse,
    rows: RowChanges,
    /// True if the table has no mappings left afterwards.
    is_last: bool,
}

/// Counts mappings by their links.
fn uses(mappings: &[Mapping]) -> LinkUse {
    let mut uses = LinkUse::new();
    for mapping in mappings {
        uses.entry(mapping.link).or_default()[usize::from(mapping.covers_loopback())] += 1;
    }
    uses
}

impl<'h> Removal<'h> {
    fn of_held(table: PortTable, mut held: Vec<(&'h Held, Mapping)>, now: &LinkUse) -> Self {
        // An owner may have been adopted a second time.
        held.sort_by_key(|(one, _)| (one.exist.as_ptr(), one.at));
        held.dedup_by_key(|(one, _)| (one.exist.as_ptr(), one.at));
        let (held, mappings): (Vec<_>, Vec<_>) = held.into_iter().unzip();
        let deleted = uses(&mappings);
        let left = deleted.iter().map(|(link, [plain, local])| {
            let [all_plain, all_local] = now.get(link).copied().unwrap_or_default();
            (*link, [all_plain.saturating_sub(*plain), all_local.saturating_sub(*local)])
        });
        let left: LinkUse = left.collect();
        let is_last = now.len() == left.len() && left.values().all(|uses| *uses == [0, 0]);
        let ports = mappings.iter().flat_map(|mapping| mapping.ports().map(|(port, _)| port));
        let (ports, rows) = (ports.collect(), RowChanges::default());
        Self { table, held, mappings, ports, deleted, left, rows, is_last }
    }

    /// `None` if no row of the mappings exists.
    fn of_persistent(
        socket: &mut Socket,
        known: &mut Known,
        table: PortTable,
        handles: &[(&'h Persistent, Mapping)],
    ) -> Result<Option<Self>, Cause> {
        let found = find_rows(socket, known, &table, handles)?;
        if found.is_empty() {
            return Ok(None);
        }
        let rows = RowChanges::new(socket, known, &table, found.keys())?;
        let mappings: Vec<_> = found.values().map(|(_, mapping)| *mapping).collect();
        let mut ports = Vec::new();
        for (persistent, mapping) in found.values() {
            ports.extend(own_ports(socket, &table, &persistent.tag, mapping)?);
        }
        let deleted = uses(&mappings);
        let mut left = LinkUse::new();
        for (link, uses) in &deleted {
            let mut of = |covers_loopback: bool| {
                let counter = rows::link_counter(*link, covers_loopback);
                let all = rows::references(socket, &table, &counter)?;
                Ok::<_, Cause>(all.saturating_sub(uses[usize::from(covers_loopback)]))
            };
            left.insert(*link, [of(false)?, of(true)?]);
        }
        let tags = rows::references(socket, &table, rows::TAG_COUNTER)?;
        let is_last = rows.ended_tags() >= tags as usize;
        Ok(Some(Self { table, held: Vec::new(), mappings, ports, deleted, left, rows, is_last }))
    }

    fn push<'s>(&'s self, transaction: &mut Operations<'s>, step: Step<'s>) {
        let Self { table, ports, deleted, left, rows, is_last, .. } = self;
        if *is_last {
            return table.push_delete(transaction, step);
        }
        table.push_no_ports(transaction, step, ports);
        rows.push(table, transaction, step);
        let (mut hairpin, mut local, mut counters) = (Vec::new(), Vec::new(), Vec::new());
        for (link, [plain_left, local_left]) in left {
            let [plain_deleted, local_deleted] = deleted.get(link).copied().unwrap_or_default();
            if plain_left + local_left == 0 {
                hairpin.push(*link);
            }
            if *local_left == 0 && local_deleted > 0 {
                local.push(*link);
                counters.push(rows::link_counter(*link, true));
            }
            if *plain_left == 0 && plain_deleted > 0 {
                counters.push(rows::link_counter(*link, false));
            }
        }
        if !table.is_held() {
            // Another program may have deleted the elements: what is added first can be deleted.
            table.push_links(transaction, step, MessageType::NewElement, (&hairpin, &local));
            for counter in counters {
                let object = Object::by_name(&table.name, ObjectKind::Counter, &counter);
                transaction.push(step, MessageType::DeleteObject, 0, table.family(), &object);
            }
        }
        table.push_links(transaction, step, MessageType::DeleteElement, (&hairpin, &local));
    }

    /// Records that the mappings are deleted.
    fn finish(self, ports: &mut Ports, deleted: &mut Deleted) {
        let family = usize::from(self.table.is_ipv4);
        self.held.iter().for_each(|one| one.set_deleted());
        for (link, left) in &self.left {
            if left[1] == 0 && self.deleted.get(link).is_some_and(|uses| uses[1] > 0) {
                deleted.unneeded.get_or_insert_default().insert(*link);
            }
            if self.table.is_held() {
                match left {
                    [0, 0] => drop(ports.held[family].remove(link)),
                    left => drop(ports.held[family].insert(*link, *left)),
                }
            }
        }
        for (hash, count) in self.rows.counts {
            ports.known.rows.insert((self.table.is_ipv4, hash), count);
        }
        if self.is_last {
            ports.known.deleted(&self.table);
        }
        deleted.mappings.extend(self.mappings);
    }
}

/// The handles whose rows exist, by the places of these.
type Found<'h> = BTreeMap<(TagHash, u16), (&'h Persistent, Mapping)>;

/// Finds the rows of mappings: most are at the places where they were last seen.
fn find_rows<'h>(
    socket: &mut Socket,
    known: &mut Known,
    table: &PortTable,
    handles: &[(&'h Persistent, Mapping)],
) -> Result<Found<'h>, Cause> {
    let seen = handles.iter().map(|(one, _)| (TagHash::of(&one.tag), one.place));
    let texts = rows::texts(socket, table, seen.clone())?;
    let mut found = BTreeMap::new();
    for ((handle, (hash, place)), text) in handles.iter().zip(seen).zip(texts) {
        let record = Record { mapping: handle.1, number: handle.0.number }.to_string();
        let is_it = |text: &Option<String>| text.as_ref() == Some(&record);
        if is_it(&text) {
            found.insert((hash, place), *handle);
            continue;
        }
        let last = known.row_count(socket, table, hash)?;
        let texts = rows::texts(socket, table, (1..=last).map(|place| (hash, place)))?;
        if let Some((place, _)) = (1..=last).zip(texts).find(|(_, text)| is_it(text)) {
            found.insert((hash, place), *handle);
        }
    }
    Ok(found)
}

/// Returns the ports of a mapping whose elements have its tag: anybody can delete one, and another
/// mapping can take its place.
pub(super) fn own_ports(
    socket: &mut Socket,
    table: &PortTable,
    tag: &str,
    mapping: &Mapping,
) -> Result<Vec<Port>, Cause> {
    let ports: Vec<_> = mapping.ports().map(|(port, _)| port).collect();
    let found = elements(socket, table, &ports)?;
    let own = ports.into_iter().zip(found).filter(|(_, element)| {
        let userdata = element.as_ref().and_then(|element| element.userdata.as_ref());
        userdata.and_then(UserData::as_comment) == Some(tag)
    });
    Ok(own.map(|(port, _)| port).collect())
}

/// Rows to be deleted and added, so that the places of each tag stay without a gap.
#[derive(Debug, Default)]
struct RowChanges {
    old: Vec<Row>,
    new: Vec<Row>,
    /// The number of rows of each tag afterwards.
    counts: BTreeMap<TagHash, u16>,
}

impl RowChanges {
    fn new<'k>(
        socket: &mut Socket,
        known: &mut Known,
        table: &PortTable,
        places: impl Iterator<Item = &'k (TagHash, u16)>,
    ) -> Result<Self, Cause> {
        let mut of_tags: BTreeMap<TagHash, BTreeSet<u16>> = BTreeMap::new();
        for (hash, place) in places {
            of_tags.entry(*hash).or_default().insert(*place);
        }
        let mut changes = Self::default();
        for (hash, deleted) in of_tags {
            let last = known.row_count(socket, table, hash)?;
            let left = last.saturating_sub(u16::try_from(deleted.len()).unwrap_or(u16::MAX));
            // The rows behind the new end move to the places that become free before it.
            let moved = (left + 1..=last).filter(|place| !deleted.contains(place));
            let moved: Vec<_> = moved.collect();
            let free = deleted.iter().copied().filter(|place| *place <= left);
            let texts = rows::texts(socket, table, moved.iter().map(|place| (hash, *place)))?;
            for (place, text) in free.zip(texts) {
                let record = text.as_deref().and_then(Record::read);
                // The row was read, so no outcome is unknown: the change is decided again.
                let record = record.ok_or(Errno::EBADMSG)?;
                changes.new.push(Row::of_mapping(hash, place, &record));
            }
            let tag = (left == 0).then_some(0);
            let old = deleted.into_iter().chain(moved).chain(tag);
            changes.old.extend(old.map(|place| Row::deleted(hash, place)));
            changes.counts.insert(hash, left);
        }
        Ok(changes)
    }

    /// Returns how many tags have no row left.
    fn ended_tags(&self) -> usize {
        self.counts.values().filter(|count| **count == 0).count()
    }

    fn push<'s>(&'s self, table: &PortTable, transaction: &mut Operations<'s>, step: Step<'s>) {
        let of = ElementsOf::new(&table.name, TAGS);
        let (family, flags) = (table.family(), NLM_F_CREATE | NLM_F_EXCL);
        transaction.push_elements(step, MessageType::DeleteElement, 0, family, (&of, &self.old));
        transaction.push_elements(step, MessageType::NewElement, flags, family, (&of, &self.new));
    }
}
