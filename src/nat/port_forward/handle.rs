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

/// A published port that exists.
#[derive(Debug, Clone)]
pub struct PortForwardHandle {
    pub(super) netns: Netns,
    pub(super) mapping: Mapping,
    pub(super) flag: Flag,
    // Boxed: there may be thousands of held ones.
    pub(super) persistent: Option<Box<Persistent>>,
}

/// The identity of a mapping in this process: its place among those that one call created or
/// found, and whether it was not deleted by a clone of its handle.
#[derive(Debug, Clone)]
pub(super) struct Flag {
    exist: Arc<[AtomicBool]>,
    at: usize,
}

impl Flag {
    /// Returns the flags for this number of mappings.
    pub(super) fn many(count: usize) -> impl Iterator<Item = Self> {
        let exist: Arc<[AtomicBool]> = (0..count).map(|_| AtomicBool::new(true)).collect();
        (0..count).map(move |at| Self { exist: Arc::clone(&exist), at })
    }

    /// Returns a number that only clones have, too.
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

/// The identity of a persistent mapping, for every process: differs from that of an equal mapping
/// created earlier or later.
#[derive(Debug, Clone)]
pub(super) struct Persistent {
    pub(super) tag: Arc<str>,
    /// The number of its record.
    pub(super) number: u32,
    /// The place among the rows of the tag when it was last seen. A deletion of another row can
    /// change it.
    pub(super) place: u16,
    /// The cache in which it was created.
    pub(super) since: Option<Since>,
}

/// Two handles are equal if they name one mapping.
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

    /// Returns the local address of the port; `None` for all local addresses.
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

    /// Returns the index of the link that leads to the container.
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
