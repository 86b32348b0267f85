//! Handles of published ports.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::mapping::Mapping;
use super::state::Since;
use crate::link::LinkIndex;
use crate::netns::Netns;
use crate::port::PortRange;
use crate::protocol::Protocol;

/// The handle of a published port.
#[derive(Debug, Clone)]
pub struct PortForwardHandle {
    pub(super) netns: Netns,
    pub(super) mapping: Mapping,
    pub(super) flag: Flag,
    // Boxed to save memory: there may be thousands of held ports, which have no `Persistent`.
    pub(super) persistent: Option<Box<Persistent>>,
}

/// The identity of a mapping in this process, and whether the mapping still exists. The clones of a
/// handle share both.
#[derive(Debug, Clone)]
pub(super) struct Flag {
    exist: Arc<[AtomicBool]>,
    at: usize,
}

impl Flag {
    /// Creates the flags of the mappings that one call created or found.
    pub(super) fn many(count: usize) -> impl Iterator<Item = Self> {
        let exist: Arc<[AtomicBool]> = (0..count).map(|_| AtomicBool::new(true)).collect();
        (0..count).map(move |at| Self { exist: Arc::clone(&exist), at })
    }

    /// Returns a number that only the clones of this flag share.
    pub(super) fn number(&self) -> (u128, usize) {
        (self.exist.as_ptr() as usize as u128, self.at)
    }

    pub(super) fn exists(&self) -> bool {
        self.exist.get(self.at).is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    pub(super) fn set_deleted(&self) {
        if let Some(flag) = self.exist.get(self.at) {
            flag.store(false, Ordering::Relaxed);
        }
    }
}

/// The identity of a persistent mapping for all processes. It differs from the identity of an equal
/// mapping that was created at another time.
#[derive(Debug, Clone)]
pub(super) struct Persistent {
    pub(super) tag: Arc<str>,
    /// The number in the mapping's [`Record`](super::record::Record).
    pub(super) number: u32,
    /// The last known row of the mapping, among the rows of its tag. If another row is deleted,
    /// this row may move.
    pub(super) place: u16,
    /// The start of the cache at the creation of the mapping.
    pub(super) since: Option<Since>,
}

/// Two handles are equal if they identify the same mapping.
impl PartialEq for PortForwardHandle {
    fn eq(&self, other: &Self) -> bool {
        let identity = |one: &Self| match &one.persistent {
            Some(persistent) => (Some((Arc::clone(&persistent.tag), persistent.number)), None),
            None => (None, Some(one.flag.number())),
        };
        (&self.netns, &self.mapping) == (&other.netns, &other.mapping)
            && identity(self) == identity(other)
    }
}

impl Eq for PortForwardHandle {}

impl PortForwardHandle {
    /// Returns the namespace whose port is published.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }

    /// Returns the protocol.
    pub fn protocol(&self) -> Protocol {
        self.mapping.protocol
    }

    /// Returns the local address of the port, or `None` if the port is published at all local
    /// addresses.
    pub fn host_address(&self) -> Option<IpAddr> {
        self.mapping.host_address
    }

    /// Returns the published ports.
    pub fn host_ports(&self) -> PortRange {
        self.mapping.host_ports
    }

    /// Returns the container's address.
    pub fn target(&self) -> IpAddr {
        self.mapping.target
    }

    /// Returns the container's ports.
    pub fn target_ports(&self) -> PortRange {
        self.mapping.target_ports
    }

    /// Returns the index of the link to the container.
    pub fn link_index(&self) -> LinkIndex {
        self.mapping.link.into()
    }

    /// Returns the tag of a persistent port.
    pub fn tag(&self) -> Option<&str> {
        self.persistent.as_ref().map(|persistent| &*persistent.tag)
    }
}

/// Formats the mapping like `docker port`: `0.0.0.0:8080->10.0.0.2:80/tcp`.
impl fmt::Display for PortForwardHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mapping.fmt(f)
    }
}
