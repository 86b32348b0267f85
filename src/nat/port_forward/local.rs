//! Links that route loopback addresses for mappings. Who needs it is told by the tables of ports themselves,
//! held and persistent, each with a set of such links: what a killed process held goes with its table.
//! What was there before, and the drop that makes it safe, are in a table of their own, `guard.rs`.

use std::collections::BTreeSet;

use nix::errno::Errno;

use super::guard::{self, GUARD, Guard, Noted};
use super::handle::PortForwardHandle;
use super::loopback::{put_back, route_loopback, routes_loopback};
use super::mapping::Mappings;
use super::ruleset::LOCAL;
use super::tables::{Known, Step, change, unchanged};
use crate::error::{Cause, Error};
use crate::nat::guarded::NotOurs;
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::{Operations, read};
use crate::wire::nft::data::Value;
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::message::{Family, MessageType};

/// Has answers for loopback addresses come back by links that mappings need it of: first what drops, then
/// the switch.
pub(super) fn hold<'m>(
    netns: &Netns,
    mappings: impl Mappings<'m>,
    step: Step<'_>,
) -> Result<(), Error> {
    let local = mappings.filter(|mapping| mapping.is_at_loopback());
    if local.clone().next().is_none() {
        return Ok(());
    }
    let mut switched = BTreeSet::new();
    change(netns, step, |socket, ports, generation| {
        let known = &mut ports.known;
        let mut unsure = Vec::new();
        let mut last = None;
        for link in local.clone().map(|mapping| mapping.link) {
            // Where one leads, most of the next do.
            let is_seen = last.replace(link) == Some(link);
            if !is_seen && !known.routed.contains(&link) && !unsure.contains(&link) {
                unsure.push(link);
            }
        }
        if unsure.is_empty() {
            return Ok(());
        }
        let looked = look(socket, known, &unsure).map_err(|cause| cause.doing(step.0, step.1))?;
        if known.guard == Guard::Foreign {
            return Err(NotOurs::Foreign(GUARD.to_owned()).explain(step.0, step.1));
        }
        let (mut new, mut needed) = (Vec::new(), Vec::new());
        for Looked { link, is_noted, is_needed } in looked {
            if is_needed {
                needed.push(link);
                if !is_noted {
                    let was_on = routes_loopback(netns, link)? && !switched.contains(&link);
                    new.push(Noted { link, was_on });
                }
            } else if !is_noted && switched.remove(&link) {
                // Somebody deleted the mapping meanwhile.
                put_back(netns, link)?;
            }
        }
        if known.guard != Guard::Whole || !new.is_empty() {
            let mut transaction = Operations::at_generation(generation);
            known.guard.push_missing(&mut transaction);
            guard::push_noted(&mut transaction, step, MessageType::NewElement, &new);
            transaction.commit(socket, |_| ())?;
            known.committed();
            known.guard = Guard::Whole;
        }
        for link in &needed {
            route_loopback(netns, *link)?;
            switched.insert(*link);
        }
        // A note that is there now stays until somebody has put the switch back. One that is not went with
        // the mapping, which somebody deleted meanwhile.
        let after = look(socket, known, &needed).map_err(|cause| cause.doing(step.0, step.1))?;
        if after.iter().any(|looked| !looked.is_noted) {
            return Err(Cause::from(Errno::ERESTART).doing(step.0, step.1));
        }
        known.routed.extend(needed);
        Ok(())
    })
}

/// Has links that no mapping needs any more be as they were, those of the dead too; with the last goes what
/// drops. Whether there was something to do.
pub(crate) fn settle(netns: &Netns) -> Result<bool, Error> {
    let step: Step<'_> = ("put back", &"route_localnet");
    let doing = |cause: Cause| cause.doing(step.0, step.1);
    let mut switched_off = BTreeSet::new();
    change(netns, step, |socket, ports, generation| {
        let known = &mut ports.known;
        if !known.guard.is_ours() {
            return Ok(false);
        }
        let noted = guard::noted(socket).map_err(doing)?;
        let links: Vec<_> = noted.iter().map(|noted| noted.link).collect();
        let looked = look(socket, known, &links).map_err(doing)?;
        let mut gone = Vec::new();
        for (noted, looked) in noted.iter().zip(looked) {
            if !looked.is_needed {
                gone.push(*noted);
            } else if switched_off.remove(&noted.link) {
                // Somebody came meanwhile.
                route_loopback(netns, noted.link)?;
            }
        }
        let is_last = gone.len() == noted.len();
        if gone.is_empty() && !is_last {
            return Ok(false);
        }
        for Noted { link, .. } in gone.iter().filter(|noted| !noted.was_on) {
            put_back(netns, *link)?;
            switched_off.insert(*link);
        }
        let mut transaction = Operations::at_generation(generation);
        if is_last {
            guard::push_delete(&mut transaction, step);
        } else {
            guard::push_noted(&mut transaction, step, MessageType::DeleteElement, &gone);
        }
        transaction.commit(socket, |_| ())?;
        known.committed();
        for Noted { link, .. } in gone {
            known.routed.remove(&link);
        }
        if is_last {
            known.guard = Guard::Absent;
        }
        Ok(true)
    })
}

/// Whether there is something to do for it: who made the mappings was killed, or somebody flushed their tables.
pub(crate) fn is_unsettled(netns: &Netns) -> Result<bool, Error> {
    let step: Step<'_> = ("look for", &"links that route loopback addresses");
    change(netns, step, |socket, ports, generation| {
        let doing = |cause: Cause| cause.doing(step.0, step.1);
        let known = &ports.known;
        let mut is_unsettled = false;
        if known.guard.is_ours() {
            let noted = guard::noted(socket).map_err(doing)?;
            let links: Vec<_> = noted.iter().map(|noted| noted.link).collect();
            let looked = look(socket, known, &links).map_err(doing)?;
            is_unsettled = looked.is_empty() || looked.iter().any(|looked| !looked.is_needed);
        }
        unchanged(socket, generation, step)?;
        Ok(is_unsettled)
    })
}

/// Whether the link that leads to it is there, and routes loopback addresses where it has to.
pub(super) fn is_led_to(handle: &PortForwardHandle) -> Result<bool, Error> {
    let found = if handle.mapping.is_at_loopback() {
        routes_loopback(&handle.netns, handle.mapping.link)
    } else {
        handle.netns.link_at(handle.mapping.link).map(|_| true)
    };
    match found {
        Err(error) if error.is_not_found() => Ok(false),
        found => found,
    }
}

struct Looked {
    link: u32,
    is_noted: bool,
    is_needed: bool,
}

/// What is known of these links by the guard, and by the tables of ports.
fn look(socket: &mut Socket, known: &Known, links: &[u32]) -> Result<Vec<Looked>, Cause> {
    let tables = known.tables().filter(|table| table.is_ipv4);
    let tables: Vec<_> = tables.map(|table| ElementsOf::new(&table.name, LOCAL)).collect();
    let mut looked = Vec::with_capacity(links.len());
    for &link in links {
        let (guard, key) = guard::place(link);
        let sets = std::iter::once(&guard).chain(&tables);
        let keys: Vec<(_, Value)> = sets.map(|set| (set, key)).collect();
        let found = read::elements(socket, Family::Ip, &keys)?;
        let mut found = found.iter().map(Option::is_some);
        let is_noted = found.next().unwrap_or(false);
        looked.push(Looked { link, is_noted, is_needed: found.any(|is_there| is_there) });
    }
    Ok(looked)
}
