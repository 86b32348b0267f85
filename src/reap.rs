//! What dead processes left, found and removed.

use std::fmt;

use crate::error::Error;
use crate::link::{self, Link};
use crate::nat;
use crate::netns::{Netns, Quoted};

/// Something that a process made, and left when it was killed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Leftover {
    /// A namespace's name, and the namespace unless somebody is still in it.
    Namespace(Netns),
    /// A file under `/run/netns` that was to become a name, and stands for nothing.
    Name(String),
    /// A link, in the namespace its handle says.
    Link(Link),
    /// Links of this namespace that have `route_localnet` on for [published ports](crate::PortForward) that are
    /// there no more, with the table that keeps others from 127.0.0.0/8 meanwhile.
    RouteLocalnet(Netns),
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(netns) => netns.fmt(f),
            Self::Name(name) => write!(f, "name {} without a namespace", Quoted(name)),
            Self::Link(link) => write!(f, "link {link}"),
            Self::RouteLocalnet(netns) => write!(f, "route_localnet in {netns}"),
        }
    }
}

/// What was found, and what could not be looked at. From [`leftovers`].
#[derive(Debug, Default)]
#[must_use = "finding removes nothing"]
pub struct Leftovers {
    found: Vec<Leftover>,
    failures: Vec<Error>,
}

impl Leftovers {
    /// What was found, names first.
    pub fn found(&self) -> &[Leftover] {
        &self.found
    }

    /// Where it was not possible to look: a namespace that can't be entered, say.
    pub fn failures(&self) -> &[Error] {
        &self.failures
    }

    /// Removes what was found, and nothing else: each is looked at once more. Goes on where one fails.
    pub fn remove(self) -> Reaped {
        let Self { found, failures } = self;
        let mut reaped = Reaped { removed: Vec::new(), failures };
        for leftover in found {
            let done = match &leftover {
                Leftover::Namespace(netns) => netns.remove_dead_name(),
                Leftover::Name(name) => Netns::remove_unused_name(name),
                Leftover::Link(link) => link::remove_orphan(link),
                Leftover::RouteLocalnet(netns) => nat::restore_loopback(netns),
            };
            match done {
                Ok(true) => reaped.removed.push(leftover),
                // Gone, or another's by now.
                Ok(false) => {}
                Err(error) => reaped.failures.push(error),
            }
        }
        reaped
    }
}

/// What was removed, and what could not be. From [`reap`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Reaped {
    /// What was there and is no more.
    pub removed: Vec<Leftover>,
    /// Each that failed, with the reason.
    pub failures: Vec<Error>,
}

/// Finds what processes that are dead by now made with netloom and left: namespaces with a name, and in
/// this namespace and in those that have a name links, and what published ports had changed of others.
///
/// The kernel cleans up the rest by itself: anonymous namespaces with all that is in them, and NAT rules and
/// published ports that are not [tagged](crate::NatRule::tagged). What was [kept](crate::Owned::keep), a link with a
/// [group](crate::Bridge::group) of its own, a link that somebody else moved to another namespace, what is
/// persistent by a tag, and what other programs made is never among them. What is persistent outlives its process on
/// purpose: [`persistent`](crate::persistent) lists it, whatever the tag.
///
/// ```
/// # netloom::sandbox::enter()?;
/// let left = netloom::leftovers()?;
/// for leftover in left.found() {
///     println!("{leftover}");
/// }
/// assert!(left.remove().failures.is_empty());
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// A process is alive as long as it, or a child forked from it, holds what the kernel gives to one
/// process at a time: neither a process number that was given anew nor one of another container is
/// taken for it. For a name that is a lock on its file, out of reach of what runs inside the namespace. What
/// was [adopted](crate::Owned::adopt) is the adopter's.
///
/// # Errors
///
/// Where the calling thread's namespace or `/run/netns` can't be read. What else can't be looked
/// at is told by [`Leftovers::failures`]: named namespaces are entered, which takes `CAP_SYS_ADMIN`.
pub fn leftovers() -> Result<Leftovers, Error> {
    let mut left = Leftovers::default();
    let here = Netns::current()?;
    let mut places = vec![here];
    for named in Netns::list()? {
        if named.id.is_none() {
            match Netns::is_name_of_the_dead(&named.name) {
                Ok(true) => left.found.push(Leftover::Name(named.name)),
                Ok(false) => {}
                Err(error) => left.failures.push(error),
            }
            continue;
        }
        let is_dead = |netns| Ok((netns, Netns::is_name_of_the_dead(&named.name)?));
        match Netns::open(&named.name).and_then(is_dead) {
            Ok((netns, true)) => left.found.push(Leftover::Namespace(netns)),
            Ok((netns, false)) if !places.contains(&netns) => places.push(netns),
            Ok(_) => {}
            // Gone in the meantime.
            Err(error) if error.is_not_found() => {}
            Err(error) => left.failures.push(error),
        }
    }
    for netns in &places {
        match link::orphans(netns) {
            Ok(links) => left.found.extend(links.into_iter().map(Leftover::Link)),
            Err(error) => left.failures.push(error),
        }
    }
    for netns in places {
        match nat::is_loopback_left_over(&netns) {
            Ok(true) => left.found.push(Leftover::RouteLocalnet(netns)),
            Ok(false) => {}
            // No port was published where the kernel has no packet filter.
            Err(error) if error.is_unsupported() => {}
            Err(error) => left.failures.push(error),
        }
    }
    Ok(left)
}

/// Removes what processes that are dead by now made with netloom and left: [`leftovers`], and
/// [`Leftovers::remove`] of all. What is persistent stays: [`persistent`](crate::persistent) lists it.
///
/// # Errors
///
/// As [`leftovers`]. What can't be removed is told in [`Reaped::failures`].
pub fn reap() -> Result<Reaped, Error> {
    Ok(leftovers()?.remove())
}
