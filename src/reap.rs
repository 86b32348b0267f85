//! The search for objects that dead processes left, and their removal.

use std::fmt;

use crate::error::Error;
use crate::link::{self, Link};
use crate::nat;
use crate::netns::{Netns, Quoted};

/// An object that a process created and left behind when it was killed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Leftover {
    /// A named namespace. Removing the name also ends the namespace, unless a process is inside.
    Namespace(Netns),
    /// The name of a file under `/run/netns` that no namespace is mounted on.
    Name(String),
    /// A link.
    Link(Link),
    /// The sysctl `route_localnet` of links in this namespace that no longer have [published
    /// ports](crate::PortForward), and the table that protects 127.0.0.0/8.
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

/// The leftovers that [`leftovers`] found, and the failures of the search.
#[derive(Debug, Default)]
#[must_use = "finding removes nothing"]
pub struct Leftovers {
    found: Vec<Leftover>,
    failures: Vec<Error>,
}

impl Leftovers {
    /// Returns the leftovers, names first.
    pub fn found(&self) -> &[Leftover] {
        &self.found
    }

    /// Returns the failures of the search, for example a namespace that cannot be entered.
    pub fn failures(&self) -> &[Error] {
        &self.failures
    }

    /// Removes the leftovers. Checks each one again before, and continues after a failure.
    pub fn remove(self) -> Reaped {
        let Self { found, failures } = self;
        let mut reaped = Reaped { removed: Vec::new(), failures };
        for leftover in found {
            let done = match &leftover {
                Leftover::Namespace(netns) => netns.remove_orphaned_name(),
                Leftover::Name(name) => Netns::remove_unused_name(name),
                Leftover::Link(link) => link::remove_orphan(link),
                Leftover::RouteLocalnet(netns) => nat::restore_loopback(netns),
            };
            match done {
                Ok(true) => reaped.removed.push(leftover),
                // The leftover is gone, or belongs to a living process now.
                Ok(false) => {}
                Err(error) => reaped.failures.push(error),
            }
        }
        reaped
    }
}

/// The leftovers that [`reap`] removed, and the failures.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reaped {
    /// The leftovers that were removed.
    pub removed: Vec<Leftover>,
    /// The failures of the search and of the removal.
    pub failures: Vec<Error>,
}

/// Finds the objects that dead processes created with netloom and left.
///
/// The search covers the names of namespaces, and links and `route_localnet` settings in the
/// calling thread's namespace and in all named ones. The kernel itself deletes the rest with the
/// process: anonymous namespaces with their content, and NAT rules and published ports that are not
/// persistent.
///
/// The search never returns:
/// - objects that were [kept](crate::Owned::keep), or are persistent:
///   [`persistent`](crate::persistent) lists persistent objects;
/// - links for which the program chose a [group](crate::Bridge::group);
/// - links that another program moved to another namespace;
/// - objects of other programs.
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
/// A process counts as alive as long as it, or a fork of it, holds a lock that the kernel releases
/// when the process ends. Process ids are not used, so reused ids and the ids of other containers
/// do no harm. Programs inside a namespace cannot reach the lock of its name. An
/// [adopted](crate::Owned::adopt) object belongs to the process that adopted it.
///
/// # Errors
///
/// The calling thread's namespace or `/run/netns` can't be read. Other failures of the search are
/// in [`Leftovers::failures`]. Entering named namespaces requires `CAP_SYS_ADMIN`.
pub fn leftovers() -> Result<Leftovers, Error> {
    let mut left = Leftovers::default();
    let here = Netns::current()?;
    let mut places = vec![here];
    for named in Netns::list()? {
        if named.id.is_none() {
            match Netns::is_orphaned_name(&named.name) {
                Ok(true) => left.found.push(Leftover::Name(named.name)),
                Ok(false) => {}
                Err(error) => left.failures.push(error),
            }
            continue;
        }
        let is_dead = |netns| Ok((netns, Netns::is_orphaned_name(&named.name)?));
        match Netns::open(&named.name).and_then(is_dead) {
            Ok((netns, true)) => left.found.push(Leftover::Namespace(netns)),
            Ok((netns, false)) if !places.contains(&netns) => places.push(netns),
            Ok(_) => {}
            // Another program deleted the name after the directory was read.
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
            // A kernel without `nf_tables` has no published ports.
            Err(error) if error.is_unsupported() => {}
            Err(error) => left.failures.push(error),
        }
    }
    Ok(left)
}

/// Removes the objects that dead processes created with netloom and left: [`leftovers`] and
/// [`Leftovers::remove`]. Persistent objects stay: [`persistent`](crate::persistent) lists them.
///
/// # Errors
///
/// The errors of [`leftovers`]. Failures to remove are in [`Reaped::failures`].
pub fn reap() -> Result<Reaped, Error> {
    Ok(leftovers()?.remove())
}
