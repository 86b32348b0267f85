//! Finding persistent ports by their tag.

use std::sync::Arc;

use super::note::{Note, TagHash};
use super::record::Record;
use crate::error::{Cause, Error};
use crate::nat::port_forward::handle::{Kept, PortForwardHandle};
use crate::nat::port_forward::ruleset::PortTable;
use crate::nat::port_forward::tables::{Known, Step, change, unchanged};
use crate::netlink::Socket;
use crate::netns::Netns;

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
        change(self, step, |socket, ports, generation| {
            let mut found = Vec::new();
            for is_ipv4 in [true, false] {
                let table = PortTable::persistent(is_ipv4);
                if ports.known.has(&table) {
                    let of_family = find(self, socket, &mut ports.known, &table, tag);
                    found.extend(of_family.map_err(|cause| cause.doing(step.0, step.1))?);
                }
            }
            unchanged(socket, generation, step)?;
            Ok(found)
        })
    }
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
    let places = 1..=u16::try_from(count).unwrap_or(u16::MAX);
    ledger.read(socket, places.clone().map(|at| Note::Mapping(hash, at)))?;
    let tag: Arc<str> = tag.into();
    let handle = |seen_at| {
        let Record { mapping, number } = Record::read(ledger.get(Note::Mapping(hash, seen_at))?)?;
        let kept = Some(Kept { tag: tag.clone(), seen_at });
        Some(PortForwardHandle { netns: netns.clone(), mapping, number: number.into(), kept })
    };
    Ok(places.filter_map(handle).collect())
}
