//! Deleting persistent ports.

use super::ledger::Ledger;
use super::note::{Note, TagHash};
use super::record::Record;
use super::{own_ports, unwritable};
use crate::error::{Cause, Error};
use crate::nat::port_forward::builder::STOP;
use crate::nat::port_forward::elements::{PortElement, Shared};
use crate::nat::port_forward::handle::{Kept, PortForwardHandle};
use crate::nat::port_forward::local;
use crate::nat::port_forward::mapping::Mapping;
use crate::nat::port_forward::ruleset::PortTable;
use crate::nat::port_forward::stale;
use crate::nat::port_forward::tables::{Known, Step, change, unchanged};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::Operations;
use crate::wire::nft::message::MessageType;

/// Removes those that are there, each by its tag, its text and its number, and what can't be part of the
/// transaction; whether it was all of them. With the last of a family goes the table.
pub(crate) fn take_all(netns: &Netns, handles: &[&PortForwardHandle]) -> Result<bool, Error> {
    let Some(first) = handles.first() else { return Ok(true) };
    let step: Step<'_> = (STOP, first);
    let Taken { all, is_last_local } = change(netns, step, |socket, ports, generation| {
        take(socket, &mut ports.known, generation, handles, step)
    })?;
    let settled = if is_last_local { local::settle(netns) } else { Ok(false) };
    stale::forget_own(netns, handles.iter().map(|handle| &handle.mapping))?;
    settled.map(|_| all)
}

struct Taken {
    all: bool,
    /// Whether links may have to be as they were before.
    is_last_local: bool,
}

fn take(
    socket: &mut Socket,
    known: &mut Known,
    generation: u32,
    handles: &[&PortForwardHandle],
    step: Step<'_>,
) -> Result<Taken, Error> {
    let doing = |cause: Cause| cause.doing(step.0, step.1);
    let mut transaction = Operations::at_generation(generation);
    let mut taken = Taken { all: true, is_last_local: false };
    let mut gone = Vec::new();
    let mut is_any = false;
    for is_ipv4 in [true, false] {
        let of_family = || handles.iter().filter(|handle| handle.mapping.is_ipv4() == is_ipv4);
        let table = PortTable::persistent(is_ipv4);
        if of_family().next().is_none() {
            continue;
        }
        if !known.has(&table) {
            taken.all = false;
            taken.is_last_local |= of_family().any(|handle| handle.mapping.is_at_loopback());
            continue;
        }
        let mut gone_ports = Vec::new();
        let kept = of_family().filter_map(|handle| Some((*handle, handle.kept.as_ref()?)));
        let kept: Vec<_> = kept.collect();
        let notes = kept.iter().flat_map(|(handle, kept)| places_of(&handle.mapping, kept));
        known.ledger(&table).read(socket, notes).map_err(doing)?;
        for (handle, kept) in kept {
            let Mapping { link, .. } = handle.mapping;
            let ledger = known.ledger(&table);
            let is_there = note_removed(socket, ledger, handle, kept).map_err(doing)?;
            let is_routed = is_there && ledger.count(Note::Local(link)).0 > 0;
            taken.is_last_local |= handle.mapping.is_at_loopback() && !is_routed;
            taken.all &= is_there;
            is_any |= is_there;
            if is_there {
                let all = || handle.mapping.ports().map(|(port, _)| port);
                let own = if ledger.goes(all(), handle.number) {
                    all().collect()
                } else {
                    own_ports(socket, known, &table, handle, kept).map_err(doing)?
                };
                let gone = |port| PortElement { port, target: None, comment: None };
                gone_ports.extend(own.into_iter().map(gone));
            }
        }
        let ledger = known.ledger(&table);
        if ledger.get(Note::Whole).is_none() {
            table.push_delete(&mut transaction, step);
            gone.push(table);
        } else {
            let of = |bound| gone_ports.iter().copied().filter(move |port| port.bound() == bound);
            let kind = MessageType::DeleteElement;
            table.push_elements(&mut transaction, step, kind, of, &Shared::default());
            ledger.push(&mut transaction, step).ok_or_else(|| unwritable(step))?;
        }
    }
    if !is_any {
        unchanged(socket, generation, step)?;
        return Ok(taken);
    }
    transaction.commit(socket, |_| ())?;
    known.committed();
    for table in &gone {
        known.gone(table);
    }
    Ok(taken)
}

/// The notes of a mapping, where it was seen last.
fn places_of(mapping: &Mapping, kept: &Kept) -> impl Iterator<Item = Note> {
    let (link, target) = mapping.container();
    let hash = TagHash::of(&kept.tag);
    let local = mapping.is_at_loopback().then_some(Note::Local(link));
    let notes = [
        Note::Whole,
        Note::Tag(hash),
        Note::Mapping(hash, kept.seen_at),
        Note::Container(link, target),
    ];
    notes.into_iter().chain(local)
}

/// Notes a mapping less. `false`: it is not there.
fn note_removed(
    socket: &mut Socket,
    ledger: &mut Ledger,
    handle: &PortForwardHandle,
    kept: &Kept,
) -> Result<bool, Cause> {
    let hash = TagHash::of(&kept.tag);
    let (count, noted) = ledger.count(Note::Tag(hash));
    let Ok(last) = u16::try_from(count) else { return Ok(false) };
    if last == 0 || noted != &*kept.tag {
        return Ok(false);
    }
    let text = Record::text(&handle.mapping, handle.number);
    let is_at = |ledger: &Ledger, at| ledger.get(Note::Mapping(hash, at)) == Some(text.as_str());
    let place = if is_at(ledger, kept.seen_at) {
        kept.seen_at
    } else {
        ledger.read(socket, (1..=last).map(|at| Note::Mapping(hash, at)))?;
        match (1..=last).find(|&at| is_at(ledger, at)) {
            Some(place) => place,
            None => return Ok(false),
        }
    };
    // The last takes its place, so that there is none without.
    let end = Note::Mapping(hash, last);
    ledger.read(socket, [end])?;
    if let Some(moved) = ledger.text(end).cloned() {
        ledger.set(Note::Mapping(hash, place), moved);
    }
    ledger.clear(end);
    ledger.add(Note::Tag(hash), -1);
    let (link, target) = handle.mapping.container();
    let container = Note::Container(link, target);
    let (groups, _) = ledger.count(container);
    if let Some(last) = u16::try_from(groups).ok().and_then(|last| container.row(last)) {
        ledger.read(socket, [last])?;
        ledger.add(last, -1);
        if ledger.text(last).is_none() {
            ledger.add(container, -1);
        }
    }
    if handle.mapping.is_at_loopback() {
        let local = Note::Local(link);
        if ledger.get(local).is_some() {
            ledger.add(local, -1);
            // With its last mapping the link goes.
            if ledger.get(local).is_none() {
                ledger.add(Note::Whole, -1);
            }
        }
    } else {
        ledger.add(Note::Whole, -1);
    }
    Ok(true)
}
