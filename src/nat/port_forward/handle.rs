//! The handle of a published port.

use std::cmp::Reverse;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use nix::errno::Errno;

use super::builder::STOP;
use super::mapping::{Mapping, Mappings};
use super::{held, local, persistent};
use crate::error::{Cause, Error};
use crate::netns::Netns;
use crate::owned::Owned;
use crate::owned::sealed::Remove;
use crate::port::PortRange;
use crate::protocol::Protocol;

/// A published port that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortForwardHandle {
    pub(super) netns: Netns,
    pub(super) mapping: Mapping,
    /// Among those of the namespace's handle, never given twice; of a persistent one, what no
    /// other of its text has.
    pub(super) number: u64,
    /// Of a persistent one; a held one, of which there may be thousands, has no room for it.
    pub(super) kept: Option<Box<Kept>>,
}

/// What a persistent mapping is found by.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) tag: Arc<str>,
    /// Its place among those of its tag when it was seen; it moves when others go.
    pub(super) seen_at: u16,
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.tag == other.tag
    }
}

impl Eq for Kept {}

impl PortForwardHandle {
    /// The namespace whose port it is.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }

    /// Its protocol.
    pub fn protocol(&self) -> Protocol {
        self.mapping.protocol
    }

    /// The local address it is at; none for all of them.
    pub fn host_address(&self) -> Option<IpAddr> {
        self.mapping.host_address
    }

    /// The port, or ports, on this side.
    pub fn host_ports(&self) -> PortRange {
        self.mapping.host_ports
    }

    /// Its tag, where it is persistent.
    pub fn tag(&self) -> Option<&str> {
        self.kept.as_ref().map(|kept| &*kept.tag)
    }

    /// Whether it works still: what the kernel has of it is there, the link that leads to the container is,
    /// and that routes loopback addresses where the port is at one. A persistent one's elements and rules
    /// anybody can take away, as `nft flush ruleset` does; a held one's nobody can.
    ///
    /// # Errors
    ///
    /// Without `CAP_NET_ADMIN` it is [`is_permission_denied`](crate::Error::is_permission_denied).
    pub fn is_in_force(&self) -> Result<bool, Error> {
        let is_there = match &self.kept {
            None => held::is_there(self),
            Some(kept) => persistent::is_in_force(self, kept)?,
        };
        Ok(is_there && local::is_led_to(self)?)
    }

    /// The container's address.
    pub fn target(&self) -> IpAddr {
        self.mapping.target
    }

    /// The container's port, or ports.
    pub fn target_ports(&self) -> PortRange {
        self.mapping.target_ports
    }
}

/// As `docker port` has it: `0.0.0.0:8080->10.0.0.2:80/tcp`.
impl fmt::Display for PortForwardHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mapping.fmt(f)
    }
}

/// The mappings of owners.
pub(super) fn mappings(owned: &[Owned<PortForwardHandle>]) -> impl Mappings<'_> {
    owned.iter().map(|one| &one.mapping)
}

/// What is removed at once: an ordinary user's send buffer takes more.
const AT_ONCE: usize = 1000;

/// Removes those that are there, all of one namespace, and all held or none; whether it was all of them.
fn take_all(handles: &[&PortForwardHandle]) -> Result<bool, Error> {
    match handles {
        [] => Ok(true),
        [first, ..] if first.kept.is_none() => held::take_all(&first.netns, handles),
        [first, ..] => persistent::take_all(&first.netns, handles),
    }
}

/// Whether one transaction can remove them: a held one goes but once.
fn is_together(handles: &[&PortForwardHandle]) -> bool {
    let mut held: Vec<_> = handles.iter().filter(|handle| handle.kept.is_none()).collect();
    let is_alike = handles.windows(2).all(|pair| pair[0].netns == pair[1].netns);
    held.sort_unstable_by_key(|handle| handle.number);
    let is_twice = held.windows(2).any(|pair| pair[0].number == pair[1].number);
    is_alike && !is_twice && (held.is_empty() || held.len() == handles.len())
}

/// Its elements; with the last of a family, the table.
impl Remove for PortForwardHandle {
    fn remove(&self) -> Result<(), Error> {
        if take_all(&[self])? {
            Ok(())
        } else {
            Err(Cause::from(Errno::ENOENT).doing(STOP, self).in_namespace(&self.netns))
        }
    }

    /// Those of a namespace in few transactions; one by one where that can't be done.
    fn remove_all(handles: &[&Self]) -> Vec<Result<(), Error>> {
        // The last of a tag first: it takes the place of any other, and would have to be looked for.
        let mut in_turn = handles.to_vec();
        in_turn.sort_by_key(|handle| Reverse(handle.kept.as_ref().map(|kept| kept.seen_at)));
        if is_together(handles) && in_turn.chunks(AT_ONCE).all(|some| take_all(some).is_ok()) {
            // What was gone before is no failure.
            return handles.iter().map(|_| Ok(())).collect();
        }
        handles.iter().map(|handle| handle.remove()).collect()
    }
}
