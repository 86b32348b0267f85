//! Handles of published ports.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::mapping::Mapping;
use crate::link::LinkIndex;
use crate::netns::Netns;
use crate::port::PortRange;
use crate::protocol::Protocol;

/// A published port that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortForwardHandle {
    pub(super) netns: Netns,
    pub(super) mapping: Mapping,
    pub(super) identity: Identity,
}

/// The identity of a mapping: differs from that of an equal mapping created earlier or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    Held(Held),
    // Boxed: there may be thousands of held ones.
    Persistent(Box<Persistent>),
}

/// The index of a held mapping among those that one call created. The flag is true until the
/// mapping is deleted.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) exist: Arc<[AtomicBool]>,
    pub(super) at: usize,
}

impl Held {
    fn flag(&self) -> Option<&AtomicBool> {
        self.exist.get(self.at)
    }

    pub(super) fn exists(&self) -> bool {
        self.flag().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    pub(super) fn set_deleted(&self) {
        if let Some(flag) = self.flag() {
            flag.store(false, Ordering::Relaxed);
        }
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.exist, &other.exist) && self.at == other.at
    }
}

impl Eq for Held {}

#[derive(Debug, Clone)]
pub(super) struct Persistent {
    pub(super) tag: Arc<str>,
    /// The number of its record.
    pub(super) number: u32,
    /// The place among the rows of the tag when it was last seen. A deletion of another row can change it.
    pub(super) place: u16,
}

impl PartialEq for Persistent {
    fn eq(&self, other: &Self) -> bool {
        (&self.tag, self.number) == (&other.tag, other.number)
    }
}

impl Eq for Persistent {}

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
        match &self.identity {
            Identity::Held(_) => None,
            Identity::Persistent(persistent) => Some(&persistent.tag),
        }
    }
}

/// Formats the mapping like `docker port`: `0.0.0.0:8080->10.0.0.2:80/tcp`.
impl fmt::Display for PortForwardHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mapping.fmt(f)
    }
}
