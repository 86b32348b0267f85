//! Published ports that outlive the program, in tables that nobody owns.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;

use nix::errno::Errno;

use super::builder::{ACTION, PortForward};
use super::handle::{Kept, PortForwardHandle};
use super::ledger::{Ledger, Note, TagHash};
use super::loopback::{put_back, route_loopback, routes_loopback};
use super::mapping::{self, Mapping, Port, explain, taken};
use super::record::Record;
use super::ruleset::{Elements, MARK, PortTable, place_of};
use super::stale::{self, At};
use crate::error::{Cause, Error};
use crate::nat::guarded::{NotOurs, ours, repeat, with_socket};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::{Operations, read};
use crate::protocol::Protocol;
use crate::wire::nft::element::{Element, ElementsOf};
use crate::wire::nft::message::MessageType;
use crate::wire::nft::userdata::UserData;

/// What is removed at once: an ordinary user's send buffer takes more.
const AT_ONCE: usize = 1000;

const STOP: &str = "stop forwarding port";

type Step<'a> = (&'static str, &'a dyn fmt::Display);

/// Publishes all of them, or none.
pub(super) fn create(
    netns: &Netns,
    forwards: &[PortForward],
) -> Result<Vec<PortForwardHandle>, Error> {
    let Some(first) = forwards.first() else { return Ok(Vec::new()) };
    let mappings = mapping::resolve(netns, forwards)?;
    check_twice(&mappings)?;
    let step = (ACTION, first as &dyn fmt::Display);
    let mut unknown = Vec::new();
    let added = with_socket(netns, first, |socket| {
        repeat(socket, step, |socket, generation| {
            add(netns, socket, generation, &mappings, step).map_err(|(error, handles)| {
                unknown = handles;
                error
            })
        })
    });
    let handles = added.inspect_err(|_| {
        for handle in &unknown {
            drop(remove(handle));
        }
    })?;
    let forwards: Vec<_> = handles.iter().map(|handle| &handle.forward).collect();
    let done = route_loopbacks(netns, &handles)
        .and_then(|()| stale::forget_others(netns, &forwards, &|asked| addressed(netns, asked)));
    match done {
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

/// One port for two of them.
fn check_twice(mappings: &[Mapping]) -> Result<(), Error> {
    let mut holders: HashMap<(bool, Port), &PortForward> = HashMap::new();
    for mapping in mappings {
        for (port, _) in mapping.ports() {
            let port = (mapping.target.is_ipv4(), port);
            if let Some(holder) = holders.insert(port, &mapping.forward) {
                return Err(taken(&mapping.forward, Some(holder.to_string())));
            }
        }
    }
    Ok(())
}

fn tag_of(forward: &PortForward) -> &str {
    forward.tag.as_deref().unwrap_or_default()
}

/// Whether its link has to route loopback addresses, so that there is a note of it.
fn is_local(forward: &PortForward) -> bool {
    forward.is_at_loopback()
}

fn unwritable(step: Step<'_>) -> Error {
    Error::invalid(step.0, step.1, "it can't be put into an element")
}

/// Adds them, or none. With the error come those that may be there, as the answer was lost.
fn add(
    netns: &Netns,
    socket: &mut Socket,
    generation: u32,
    mappings: &[Mapping],
    step: Step<'_>,
) -> Result<Vec<PortForwardHandle>, (Error, Vec<PortForwardHandle>)> {
    let (transaction, handles) =
        prepare(netns, socket, generation, mappings, step).map_err(|error| (error, Vec::new()))?;
    let known = |error| (error, Vec::new());
    match transaction.commit(socket, |_| ()) {
        Ok(()) => Ok(handles),
        Err(error) if error.is_already_exists() => {
            let taken = conflict(socket, mappings);
            let taken = taken.map_err(|cause| known(cause.doing(step.0, step.1)))?;
            if taken.is_none() {
                // The holder went meanwhile: once more.
                unchanged(socket, generation, step).map_err(known)?;
            }
            Err(known(taken.unwrap_or(error)))
        }
        Err(error) if error.is_unknown_outcome() => Err((explain(error), handles)),
        Err(error) => Err(known(explain(error))),
    }
}

/// What adds them, with what they will be.
fn prepare<'a>(
    netns: &Netns,
    socket: &mut Socket,
    generation: u32,
    mappings: &[Mapping],
    step: Step<'a>,
) -> Result<(Operations<'a>, Vec<PortForwardHandle>), Error> {
    let doing = |cause: Cause| cause.doing(step.0, step.1);
    let mut transaction = Operations::at_generation(generation);
    let mut handles = Vec::with_capacity(mappings.len());
    for is_ipv4 in [true, false] {
        let of_family: Vec<_> =
            mappings.iter().filter(|one| one.target.is_ipv4() == is_ipv4).collect();
        if of_family.is_empty() {
            continue;
        }
        let table = PortTable::persistent(is_ipv4);
        let found = ours(socket, table.family(), &table.name, MARK);
        let is_new = found.map_err(|reason| reason.explain(step.0, step.1))?.is_none();
        let mut ledger = Ledger::new(table);
        let notes = notes_of(of_family.iter().copied());
        if is_new {
            ledger.is_new(&notes);
            ledger.table.push_create(&mut transaction).ok_or_else(|| unwritable(step))?;
        } else {
            ledger.read(socket, &notes).map_err(doing)?;
        }
        let mut elements = Elements::default();
        for mapping in of_family {
            let number = generation.into();
            let seen_at = note_added(netns, &mut ledger, mapping, number)?;
            let comment = UserData::comment(tag_of(&mapping.forward));
            for (port, target) in mapping.ports() {
                let added = elements.add_port(port, Some(target), comment.as_ref());
                added.ok_or_else(|| unwritable(step))?;
            }
            handles.push(PortForwardHandle {
                netns: netns.clone(),
                forward: mapping.forward.without_link(),
                target: mapping.target,
                number,
                kept: Some(Kept { link: mapping.link, seen_at }),
            });
        }
        ledger.table.push_elements(&mut transaction, step, MessageType::NewElement, &elements);
        ledger.push(&mut transaction, step).ok_or_else(|| unwritable(step))?;
    }
    Ok((transaction, handles))
}

fn notes_of<'a>(mappings: impl Iterator<Item = &'a Mapping>) -> Vec<Note> {
    let mut notes = vec![Note::Whole];
    for Mapping { forward, target, link } in mappings {
        notes.push(Note::Tag(TagHash::of(tag_of(forward))));
        notes.push(Note::Container(*link, *target));
        if is_local(forward) {
            notes.push(Note::Local(*link));
        }
    }
    notes
}

/// Notes a mapping more; where among those of its tag.
fn note_added(
    netns: &Netns,
    ledger: &mut Ledger,
    mapping: &Mapping,
    number: u64,
) -> Result<u16, Error> {
    let Mapping { forward, target, link } = mapping;
    let tag = tag_of(forward);
    let hash = TagHash::of(tag);
    let (count, noted) = ledger.count(Note::Tag(hash));
    if count > 0 && noted != tag {
        let reason = format!("its tag has the hash of another, `{noted}`: choose another");
        return Err(Error::invalid(ACTION, forward, reason));
    }
    let place = u16::try_from(count + 1).map_err(|error| {
        let reason = format!("`{tag}` has 65,535 mappings, as many as a tag can have: {error}");
        Error::invalid(ACTION, forward, reason)
    })?;
    ledger.set(Note::Tag(hash), Some(format!("{place} {tag}")));
    ledger.set(Note::Mapping(hash, place), Some(Record::text(forward, *link, number)));
    ledger.add(Note::Container(*link, *target), 1);
    if is_local(forward) {
        if ledger.get(Note::Local(*link)).is_none() {
            let was = u8::from(routes_loopback(netns, *link)?);
            ledger.set(Note::Local(*link), Some(format!("0 was {was}")));
            ledger.add(Note::Whole, 1);
        }
        ledger.add(Note::Local(*link), 1);
    } else {
        ledger.add(Note::Whole, 1);
    }
    Ok(place)
}

/// Who has one of the ports; nobody any more, where none is told.
fn conflict(socket: &mut Socket, mappings: &[Mapping]) -> Result<Option<Error>, Cause> {
    for mapping in mappings {
        let table = PortTable::persistent(mapping.target.is_ipv4());
        let places: Vec<_> = mapping
            .ports()
            .filter_map(|(port, _)| {
                let (set, key) = place_of(port)?;
                Some((ElementsOf::new(&table.name, set), key))
            })
            .collect();
        let keys: Vec<_> = places.iter().map(|(of, key)| (of, *key)).collect();
        if let Some(element) =
            read::elements(socket, table.family(), &keys)?.into_iter().flatten().next()
        {
            let tag = element.userdata.as_ref().and_then(UserData::as_comment);
            let holder = tag.map(|tag| format!("`{tag}`"));
            return Ok(Some(taken(&mapping.forward, holder)));
        }
    }
    Ok(None)
}

/// Whether each of its ports leads to it still.
pub(super) fn is_in_force(handle: &PortForwardHandle) -> Result<bool, Error> {
    let table = PortTable::persistent(handle.target.is_ipv4());
    with_socket(&handle.netns, handle, |socket| match ports_in_force(socket, &table, handle) {
        Ok(ports) => Ok(ports.len() == ports_of(handle).count()),
        // Somebody took the whole table away.
        Err(cause) if cause.errno() == Some(Errno::ENOENT) => Ok(false),
        Err(cause) => Err(cause.doing("look at forwarded port", handle)),
    })
}

/// Its ports whose elements are there, and its own: anybody can take one away.
fn ports_in_force(
    socket: &mut Socket,
    table: &PortTable,
    handle: &PortForwardHandle,
) -> Result<Vec<Port>, Cause> {
    let ports = ports_of(handle).filter_map(|(port, _)| Some((port, place_of(port)?)));
    let places: Vec<_> =
        ports.map(|(port, (set, key))| (port, ElementsOf::new(&table.name, set), key)).collect();
    let keys: Vec<_> = places.iter().map(|(_, of, key)| (of, *key)).collect();
    let found = read::elements(socket, table.family(), &keys)?;
    let is_own = |element: &Element| {
        let comment = element.userdata.as_ref().and_then(UserData::as_comment);
        comment == Some(tag_of(&handle.forward))
    };
    let own = places.iter().zip(found).filter(|(_, found)| found.as_ref().is_some_and(is_own));
    Ok(own.map(|((port, ..), _)| *port).collect())
}

/// Has answers for loopback addresses come back, where one leads to a mapping.
fn route_loopbacks(netns: &Netns, handles: &[PortForwardHandle]) -> Result<(), Error> {
    let local = handles.iter().filter(|handle| is_local(&handle.forward));
    let links: BTreeSet<_> =
        local.filter_map(|handle| handle.kept.as_ref()).map(|kept| kept.link).collect();
    links.into_iter().try_for_each(|link| route_loopback(netns, link))
}

/// At which of these a UDP mapping is for that one address.
fn addressed(netns: &Netns, asked: &BTreeSet<At>) -> Result<BTreeSet<At>, Error> {
    let mut found = BTreeSet::new();
    for at in asked {
        let (address, port) = *at;
        let table = PortTable::persistent(address.is_ipv4());
        let Some((set, key)) = place_of((Protocol::UDP, Some(address), port)) else { continue };
        let of = ElementsOf::new(&table.name, set);
        let answer = netns
            .netfilter(|socket| read::elements(socket, table.family(), &[(&of, key)]))
            .map_err(|cause| cause.doing("look for", "a port").in_namespace(netns))?;
        if answer.iter().any(Option::is_some) {
            found.insert(*at);
        }
    }
    Ok(found)
}

/// By its tag, its text and its number; with the last of a family goes the table.
pub(super) fn remove(handle: &PortForwardHandle) -> Result<(), Error> {
    let found =
        with_socket(&handle.netns, handle, |socket| take(socket, &[handle], (STOP, handle)))?;
    finish(&handle.netns, &[handle])?;
    match found.as_slice() {
        [true] => Ok(()),
        _ => Err(Cause::from(Errno::ENOENT).doing(STOP, handle).in_namespace(&handle.netns)),
    }
}

/// Many of one namespace, in few transactions; none where that can't be done.
pub(super) fn remove_all(handles: &[&PortForwardHandle]) -> Option<Vec<Result<(), Error>>> {
    let netns = &handles.first()?.netns;
    for handles in handles.chunks(AT_ONCE) {
        let first = handles.first()?;
        with_socket(netns, first, |socket| take(socket, handles, (STOP, first))).ok()?;
        finish(netns, handles).ok()?;
    }
    // What was gone before is no failure.
    Some(handles.iter().map(|_| Ok(())).collect())
}

/// What can't be part of the transaction.
fn finish(netns: &Netns, handles: &[&PortForwardHandle]) -> Result<(), Error> {
    let local = handles.iter().filter(|handle| is_local(&handle.forward));
    let links: BTreeSet<_> =
        local.filter_map(|handle| handle.kept.as_ref()).map(|kept| kept.link).collect();
    for link in links {
        settle(netns, link)?;
    }
    let forwards: Vec<_> = handles.iter().map(|handle| &handle.forward).collect();
    stale::forget_own(netns, &forwards, &|asked| addressed(netns, asked))
}

/// Removes those that are there; which these were.
fn take(
    socket: &mut Socket,
    handles: &[&PortForwardHandle],
    step: Step<'_>,
) -> Result<Vec<bool>, Error> {
    repeat(socket, step, |socket, generation| {
        let mut transaction = Operations::at_generation(generation);
        let mut taken = vec![false; handles.len()];
        for is_ipv4 in [true, false] {
            let of_family = handles.iter().zip(&mut taken);
            let of_family: Vec<_> =
                of_family.filter(|(handle, _)| handle.target.is_ipv4() == is_ipv4).collect();
            let table = PortTable::persistent(is_ipv4);
            if of_family.is_empty() || !is_there(socket, &table, step)? {
                continue;
            }
            let mut ledger = Ledger::new(table);
            let mut elements = Elements::default();
            let places = of_family.iter().flat_map(|(handle, _)| places_of(handle));
            let doing = |cause: Cause| cause.doing(step.0, step.1);
            ledger.read(socket, &places.collect::<Vec<_>>()).map_err(doing)?;
            for (handle, taken) in of_family {
                *taken = note_removed(socket, &mut ledger, handle).map_err(doing)?;
                if !*taken {
                    continue;
                }
                for port in ports_in_force(socket, &ledger.table, handle).map_err(doing)? {
                    elements.add_port(port, None, None).ok_or_else(|| unwritable(step))?;
                }
            }
            if ledger.get(Note::Whole).is_none() {
                ledger.table.push_delete(&mut transaction, step);
            } else {
                let delete = MessageType::DeleteElement;
                ledger.table.push_elements(&mut transaction, step, delete, &elements);
                ledger.push(&mut transaction, step).ok_or_else(|| unwritable(step))?;
            }
        }
        if taken.contains(&true) {
            transaction.commit(socket, |_| ())?;
        } else {
            unchanged(socket, generation, step)?;
        }
        Ok(taken)
    })
}

/// What was read is not to be trusted where somebody changed something: one may have taken another's place.
fn unchanged(socket: &mut Socket, generation: u32, step: Step<'_>) -> Result<(), Error> {
    match read::generation(socket) {
        Ok(now) if now == generation => Ok(()),
        Ok(_) => Err(Cause::from(Errno::ERESTART).doing(step.0, step.1)),
        Err(cause) => Err(cause.doing(step.0, step.1)),
    }
}

/// Whether the table is there, and ours.
fn is_there(socket: &mut Socket, table: &PortTable, step: Step<'_>) -> Result<bool, Error> {
    match ours(socket, table.family(), &table.name, MARK) {
        Ok(number) => Ok(number.is_some()),
        Err(NotOurs::Foreign(_)) => Ok(false),
        Err(NotOurs::Unknown(cause)) => Err(cause.doing(step.0, step.1)),
    }
}

fn ports_of(handle: &PortForwardHandle) -> impl Iterator<Item = (Port, (IpAddr, u16))> {
    let link = handle.kept.as_ref().map_or(0, |kept| kept.link);
    let mapping = Mapping { forward: handle.forward.clone(), target: handle.target, link };
    mapping.ports().collect::<Vec<_>>().into_iter()
}

/// The notes of a mapping, where it was seen last.
fn places_of(handle: &PortForwardHandle) -> Vec<Note> {
    let Some(kept) = &handle.kept else { return Vec::new() };
    let hash = TagHash::of(tag_of(&handle.forward));
    let mut notes = vec![
        Note::Whole,
        Note::Tag(hash),
        Note::Mapping(hash, kept.seen_at),
        Note::Container(kept.link, handle.target),
    ];
    if is_local(&handle.forward) {
        notes.push(Note::Local(kept.link));
    }
    notes
}

/// Notes a mapping less. `false`: it is not there.
fn note_removed(
    socket: &mut Socket,
    ledger: &mut Ledger,
    handle: &PortForwardHandle,
) -> Result<bool, Cause> {
    let Some(kept) = &handle.kept else { return Ok(false) };
    let tag = tag_of(&handle.forward);
    let hash = TagHash::of(tag);
    let (count, noted) = ledger.count(Note::Tag(hash));
    let Ok(last) = u16::try_from(count) else { return Ok(false) };
    if last == 0 || noted != tag {
        return Ok(false);
    }
    let text = Record::text(&handle.forward, kept.link, handle.number);
    let is_at = |ledger: &Ledger, at| ledger.get(Note::Mapping(hash, at)) == Some(text.as_str());
    let place = if is_at(ledger, kept.seen_at) {
        kept.seen_at
    } else {
        let all: Vec<_> = (1..=last).map(|at| Note::Mapping(hash, at)).collect();
        ledger.read(socket, &all)?;
        match (1..=last).find(|&at| is_at(ledger, at)) {
            Some(place) => place,
            None => return Ok(false),
        }
    };
    // The last takes its place, so that there is none without.
    let end = Note::Mapping(hash, last);
    ledger.read(socket, &[end])?;
    let moved = ledger.get(end).map(str::to_owned);
    ledger.set(Note::Mapping(hash, place), moved);
    ledger.set(end, None);
    ledger.add(Note::Tag(hash), -1);
    ledger.add(Note::Container(kept.link, handle.target), -1);
    if is_local(&handle.forward) {
        let local = Note::Local(kept.link);
        match ledger.count(local) {
            // The last: the note stays until the link is as it was.
            (..=1, was) if ledger.get(local).is_some() => {
                let none = format!("0 {was}");
                ledger.set(local, Some(none));
            }
            _ => ledger.add(local, -1),
        }
    } else {
        ledger.add(Note::Whole, -1);
    }
    Ok(true)
}

/// Has a link that routes loopback addresses for no mapping any more be as it was, and forgets it; with the
/// last link goes the table. Until then the table is there, and with it what drops for 127.0.0.0/8.
fn settle(netns: &Netns, link: u32) -> Result<(), Error> {
    let step: Step<'_> = ("put back route_localnet of link", &link);
    let table = PortTable::persistent(true);
    let local = Note::Local(link);
    with_socket(netns, &link, |socket| {
        let mut is_off = false;
        repeat(socket, step, |socket, generation| {
            if !is_there(socket, &table, step)? {
                return Ok(());
            }
            let mut ledger = Ledger::new(table.clone());
            let notes = [Note::Whole, local];
            ledger.read(socket, &notes).map_err(|cause| cause.doing(step.0, step.1))?;
            let (count, was) = ledger.count(local);
            if ledger.get(local).is_none() || count > 0 {
                // Somebody came meanwhile.
                return if is_off && count > 0 { route_loopback(netns, link) } else { Ok(()) };
            }
            if was == "was 0" {
                put_back(netns, link)?;
                is_off = true;
            }
            let mut transaction = Operations::at_generation(generation);
            ledger.set(local, None);
            ledger.add(Note::Whole, -1);
            if ledger.get(Note::Whole).is_none() {
                table.push_delete(&mut transaction, step);
            } else {
                ledger.push(&mut transaction, step).ok_or_else(|| unwritable(step))?;
            }
            transaction.commit(socket, |_| ())
        })
    })
}

impl Netns {
    /// The persistent published ports with this tag; none is no error. It costs what the tag has, not
    /// what there is in all.
    ///
    /// [`Owned::adopt`](crate::Owned::adopt) takes on the duty to delete one.
    ///
    /// # Errors
    ///
    /// Without `CAP_NET_ADMIN` it is [`is_permission_denied`](Error::is_permission_denied).
    pub fn port_forwards(&self, tag: &str) -> Result<Vec<PortForwardHandle>, Error> {
        let step: Step<'_> = ("list ports forwarded for", &tag);
        with_socket(self, &tag, |socket| {
            repeat(socket, step, |socket, generation| {
                let mut found = Vec::new();
                for is_ipv4 in [true, false] {
                    let table = PortTable::persistent(is_ipv4);
                    if is_there(socket, &table, step)? {
                        found.extend(find(self, socket, table, tag)?);
                    }
                }
                unchanged(socket, generation, step)?;
                Ok(found)
            })
        })
    }
}

fn find(
    netns: &Netns,
    socket: &mut Socket,
    table: PortTable,
    tag: &str,
) -> Result<Vec<PortForwardHandle>, Error> {
    let doing = |cause: Cause| cause.doing("list ports forwarded for", tag);
    let hash = TagHash::of(tag);
    let mut ledger = Ledger::new(table);
    ledger.read(socket, &[Note::Tag(hash)]).map_err(doing)?;
    let (count, noted) = ledger.count(Note::Tag(hash));
    if noted != tag {
        return Ok(Vec::new());
    }
    let places: Vec<_> = (1..=u16::try_from(count).unwrap_or(u16::MAX)).collect();
    let notes: Vec<_> = places.iter().map(|at| Note::Mapping(hash, *at)).collect();
    ledger.read(socket, &notes).map_err(doing)?;
    let handle = |(seen_at, note): (&u16, &Note)| {
        let Record { forward, target, link, number } = Record::read(ledger.get(*note)?, tag)?;
        let kept = Some(Kept { link, seen_at: *seen_at });
        Some(PortForwardHandle {
            netns: netns.clone(),
            forward,
            target,
            number: number.into(),
            kept,
        })
    };
    Ok(places.iter().zip(&notes).filter_map(handle).collect())
}
