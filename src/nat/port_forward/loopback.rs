//! Keeps loopback addresses safe: if netloom makes a link route loopback addresses, packets from
//! links to 127.0.0.0/8 are dropped.
//!
//! The rule that drops is added first and deleted last. In between, under a lock of the namespace,
//! each link gets its note before `route_localnet` is turned on, and loses it after
//! `route_localnet` is turned off. The set `local` of each IPv4 table lists the links that need the
//! setting. The tables of killed processes are gone, so their links need it no longer. After a
//! change of a setting, a program reads the sets again.

use std::collections::BTreeSet;

use nix::errno::Errno;

use super::guard::{self, GUARD, Guard};
use super::state::{Turn, change, look};
use super::switch::{self, LO, Switch};
use super::table::LOCAL;
use crate::error::Error;
use crate::nat::guarded::foreign;
use crate::netns::{Lock, Netns};
use crate::nft::{Generation, Step, reader};
use crate::wire::nft::data::Value;
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::message::Family;

/// Finds links that route loopback addresses although `nft flush ruleset` deleted the rule that
/// drops, and mends that.
pub(super) fn check(netns: &Netns, step: Step<'_>) -> Result<(), Error> {
    let unchecked = change(netns, step, |turn| {
        let known = &turn.ports.known;
        let is_checked = known.guard == Guard::Whole || known.is_loopback_checked;
        Ok((!is_checked).then(|| turn.generation()))
    })?;
    let Some(generation) = unchecked else { return Ok(()) };
    if Switch::read(netns, LO)?.is_some_and(|lo| lo.has_note()) {
        settle(netns, switch::noted(netns)?, step)?;
    }
    // Remembers the check only at an unchanged generation. Otherwise the next call checks again.
    change(netns, step, |turn| {
        turn.ports.known.is_loopback_checked |= turn.generation() == generation;
        Ok(())
    })
}

/// Makes these links route loopback addresses, after a transaction has added mappings and the
/// ruleset has reached `generation`.
///
/// A program that holds the lock now may have read the sets before these mappings were added, and
/// be about to turn a link off. A program that takes the lock later reads these mappings.
/// `is_steady` says that no program held the lock when an earlier mapping, which still exists, was
/// added.
pub(super) fn hold(
    netns: &Netns,
    links: &BTreeSet<u32>,
    (mut is_steady, generation): (bool, Generation),
    step: Step<'_>,
) -> Result<(), Error> {
    if links.is_empty() {
        return Ok(());
    }
    let was_steady = is_steady;
    if !is_steady {
        is_steady = netns.is_locked(Lock::Ports).is_ok_and(|is_locked| !is_locked)
            && change(netns, step, |turn| Ok(turn.ports.known.guard == Guard::Whole))?;
    }
    for link in links {
        is_steady = is_steady && Switch::read(netns, *link)?.is_none_or(|switch| switch.is_on);
    }
    if !is_steady {
        return settle(netns, links.clone(), step);
    }
    if !was_steady {
        change(netns, step, |turn| {
            if turn.generation() == generation {
                turn.ports.known.steady.extend(links);
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Sets `route_localnet` of these links, and the rule that drops, to what the mappings of all
/// programs need.
pub(super) fn settle(netns: &Netns, mut links: BTreeSet<u32>, step: Step<'_>) -> Result<(), Error> {
    let lock = netns.lock_socket().and_then(|member| {
        let turn = netns.take_own(Lock::Ports, &member)?;
        Ok((member, turn))
    });
    let _lock = match lock {
        Ok(lock) => Some(lock),
        // A process that can open no further descriptor must still delete what it created.
        Err(cause) if matches!(cause.errno(), Some(Errno::EMFILE | Errno::ENFILE)) => None,
        Err(cause) => return Err(cause.doing(step.0, step.1).in_namespace(netns)),
    };
    change(netns, step, |turn| {
        let needed = needed(turn, &links)?;
        // The cached tables may be older than the lock.
        turn.unchanged()?;
        let is_last = !turn.ports.known.has_ipv4();
        let has_guard = turn.ports.known.guard.is_ours();
        let lo = if is_last || !needed.is_empty() { Switch::read(netns, LO)? } else { None };
        if !needed.is_empty() {
            push_guard(turn)?;
            if let Some(lo) = lo.as_ref().filter(|lo| !lo.has_note()) {
                lo.add_note()?;
            }
        }
        if is_last {
            links.extend(switch::noted(netns)?);
        }
        for link in &links {
            let Some(switch) = Switch::read(netns, *link)? else { continue };
            if needed.contains(link) { switch.turn_on()? } else { switch.turn_off()? }
        }
        if is_last {
            if let Some(lo) = lo {
                lo.delete_note()?;
            }
            if has_guard {
                let mut transaction = turn.transaction();
                guard::push_delete(&mut transaction);
                turn.commit(transaction)?;
                turn.ports.known.guard = Guard::Absent;
                return Ok(());
            }
        }
        // Another program may have added or deleted a mapping meanwhile.
        turn.unchanged()
    })
}

/// Adds the missing parts of the table that drops.
fn push_guard(turn: &mut Turn<'_>) -> Result<(), Error> {
    let guard = turn.ports.known.guard;
    match guard {
        Guard::Whole => return Ok(()),
        Guard::Foreign => return Err(foreign(GUARD, turn.step)),
        Guard::Absent | Guard::Broken => {}
    }
    let mut transaction = turn.transaction();
    guard.push_missing(&mut transaction);
    transaction.commit_on(turn.socket)?;
    turn.ports.known.committed();
    turn.ports.known.guard = Guard::Whole;
    Ok(())
}

/// Returns the links, among these, that must route loopback addresses for some mapping.
fn needed(turn: &mut Turn<'_>, links: &BTreeSet<u32>) -> Result<BTreeSet<u32>, Error> {
    let mut needed = BTreeSet::new();
    for table in turn.ports.known.tables().filter(|table| table.is_ipv4) {
        let of = ElementsOf::new(&table.name, LOCAL);
        let keys: Vec<_> = links.iter().map(|link| (&of, Value::host_u32(*link))).collect();
        let found = reader::elements(turn.socket, Family::Ip, &keys);
        let found = found.map_err(|cause| cause.doing(turn.step.0, turn.step.1))?;
        needed.extend(links.iter().zip(found).filter_map(|(link, one)| one.map(|_| *link)));
    }
    Ok(needed)
}

const REAP: Step<'static> = ("look for", &"links that route loopback addresses");

/// Returns whether a killed process or a flushed ruleset left something to restore. That is a link
/// that no longer needs the setting, or a table that is missing or no longer needed.
pub(crate) fn is_left_over(netns: &Netns) -> Result<bool, Error> {
    let noted = match Switch::read(netns, LO)? {
        Some(lo) if lo.has_note() => switch::noted(netns)?,
        _ => BTreeSet::new(),
    };
    look(netns, REAP, |turn| {
        let needed = needed(turn, &noted)?;
        let known = &turn.ports.known;
        let is_unused = known.guard.is_ours() && !known.has_ipv4();
        let is_open = !needed.is_empty() && known.guard != Guard::Whole;
        Ok(is_unused || is_open || needed.len() < noted.len())
    })
}

/// Restores what [`is_left_over`] found. Returns whether something had to be restored.
pub(crate) fn restore(netns: &Netns) -> Result<bool, Error> {
    let is_left_over = is_left_over(netns)?;
    if is_left_over {
        settle(netns, switch::noted(netns)?, REAP)?;
    }
    Ok(is_left_over)
}
