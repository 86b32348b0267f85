//! Publishing ports persistently.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use super::ledger::Ledger;
use super::note::{Note, TagHash, Text};
use super::unwritable;
use crate::error::{Cause, Error};
use crate::nat::guarded::NotOurs;
use crate::nat::port_forward::builder::ACTION;
use crate::nat::port_forward::elements::{Bound, PortElement, Shared};
use crate::nat::port_forward::handle::{Kept, PortForwardHandle, mappings};
use crate::nat::port_forward::local;
use crate::nat::port_forward::mapping::{Mapping, explain, runs};
use crate::nat::port_forward::ruleset::PortTable;
use crate::nat::port_forward::tables::{Known, Step, change, unchanged};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::Operations;
use crate::owned::Owned;
use crate::wire::nft::message::MessageType;
use crate::wire::nft::userdata::Comment;

/// The tags of what is to be published.
struct Tags<'a> {
    /// Each once.
    all: Vec<Tag<'a>>,
    /// Of each mapping, the place of its tag.
    of: Vec<usize>,
}

struct Tag<'a> {
    text: Arc<str>,
    hash: TagHash,
    comment: Option<Comment<'a>>,
}

impl<'a> Tags<'a> {
    fn new(of_each: &[&'a str]) -> Self {
        let (mut all, mut known) = (Vec::new(), HashMap::new());
        let mut place_of = |tag: &&'a str| {
            *known.entry(*tag).or_insert_with(|| {
                let (hash, comment) = (TagHash::of(tag), Comment::new(tag));
                all.push(Tag { text: Arc::from(*tag), hash, comment });
                all.len() - 1
            })
        };
        let of = of_each.iter().map(&mut place_of).collect();
        Self { all, of }
    }
}

/// Publishes all of them, or none.
pub(crate) fn create(
    netns: &Netns,
    owned: &mut [Owned<PortForwardHandle>],
    tags: &[&str],
    shown: &dyn fmt::Display,
) -> Result<(), Error> {
    let step = (ACTION, shown);
    let tags = Tags::new(tags);
    change(netns, step, |socket, ports, generation| {
        add(socket, &mut ports.known, generation, owned, &tags, step)
    })?;
    // An error here has all of them go again, with their owners.
    local::hold(netns, mappings(owned), step)
}

/// Adds them, or none. Where the answer was lost, they may be there, and go with their owners.
fn add(
    socket: &mut Socket,
    known: &mut Known,
    generation: u32,
    owned: &mut [Owned<PortForwardHandle>],
    tags: &Tags<'_>,
    step: Step<'_>,
) -> Result<(), Error> {
    let is_own = |table: &PortTable| !table.is_held();
    known.refuse_taken(socket, &mappings(owned), |table| !is_own(table))?;
    let transaction = prepare(socket, known, generation, owned, tags, step)?;
    match transaction.commit(socket, |_| ()) {
        Ok(()) => {
            known.committed();
            owned.iter_mut().for_each(Owned::begin);
            Ok(())
        }
        Err(error) if error.is_already_exists() => {
            known.refuse_taken(socket, &mappings(owned), is_own)?;
            // The holder went meanwhile: once more.
            unchanged(socket, generation, step)?;
            Err(error)
        }
        Err(error) => {
            if error.is_outcome_unknown() {
                owned.iter_mut().for_each(Owned::begin);
            }
            Err(explain(error))
        }
    }
}

/// The mappings of a family, each with its tag.
fn tagged<'a>(
    owned: &'a [Owned<PortForwardHandle>],
    tags: &'a Tags<'a>,
    is_ipv4: bool,
) -> impl Iterator<Item = (&'a Mapping, &'a Tag<'a>)> + Clone {
    let of_family = mappings(owned).zip(&tags.of).filter(move |(one, _)| one.is_ipv4() == is_ipv4);
    of_family.map(|(one, tag)| (one, &tags.all[*tag]))
}

/// What adds them; they are told what they will be found by.
fn prepare<'a>(
    socket: &mut Socket,
    known: &mut Known,
    generation: u32,
    owned: &mut [Owned<PortForwardHandle>],
    tags: &Tags<'_>,
    step: Step<'a>,
) -> Result<Operations<'a>, Error> {
    let doing = |cause: Cause| cause.doing(step.0, step.1);
    let mut transaction = Operations::at_generation(generation);
    let number = number_of(socket.port(), generation).into();
    for is_ipv4 in [true, false] {
        let of_family = tagged(owned, tags, is_ipv4);
        if of_family.clone().next().is_none() {
            continue;
        }
        let table = PortTable::persistent(is_ipv4);
        if known.is_foreign(&table) {
            return Err(NotOurs::Foreign(table.name.to_string()).explain(step.0, step.1));
        }
        if !known.has(&table) {
            table.push_create(&mut transaction);
            known.made(&table);
        } else if known.is_broken(&table) {
            table.push_mend(&mut transaction);
            known.mended(&table);
        }
        let ledger = known.ledger(&table);
        let notes = of_family.clone().flat_map(|(one, tag)| notes_of(one, tag));
        ledger.read(socket, notes).map_err(doing)?;
        note_places(ledger, of_family.map(|(one, _)| one))?;
        let mut counts: Vec<_> = tags.all.iter().map(|_| None).collect();
        let both = owned.iter_mut().zip(&tags.of);
        for (one, tag) in both.filter(|(one, _)| one.mapping.is_ipv4() == is_ipv4) {
            let (counted, tag) = (&mut counts[*tag], &tags.all[*tag]);
            let count = match counted {
                Some(count) => count,
                None => counted.insert(count_of(ledger, &one.mapping, tag)?),
            };
            let seen_at = next_place(count, &one.mapping, tag)?;
            ledger.comes(Note::Mapping(tag.hash, seen_at), Text::of_mapping(&one.mapping, number));
            ledger.came(one.mapping.ports().map(|(port, _)| port), number);
            one.number = number;
            one.kept = Some(Box::new(Kept { tag: Arc::clone(&tag.text), seen_at }));
        }
        for (tag, count) in tags.all.iter().zip(&counts) {
            if let Some(count) = count {
                ledger.set(Note::Tag(tag.hash), Text::new(*count, &*tag.text));
            }
        }
        let ports = |bound| {
            let of_kind = tagged(owned, tags, is_ipv4)
                .filter(move |(one, _)| Bound::to(one.host_address) == bound);
            of_kind.flat_map(|(one, Tag { comment, .. })| {
                PortElement::of(*one).map(|port| PortElement { comment: *comment, ..port })
            })
        };
        let kind = MessageType::NewElement;
        table.push_elements(&mut transaction, step, kind, ports, &Shared::default());
        ledger.push(&mut transaction, step).ok_or_else(|| unwritable(step))?;
    }
    Ok(transaction)
}

/// What is made at this generation by this socket alone. Only one program can change the ruleset at a generation,
/// but another may have decided on the very same mapping at it.
fn number_of(socket_port: u32, generation: u32) -> u32 {
    // Odd, so that no two generations of a socket have one number, nor two sockets at one generation.
    const SPREAD: u32 = 0x9e37_79b1;
    generation.wrapping_mul(SPREAD) ^ socket_port
}

fn notes_of(mapping: &Mapping, tag: &Tag<'_>) -> impl Iterator<Item = Note> + use<> {
    let local = mapping.is_at_loopback().then_some(Note::Local(mapping.link));
    let (link, target) = mapping.container();
    let others = [Note::Whole, Note::Tag(tag.hash), Note::Container(link, target)];
    others.into_iter().chain(local)
}

/// Counts mappings more by the containers they lead to, and by what they need.
fn note_places<'m>(
    ledger: &mut Ledger,
    mappings: impl Iterator<Item = &'m Mapping>,
) -> Result<(), Error> {
    let mut groups = BTreeMap::new();
    for (mapping, many) in runs(mappings) {
        let Mapping { link, .. } = *mapping;
        let count = i32::try_from(many).unwrap_or(i32::MAX);
        groups.entry(mapping.container()).or_insert((mapping, 0)).1 += count.unsigned_abs();
        if !mapping.is_at_loopback() {
            ledger.add(Note::Whole, count);
            continue;
        }
        if ledger.get(Note::Local(link)).is_none() {
            ledger.set(Note::Local(link), Text::new(0, "route_localnet"));
            ledger.add(Note::Whole, 1);
        }
        ledger.add(Note::Local(link), count);
    }
    for ((link, target), (mapping, count)) in groups {
        let container = Note::Container(link, target);
        ledger.add(container, 1);
        let at = u16::try_from(ledger.count(container).0).map_err(|error| {
            let reason =
                format!("mappings came to {target} in 65,535 groups, as many as can be: {error}");
            Error::invalid(ACTION, mapping, reason)
        })?;
        ledger.comes(Note::Group(link, target, at), Text::new(count, ""));
    }
    Ok(())
}

/// How many mappings a tag has.
fn count_of(ledger: &Ledger, mapping: &Mapping, tag: &Tag<'_>) -> Result<u32, Error> {
    let (count, noted) = ledger.count(Note::Tag(tag.hash));
    if count > 0 && noted != &*tag.text {
        let reason = format!("its tag has the hash of another, `{noted}`: choose another");
        return Err(Error::invalid(ACTION, mapping, reason));
    }
    Ok(count)
}

/// Where among those of its tag one more mapping is.
fn next_place(count: &mut u32, mapping: &Mapping, tag: &Tag<'_>) -> Result<u16, Error> {
    *count = count.saturating_add(1);
    u16::try_from(*count).map_err(|error| {
        let text = &tag.text;
        let reason = format!("`{text}` has 65,535 mappings, as many as a tag can have: {error}");
        Error::invalid(ACTION, mapping, reason)
    })
}
