//! Links that route loopback addresses for persistent mappings.

use std::collections::BTreeSet;

use super::note::Note;
use super::unwritable;
use crate::error::Error;
use crate::nat::port_forward::builder::ACTION;
use crate::nat::port_forward::handle::PortForwardHandle;
use crate::nat::port_forward::loopback::{put_back, route_loopback};
use crate::nat::port_forward::ruleset::PortTable;
use crate::nat::port_forward::tables::{Step, change, with};
use crate::netns::Netns;
use crate::nft::Operations;

/// Has answers for loopback addresses come back, where one leads to a mapping.
pub(super) fn route_loopbacks(netns: &Netns, handles: &[PortForwardHandle]) -> Result<(), Error> {
    let local = handles.iter().filter(|handle| handle.mapping.is_at_loopback());
    let mut links: BTreeSet<_> = local.map(|handle| handle.mapping.link).collect();
    if links.is_empty() {
        return Ok(());
    }
    let step: Step<'_> = (ACTION, &"loopback addresses");
    with(netns, step, |_, ports| {
        links.retain(|link| !ports.known.routed.contains(link));
        Ok(())
    })?;
    if links.is_empty() {
        return Ok(());
    }
    links.iter().try_for_each(|link| route_loopback(netns, *link))?;
    with(netns, step, |_, ports| {
        ports.known.routed.extend(links);
        Ok(())
    })
}

/// Has a link that routes loopback addresses for no mapping any more be as it was, and forgets it; with the
/// last link goes the table. Until then the table is there, and with it what drops for 127.0.0.0/8.
pub(super) fn settle(netns: &Netns, link: u32) -> Result<(), Error> {
    let step: Step<'_> = ("put back route_localnet of link", &link);
    let table = PortTable::persistent(true);
    let local = Note::Local(link);
    let mut is_off = false;
    change(netns, step, |socket, ports, generation| {
        let known = &mut ports.known;
        if !known.has(&table) {
            return Ok(());
        }
        let ledger = known.ledger(&table);
        ledger.read(socket, [Note::Whole, local]).map_err(|cause| cause.doing(step.0, step.1))?;
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
        ledger.clear(local);
        ledger.add(Note::Whole, -1);
        let is_last = ledger.get(Note::Whole).is_none();
        if is_last {
            table.push_delete(&mut transaction, step);
        } else {
            ledger.push(&mut transaction, step).ok_or_else(|| unwritable(step))?;
        }
        known.routed.remove(&link);
        transaction.commit(socket, |_| ())?;
        known.committed();
        if is_last {
            known.gone(&table);
        }
        Ok(())
    })
}
