//! Publishing ports persistently.

use std::fmt;
use std::sync::Arc;

use super::ledger::Ledger;
use super::note::{Note, TagHash};
use super::record::Record;
use super::{take, unwritable};
use crate::error::{Cause, Error};
use crate::nat::guarded::NotOurs;
use crate::nat::port_forward::builder::ACTION;
use crate::nat::port_forward::elements::Elements;
use crate::nat::port_forward::handle::{Kept, PortForwardHandle};
use crate::nat::port_forward::local;
use crate::nat::port_forward::mapping::{Mapping, explain};
use crate::nat::port_forward::ruleset::PortTable;
use crate::nat::port_forward::tables::{Known, Step, change, unchanged};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::Operations;
use crate::wire::nft::message::MessageType;
use crate::wire::nft::userdata::UserData;

/// What is to be published, each mapping with its tag.
struct Wanted<'a> {
    mappings: &'a [Mapping],
    tags: Vec<Arc<str>>,
    comments: Vec<Option<UserData>>,
}

/// Publishes all of them, or none.
pub(crate) fn create(
    netns: &Netns,
    mappings: &[Mapping],
    tags: &[&String],
    shown: &dyn fmt::Display,
) -> Result<Vec<PortForwardHandle>, Error> {
    let step = (ACTION, shown);
    let wanted = Wanted {
        mappings,
        tags: tags.iter().map(|tag| Arc::from(tag.as_str())).collect(),
        comments: tags.iter().map(|tag| UserData::comment(tag)).collect(),
    };
    let mut unknown = Vec::new();
    let added = change(netns, step, |socket, ports, generation| {
        add(netns, socket, &mut ports.known, generation, &wanted, step, &mut unknown)
    });
    let delete = |handles: &[PortForwardHandle]| {
        // The error that is returned is the one that counts.
        for handle in handles {
            drop(take::remove(handle));
        }
    };
    let handles = added.inspect_err(|_| delete(&unknown))?;
    let links = local::links_of(&handles);
    local::hold(netns, &links, step).inspect_err(|_| delete(&handles))?;
    Ok(handles)
}

/// Adds them, or none. `unknown` gets those that may be there where the answer was lost.
fn add(
    netns: &Netns,
    socket: &mut Socket,
    known: &mut Known,
    generation: u32,
    wanted: &Wanted<'_>,
    step: Step<'_>,
    unknown: &mut Vec<PortForwardHandle>,
) -> Result<Vec<PortForwardHandle>, Error> {
    let is_own = |table: &PortTable| !table.is_held();
    known.refuse_taken(socket, wanted.mappings, |table| !is_own(table))?;
    let (transaction, handles) = prepare(netns, socket, known, generation, wanted, step)?;
    match transaction.commit(socket, |_| ()) {
        Ok(()) => {
            known.committed();
            Ok(handles)
        }
        Err(error) if error.is_already_exists() => {
            known.refuse_taken(socket, wanted.mappings, is_own)?;
            // The holder went meanwhile: once more.
            unchanged(socket, generation, step)?;
            Err(error)
        }
        Err(error) if error.is_unknown_outcome() => {
            *unknown = handles;
            Err(explain(error))
        }
        Err(error) => Err(explain(error)),
    }
}

/// What adds them, with what they will be.
fn prepare<'a>(
    netns: &Netns,
    socket: &mut Socket,
    known: &mut Known,
    generation: u32,
    wanted: &Wanted<'_>,
    step: Step<'a>,
) -> Result<(Operations<'a>, Vec<PortForwardHandle>), Error> {
    let doing = |cause: Cause| cause.doing(step.0, step.1);
    let mut transaction = Operations::at_generation(generation);
    let mut handles = Vec::with_capacity(wanted.mappings.len());
    for is_ipv4 in [true, false] {
        let of_family: Vec<_> = wanted
            .mappings
            .iter()
            .zip(&wanted.tags)
            .zip(&wanted.comments)
            .filter(|((mapping, _), _)| mapping.is_ipv4() == is_ipv4)
            .collect();
        if of_family.is_empty() {
            continue;
        }
        let table = PortTable::persistent(is_ipv4);
        if known.is_foreign(&table) {
            return Err(NotOurs::Foreign(table.name).explain(step.0, step.1));
        }
        if !known.has(&table) {
            table.push_create(&mut transaction);
            known.made(&table);
        } else if known.is_broken(&table) {
            table.push_mend(&mut transaction);
            known.mended(&table);
        }
        let ledger = known.ledger(&table);
        let notes = of_family.iter().flat_map(|((mapping, tag), _)| notes_of(mapping, tag));
        ledger.read(socket, notes).map_err(doing)?;
        let mut elements = Elements::for_ports(of_family.len());
        for ((mapping, tag), comment) in of_family {
            let number = generation.into();
            let seen_at = note_added(ledger, mapping, tag, number)?;
            ledger.came(mapping.ports().map(|(port, _)| port), number);
            for (port, target) in mapping.ports() {
                elements.add_port(port, Some(target), comment.as_ref());
            }
            handles.push(PortForwardHandle {
                netns: netns.clone(),
                mapping: *mapping,
                number,
                kept: Some(Kept { tag: tag.clone(), seen_at }),
            });
        }
        table.push_elements(&mut transaction, step, MessageType::NewElement, &elements);
        ledger.push(&mut transaction, step).ok_or_else(|| unwritable(step))?;
    }
    Ok((transaction, handles))
}

fn notes_of(mapping: &Mapping, tag: &str) -> impl Iterator<Item = Note> {
    let local = mapping.is_at_loopback().then_some(Note::Local(mapping.link));
    let (link, target) = mapping.container();
    let others = [Note::Whole, Note::Tag(TagHash::of(tag)), Note::Container(link, target)];
    others.into_iter().chain(local)
}

/// Notes a mapping more; where among those of its tag.
fn note_added(
    ledger: &mut Ledger,
    mapping: &Mapping,
    tag: &str,
    number: u64,
) -> Result<u16, Error> {
    let (link, target) = mapping.container();
    let hash = TagHash::of(tag);
    let (count, noted) = ledger.count(Note::Tag(hash));
    if count > 0 && noted != tag {
        let reason = format!("its tag has the hash of another, `{noted}`: choose another");
        return Err(Error::invalid(ACTION, mapping, reason));
    }
    let place = u16::try_from(count + 1).map_err(|error| {
        let reason = format!("`{tag}` has 65,535 mappings, as many as a tag can have: {error}");
        Error::invalid(ACTION, mapping, reason)
    })?;
    if count == 0 {
        ledger.set(Note::Tag(hash), 1, tag);
    } else {
        ledger.add(Note::Tag(hash), 1);
    }
    ledger.set(Note::Mapping(hash, place), 0, Record::text(mapping, number));
    ledger.add(Note::Container(link, target), 1);
    if mapping.is_at_loopback() {
        if ledger.get(Note::Local(link)).is_none() {
            ledger.set(Note::Local(link), 0, "route_localnet");
            ledger.add(Note::Whole, 1);
        }
        ledger.add(Note::Local(link), 1);
    } else {
        ledger.add(Note::Whole, 1);
    }
    Ok(place)
}
