//! The invariant of loopback addresses: packets from links to 127.0.0.0/8 are dropped, or no link
//! routes such addresses because of netloom.
//!
//! The drop is added first and removed last. In between, under a lock of the namespace, each link
//! is noted before it is switched on, and switched off before its note is deleted. The set `local`
//! of each IPv4 table has the links that need the setting, so tables of killed processes need
//! nothing. After a change of a setting, a program reads the sets again.

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

/// Ends what a flushed ruleset left: links that route loopback addresses without the drop.
pub(super) fn check(netns: &Netns, step: Step<'_>) -> Result<(), Error> {
    let unchecked = change(netns, step, |turn| {
        let known = &turn.ports.known;
        let is_checked = known.guard == Guard::Whole || known.is_loopback_checked;
        Ok((!is_checked).then(|| turn.generation()))
    })?;
    let Some(generation) = unchecked else { return Ok(()) };
    if Switch::read(netns, LO)?.is_some_and(|lo| lo.is_noted()) {
        settle(netns, switch::noted(netns)?, step)?;
    }
    // After a failure, or at another generation, the next call checks again.
    change(netns, step, |turn| {
        turn.ports.known.is_loopback_checked |= turn.generation() == generation;
        Ok(())
    })
}

/// Makes these links route loopback addresses, after a transaction has added mappings. The ruleset
/// then had `generation`.
///
/// A program that has the lock may be about to turn a link off, as it read the sets before these
/// mappings were added. A program that takes the lock later reads these mappings. A link
/// `is_steady` if no program had the lock at an earlier mapping, which is still there.
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

/// Sets `route_localnet` of these links, and the drop rule, to what the mappings of all programs
/// need.
pub(super) fn settle(netns: &Netns, mut links: BTreeSet<u32>, step: Step<'_>) -> Result<(), Error> {
    let lock = netns.lock_socket().and_then(|member| {
        let turn = netns.take_own(Lock::Ports, &member)?;
        Ok((member, turn))
    });
    let _lock = match lock {
        Ok(lock) => Some(lock),
        // A process without a free descriptor still takes down what it made.
        Err(cause) if matches!(cause.errno(), Some(Errno::EMFILE | Errno::ENFILE)) => None,
        Err(cause) => return Err(cause.doing(step.0, step.1).in_namespace(netns)),
    };
    change(netns, step, |turn| {
        let needed = needed(turn, &links)?;
        // The list of tables may be older than the lock.
        turn.unchanged()?;
        let is_last = !turn.ports.known.has_ipv4();
        let has_guard = turn.ports.known.guard.is_ours();
        let lo = if is_last || !needed.is_empty() { Switch::read(netns, LO)? } else { None };
        if !needed.is_empty() {
            push_guard(turn)?;
            if let Some(lo) = lo.as_ref().filter(|lo| !lo.is_noted()) {
                lo.note()?;
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
                lo.forget()?;
            }
            if has_guard {
                let mut transaction = turn.transaction();
                guard::push_delete(&mut transaction);
                turn.commit(transaction)?;
                turn.ports.known.guard = Guard::Absent;
                return Ok(());
            }
        }
        // A mapping may have been added or deleted meanwhile.
        turn.unchanged()
    })
}

/// Adds the missing parts of the drop.
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

/// Returns which of these links a mapping needs to route loopback addresses.
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

/// Returns whether killed processes, or a flushed ruleset, left a link or the drop as no mapping
/// needs it.
pub(crate) fn is_left_over(netns: &Netns) -> Result<bool, Error> {
    let noted = match Switch::read(netns, LO)? {
        Some(lo) if lo.is_noted() => switch::noted(netns)?,
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

/// Restores what [`is_left_over`] found. Returns whether there was something to do.
pub(crate) fn restore(netns: &Netns) -> Result<bool, Error> {
    let is_left_over = is_left_over(netns)?;
    if is_left_over {
        settle(netns, switch::noted(netns)?, REAP)?;
    }
    Ok(is_left_over)
}
