//! The handle of a published port.

use std::fmt;
use std::net::IpAddr;

use super::builder::PortForward;
use super::held;
use crate::error::Error;
use crate::netns::Netns;
use crate::owned::sealed::Remove;
use crate::port::PortRange;
use crate::protocol::Protocol;

/// A published port that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortForwardHandle {
    pub(super) netns: Netns,
    pub(super) forward: PortForward,
    pub(super) target: IpAddr,
    /// Among those of the namespace's handle, never given twice.
    pub(super) number: u64,
}

impl PortForwardHandle {
    /// The namespace whose port it is.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }

    /// Its protocol.
    pub fn protocol(&self) -> Protocol {
        self.forward.protocol
    }

    /// The local address it is at; none for all of them.
    pub fn host_address(&self) -> Option<IpAddr> {
        self.forward.host_address
    }

    /// The port, or ports, on this side.
    pub fn host_ports(&self) -> PortRange {
        self.forward.host_ports
    }

    /// The container's address.
    pub fn target(&self) -> IpAddr {
        self.target
    }

    /// The container's port, or ports.
    pub fn target_ports(&self) -> PortRange {
        self.forward.target_ports.unwrap_or(self.forward.host_ports)
    }
}

/// As `docker port` has it: `0.0.0.0:8080->10.0.0.2:80/tcp`.
impl fmt::Display for PortForwardHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.forward.fmt(f)
    }
}

/// Its elements; with the last of a family, the table.
impl Remove for PortForwardHandle {
    fn remove(&self) -> Result<(), Error> {
        held::remove(self)
    }
}
