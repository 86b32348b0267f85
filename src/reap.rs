//! The objects that dead processes left: found and removed.

use std::fmt;

use crate::error::Error;
use crate::link::{self, Link};
use crate::nat;
use crate::netns::{Netns, Quoted};

/// An object that a process created, and left when it was killed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Leftover {
    /// A named namespace. Removing the name also ends the namespace, unless a process is inside.
    Namespace(Netns),
    /// The name of a file under `/run/netns` that no namespace is mounted on.
    Name(String),
    /// A link, in the namespace of its handle.
    Link(Link),
    /// The `route_localnet` setting of links in this namespace that have no [published
    /// ports](crate::PortForward) any more, with the table that protects 127.0.0.0/8.
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

/// The leftovers that were found, and the failures. From [`leftovers`].
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

    /// Returns the failures to look, such as a namespace that can't be entered.
    pub fn failures(&self) -> &[Error] {
        &self.failures
    }

    /// Removes the leftovers, after another check of each. Continues after a failure.
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
                // Gone, or another process's by now.
                Ok(false) => {}
                Err(error) => reaped.failures.push(error),
            }
        }
        reaped
    }
}

/// The leftovers that were removed, and the failures. From [`reap`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Reaped {
    /// The leftovers that were removed.
    pub removed: Vec<Leftover>,
    /// The failures to look or to remove.
    pub failures: Vec<Error>,
}

/// Finds the objects that dead processes created with netloom and left.
///
/// These are the names of namespaces, and links and loopback settings of published ports in this
/// namespace and in those with a name. The kernel deletes the rest with the process: anonymous
/// namespaces with their content, and NAT rules and published ports that are not persistent.
///
/// Never among them are:
/// - objects that were [kept](crate::Owned::keep), or are persistent:
///   [`persistent`](crate::persistent) lists the latter;
/// - links with a [group](crate::Bridge::group) of their own;
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
/// A process counts as alive while it, or a fork of it, holds a lock that the kernel releases with
/// the process. Process numbers play no part, so a reused number or another container's is no
/// problem. The lock of a name is out of reach of the programs inside the namespace. An
/// [adopted](crate::Owned::adopt) object belongs to the adopter.
///
/// # Errors
///
/// The calling thread's namespace or `/run/netns` can't be read. Failures to look elsewhere are in
/// [`Leftovers::failures`]. Named namespaces are entered, which takes `CAP_SYS_ADMIN`.
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
            // Deleted since the list was read.
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
            // Without a packet filter in the kernel, no port was published.
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
