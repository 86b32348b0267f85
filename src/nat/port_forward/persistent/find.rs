//! Finding persistent ports by their tag.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ledger::Ledger;
use super::note::{Note, TagHash};
use super::record::Record;
use crate::error::{Cause, Error};
use crate::nat::port_forward::handle::{Kept, PortForwardHandle};
use crate::nat::port_forward::ruleset::{PortTable, TAGS};
use crate::nat::port_forward::tables::{Known, Step, change, unchanged};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::read;
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::userdata::UserData;

/// How many places of a tag are asked for before the next ones.
const AT_ONCE: u16 = 256;

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
        list(self, step, |socket, known, table| find(self, socket, known, table, tag))
    }
}

/// The persistent published ports of a namespace, whatever their tags.
pub(crate) fn all(netns: &Netns) -> Result<Vec<PortForwardHandle>, Error> {
    let step: Step<'_> = ("list", &"ports that are forwarded persistently");
    list(netns, step, |socket, _, table| find_all(netns, socket, table))
}

/// Those of both families, read while nobody changed anything.
fn list(
    netns: &Netns,
    step: Step<'_>,
    mut of_family: impl FnMut(
        &mut Socket,
        &mut Known,
        &PortTable,
    ) -> Result<Vec<PortForwardHandle>, Cause>,
) -> Result<Vec<PortForwardHandle>, Error> {
    change(netns, step, |socket, ports, generation| {
        let mut found = Vec::new();
        for is_ipv4 in [true, false] {
            let table = PortTable::persistent(is_ipv4);
            if ports.known.has(&table) {
                let those = of_family(socket, &mut ports.known, &table);
                found.extend(those.map_err(|cause| cause.doing(step.0, step.1))?);
            }
        }
        unchanged(socket, generation, step)?;
        Ok(found)
    })
}

/// By their tags, and in the order in which each tag has them.
fn find_all(
    netns: &Netns,
    socket: &mut Socket,
    table: &PortTable,
) -> Result<Vec<PortForwardHandle>, Cause> {
    let of = ElementsOf::new(&table.name, TAGS);
    let (mut tags, mut records) = (BTreeMap::<_, Arc<str>>::new(), Vec::new());
    for element in read::all_elements(socket, table.family(), &of)? {
        let place = element.key.as_ref().and_then(|key| TagHash::of_key(key.as_slice()));
        let comment = element.userdata.as_ref().and_then(UserData::as_comment);
        let (Some((hash, at)), Some(comment)) = (place, comment) else { continue };
        match at {
            0 => drop(tags.insert(hash, comment.into())),
            // What is no mapping is a group of them, by its container.
            _ => records.extend(Record::read(comment).map(|record| (hash, at, record))),
        }
    }
    // Another's text under a tag's hash: by that nothing is found.
    tags.retain(|hash, tag| *hash == TagHash::of(tag));
    let handle = |(hash, seen_at, Record { mapping, number })| {
        let kept = Some(Box::new(Kept { tag: Arc::clone(tags.get(&hash)?), seen_at }));
        Some(PortForwardHandle { netns: netns.clone(), mapping, number: number.into(), kept })
    };
    let mut found: Vec<_> = records.into_iter().filter_map(handle).collect();
    let place = |handle: &PortForwardHandle| {
        handle.kept.as_ref().map(|kept| (Arc::clone(&kept.tag), kept.seen_at))
    };
    found.sort_by_cached_key(place);
    Ok(found)
}

fn find(
    netns: &Netns,
    socket: &mut Socket,
    known: &mut Known,
    table: &PortTable,
    tag: &str,
) -> Result<Vec<PortForwardHandle>, Cause> {
    let hash = TagHash::of(tag);
    let ledger = known.ledger(table);
    ledger.read(socket, [Note::Tag(hash)])?;
    let (count, noted) = ledger.count(Note::Tag(hash));
    if noted != tag {
        return Ok(Vec::new());
    }
    let last = u16::try_from(count).unwrap_or(u16::MAX);
    let tag: Arc<str> = tag.into();
    let handle = |ledger: &Ledger, seen_at| {
        let Record { mapping, number } = Record::read(ledger.get(Note::Mapping(hash, seen_at))?)?;
        let kept = Some(Box::new(Kept { tag: tag.clone(), seen_at }));
        Some(PortForwardHandle { netns: netns.clone(), mapping, number: number.into(), kept })
    };
    let mut found = Vec::new();
    for first in (1..=last).step_by(AT_ONCE.into()) {
        let some = first..=first.saturating_add(AT_ONCE - 1).min(last);
        ledger.read(socket, some.clone().map(|at| Note::Mapping(hash, at)))?;
        let before = found.len();
        found.extend(some.filter_map(|at| handle(ledger, at)));
        // None is missing, so that no more is kept in mind than there is, whatever was counted.
        if found.len() == before {
            break;
        }
    }
    Ok(found)
}
