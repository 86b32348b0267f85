//! A fault at every step of every `create` and of every example: the error names the step, and
//! nothing is left.
#![allow(clippy::print_stdout, clippy::map_err_ignore)] // as in an example

use std::collections::BTreeSet;
use std::error::Error as StdError;

use nix::errno::Errno;

use super::{Fault, arm, disarm, support};
use netloom::{Error, Netns, Owned, Veth, VethEnd, VethPair};
use support::snapshot::Snapshot;

mod commands;
pub(super) mod examples;
mod links;
mod nat;
mod packet_filter;
mod places;
mod routes;
mod settings;
mod watching;

/// The errnos of refused steps: the first two for every step, the others only for requests that
/// create something.
const REFUSALS: [Errno; 6] =
    [Errno::ENOMEM, Errno::EPERM, Errno::EEXIST, Errno::ENODEV, Errno::ENOENT, Errno::EOPNOTSUPP];

const UNANSWERED: [Fault; 4] =
    [Fault::TimedOut, Fault::AnswerLost, Fault::AnswerShort, Fault::AnswerForeign];

/// Runs `program` once for each of its steps and each kind of fault. The errors name the steps in
/// `named` and no others, in any order.
#[track_caller]
fn every_step<E: Into<Box<dyn StdError>>>(named: &[&str], program: impl Fn() -> Result<(), E>) {
    each_step_fails(program, |fault, said| {
        if fault == Fault::Refused(Errno::ENOMEM) {
            let missing: Vec<_> = named.iter().filter(|name| !said.contains(**name)).collect();
            assert!(missing.is_empty(), "no error names {missing:?}, only {said:?}");
        }
        let unknown: Vec<_> = said.iter().filter(|name| !named.contains(&name.as_str())).collect();
        assert!(unknown.is_empty(), "{fault:?}: errors name {unknown:?}, too");
    });
}

/// Runs `program` once for each of its steps and each kind of fault. Passes the steps named in the
/// errors to `check`.
#[track_caller]
fn each_step_fails<E: Into<Box<dyn StdError>>>(
    program: impl Fn() -> Result<(), E>,
    check: impl Fn(Fault, &BTreeSet<String>),
) {
    // The first run opens sockets that an existing handle keeps.
    program().map_err(Into::into).unwrap();
    let before = Snapshot::take();
    let before_quick = Snapshot::take_quick();
    program().map_err(Into::into).unwrap();
    nothing_left(&before, "without a fault");
    for fault in REFUSALS.map(Fault::Refused).into_iter().chain(UNANSWERED) {
        let mut said = BTreeSet::new();
        let mut step = 0;
        loop {
            arm(fault, step);
            let result = program().map_err(Into::into);
            let failed = disarm();
            let at = format!("{fault:?} at step {step}, {failed:?}, {result:?}");
            nothing_left(&before_quick, &at);
            match (result, failed) {
                (Ok(()), None) => break,
                (Ok(()), Some(_)) => {}
                (Err(error), _) => said.extend(step_named(fault, &at, &*error)),
            }
            step += 1;
        }
        // Compares the sysctls as well, which takes most of the time. A leftover of any step would
        // still be there.
        nothing_left(&before, &format!("{fault:?} at one of {step} steps"));
        check(fault, &said);
    }
}

#[track_caller]
fn nothing_left(before: &Snapshot, at: &str) {
    let left = before.left_after();
    assert!(left.is_empty(), "{at}: something is left behind:\n{}", left.join("\n"));
}

/// Returns the action and object of a netloom error, and asserts that the error names its reason.
fn step_named(fault: Fault, at: &str, error: &(dyn StdError + 'static)) -> Option<String> {
    let text = error.to_string();
    let words = match fault {
        Fault::Refused(errno) => format!("({errno:?})"),
        Fault::AnswerShort => "ends within a message".into(),
        _ => "no answer within 10s".into(),
    };
    // An example may fail with its own error, which is not checked here.
    let error = error.downcast_ref::<Error>()?;
    assert!(text.contains(&words), "{at}");
    assert!(!error.action().is_empty() && !error.object().is_empty(), "{at}");
    Some(without_numbers(&format!("{} {}", error.action(), error.shown_object())))
}

/// Replaces the kernel's numbers, which differ from run to run.
fn without_numbers(text: &str) -> String {
    if let Some((what, _)) =
        text.rsplit_once(" link ").filter(|(_, link)| link.parse::<u32>().is_ok())
    {
        return format!("{what} link N");
    }
    let mut plain = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
        let is_numbered =
            plain.ends_with('-') || plain.ends_with("of rule ") || plain.ends_with("of process ");
        let shown =
            if digits.len() > 4 || !digits.is_empty() && is_numbered { "N" } else { digits };
        plain.extend([shown, &word[digits.len()..]]);
    }
    plain
}

fn here() -> Netns {
    Netns::current().unwrap()
}

/// Creates `veth1` with an address and up, and its peer `veth2`. Waits until the kernel's
/// asynchronous work on them is done.
fn ground(host: &Netns) -> Owned<Veth> {
    let near = VethEnd::new("veth1").address("10.0.0.1/24").no_ipv6_address().up();
    let cable = VethPair::new(near, VethEnd::new("veth2").no_ipv6_address().up());
    let cable = cable.create(host).unwrap();
    settled(host);
    cable
}

/// Waits for the carrier, which the kernel sets up to a second late (`net/core/link_watch.c`), and
/// for the IPv6 multicast route, which follows the carrier.
fn settled(host: &Netns) {
    let has_ipv6 = std::path::Path::new("/proc/sys/net/ipv6").exists();
    support::eventually("the links are as they will be", || {
        let routes = host.routes().unwrap();
        let leads = |link: crate::LinkIndex, route: &netloom::RouteInfo| {
            route.destination.to_string() == "ff00::/8"
                && route.next_hops.iter().any(|hop| hop.link == Some(link))
        };
        host.links().unwrap().into_iter().filter(netloom::LinkInfo::is_up).all(|link| {
            link.is_loopback()
                || link.state == netloom::OperationalState::Up
                    && (!has_ipv6 || routes.iter().any(|route| leads(link.index, route)))
        })
    });
}
