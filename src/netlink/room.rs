//! The room a socket has: for the datagram that is read, and in the kernel for those on their way.

use std::os::fd::AsFd;

use log::trace;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};

use crate::error::Cause;

/// The kernel sizes the parts of a dump by the buffer they are read into, up to this.
pub(super) const BUFFER: usize = 32 * 1024;

/// What the kernel takes off a send buffer before it looks whether a datagram fits (`af_netlink.c`: 32).
const SLACK: usize = 64;

/// What a wait for the kernel brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// A whole datagram of this length is in the buffer.
    Datagram(usize),
    /// A datagram was longer than the buffer and is lost; the buffer has grown to fit the next.
    Truncated,
}

/// Where datagrams are received: nothing until the first, and larger after one that did not fit.
#[derive(Debug, Default)]
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    /// What the next datagram is received into.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.0.is_empty() {
            self.0.resize(BUFFER, 0);
        }
        &mut self.0
    }

    /// A datagram of this length came, if it fitted.
    pub(super) fn received(&mut self, length: usize) -> Received {
        if length <= self.0.len() {
            return Received::Datagram(length);
        }
        trace!("a datagram of {length} bytes did not fit {}", self.0.len());
        self.0.resize(length.next_power_of_two(), 0);
        Received::Truncated
    }

    /// The datagram received last.
    pub(super) fn datagram(&self, length: usize) -> &[u8] {
        self.0.get(..length).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn of(length: usize) -> Self {
        Self(vec![0; length])
    }
}

/// Makes room in the kernel for a datagram of `sent` bytes, and for answers of `answered` bytes. Without privilege
/// it gives up to twice `net.core.wmem_max` and `rmem_max`; a datagram that does not fit then is refused
/// when it is sent (EMSGSIZE).
pub(super) fn in_the_kernel(socket: &impl AsFd, sent: usize, answered: usize) -> Result<(), Cause> {
    // The kernel gives twice what it is asked for, as it counts its own bookkeeping.
    if sent != 0 && getsockopt(socket, sockopt::SndBuf)? < sent.saturating_add(SLACK) {
        let wanted = sent.saturating_add(SLACK) / 2 + 1;
        if setsockopt(socket, sockopt::SndBufForce, &wanted).is_err() {
            setsockopt(socket, sockopt::SndBuf, &wanted)?;
        }
    }
    if getsockopt(socket, sockopt::RcvBuf)? < answered {
        let wanted = answered / 2 + 1;
        if setsockopt(socket, sockopt::RcvBufForce, &wanted).is_err() {
            setsockopt(socket, sockopt::RcvBuf, &wanted)?;
        }
    }
    Ok(())
}
