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
use crate::nat::port_forward::elements::{PortElement, Shared};
use crate::nat::port_forward::handle::{Kept, PortForwardHandle};
use crate::nat::port_forward::local;
use crate::nat::port_forward::mapping::{Mapping, explain};
use crate::nat::port_forward::ruleset::PortTable;
use crate::nat::port_forward::tables::{Known, Step, change, unchanged};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::Operations;
use crate::owned::sealed::Remove;
use crate::wire::nft::message::MessageType;
use crate::wire::nft::userdata::Comment;

/// What is to be published.
struct Wanted<'a> {
    mappings: &'a [Mapping],
    /// Each once.
    tags: Vec<Tag<'a>>,
    /// Of each mapping, the place of its tag.
    tag_of: Vec<usize>,
}

struct Tag<'a> {
    text: Arc<str>,
    hash: TagHash,
    comment: Option<Comment<'a>>,
}

impl<'a> Wanted<'a> {
    fn new(mappings: &'a [Mapping], all: &[&'a String]) -> Self {
        let (mut tags, mut known) = (Vec::new(), HashMap::new());
        let mut place_of = |tag: &&'a String| {
            *known.entry(tag.as_str()).or_insert_with(|| {
                let (hash, comment) = (TagHash::of(tag), Comment::new(tag));
                tags.push(Tag { text: Arc::from(tag.as_str()), hash, comment });
                tags.len() - 1
            })
        };
        let tag_of = all.iter().map(&mut place_of).collect();
        Self { mappings, tags, tag_of }
    }

    /// Those of a family, each with its place and its tag's.
    fn of_family(&self, is_ipv4: bool) -> Vec<(usize, Mapping, usize)> {
        let all = self.mappings.iter().zip(&self.tag_of).enumerate();
        let of_family = all.filter(|(_, (mapping, _))| mapping.is_ipv4() == is_ipv4);
        of_family.map(|(at, (mapping, tag))| (at, *mapping, *tag)).collect()
    }
}

/// Publishes all of them, or none.
pub(crate) fn create(
    netns: &Netns,
    mappings: &[Mapping],
    tags: &[&String],
    shown: &dyn fmt::Display,
) -> Result<Vec<PortForwardHandle>, Error> {
    let step = (ACTION, shown);
    let wanted = Wanted::new(mappings, tags);
    let mut unknown = Vec::new();
    let added = change(netns, step, |socket, ports, generation| {
        add(netns, socket, &mut ports.known, generation, &wanted, step, &mut unknown)
    });
    let delete = |handles: &[PortForwardHandle]| {
        // The error that is returned is the one that counts.
        for handle in handles {
            drop(handle.remove());
        }
    };
    let handles = added.inspect_err(|_| delete(&unknown))?;
    local::hold(netns, mappings.iter(), step).inspect_err(|_| delete(&handles))?;
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
    let number = number_of(socket.port(), generation).into();
    let mut seen_at = vec![0; wanted.mappings.len()];
    for is_ipv4 in [true, false] {
        let of_family = wanted.of_family(is_ipv4);
        if of_family.is_empty() {
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
        let notes =
            of_family.iter().flat_map(|(_, mapping, tag)| notes_of(mapping, &wanted.tags[*tag]));
        ledger.read(socket, notes).map_err(doing)?;
        note_places(ledger, &of_family)?;
        let mut ports: Vec<PortElement<'_>> = Vec::with_capacity(of_family.len());
        let mut tags: Vec<_> = wanted.tags.iter().map(|_| None).collect();
        for (at, mapping, tag) in &of_family {
            let (counted, tag) = (&mut tags[*tag], &wanted.tags[*tag]);
            let count = match counted {
                Some(count) => count,
                None => counted.insert(count_of(ledger, mapping, tag)?),
            };
            let place = next_place(count, mapping, tag)?;
            ledger.comes(Note::Mapping(tag.hash, place), Text::of_mapping(mapping, number));
            ledger.came(mapping.ports().map(|(port, _)| port), number);
            let elements = PortElement::of(*mapping);
            ports.extend(elements.map(|port| PortElement { comment: tag.comment, ..port }));
            seen_at[*at] = place;
        }
        for (tag, count) in wanted.tags.iter().zip(&tags) {
            if let Some(count) = count {
                ledger.set(Note::Tag(tag.hash), Text::new(*count, &*tag.text));
            }
        }
        let of = |bound| ports.iter().copied().filter(move |port| port.bound() == bound);
        let kind = MessageType::NewElement;
        table.push_elements(&mut transaction, step, kind, of, &Shared::default());
        ledger.push(&mut transaction, step).ok_or_else(|| unwritable(step))?;
    }
    let all = wanted.mappings.iter().zip(&wanted.tag_of).zip(seen_at);
    let handles = all.map(|((mapping, tag), seen_at)| PortForwardHandle {
        netns: netns.clone(),
        mapping: *mapping,
        number,
        kept: Some(Box::new(Kept { tag: Arc::clone(&wanted.tags[*tag].text), seen_at })),
    });
    Ok((transaction, handles.collect()))
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
fn note_places(ledger: &mut Ledger, mappings: &[(usize, Mapping, usize)]) -> Result<(), Error> {
    let place =
        |(_, mapping, _): &(usize, Mapping, usize)| (mapping.container(), mapping.is_at_loopback());
    let mut groups = BTreeMap::<_, u32>::new();
    for alike in mappings.chunk_by(|one, next| place(one) == place(next)) {
        let (container, is_local) = place(&alike[0]);
        let (link, _) = container;
        let count = i32::try_from(alike.len()).unwrap_or(i32::MAX);
        *groups.entry(container).or_default() += count.unsigned_abs();
        if !is_local {
            ledger.add(Note::Whole, count);
            continue;
        }
        if ledger.get(Note::Local(link)).is_none() {
            ledger.set(Note::Local(link), Text::new(0, "route_localnet"));
            ledger.add(Note::Whole, 1);
        }
        ledger.add(Note::Local(link), count);
    }
    for ((link, target), count) in groups {
        let container = Note::Container(link, target);
        ledger.add(container, 1);
        let at = u16::try_from(ledger.count(container).0).map_err(|error| {
            let reason =
                format!("mappings came to {target} in 65,535 groups, as many as can be: {error}");
            Error::invalid(ACTION, mappings[0].1, reason)
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
