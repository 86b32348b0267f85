//! The buffers of a socket: the receive buffer for one datagram, and the kernel's buffers for
//! queued datagrams.

use std::os::fd::AsFd;

use log::trace;

use crate::error::Cause;
use crate::sys::socket::{getsockopt, setsockopt, sockopt};

/// The initial size of the receive buffer. The kernel makes each part of a dump as long as the
/// buffer, up to this size.
pub(super) const BUFFER: usize = 32 * 1024;

/// The bytes of a send buffer that the kernel leaves unused (`af_netlink.c`: 32).
const SLACK: usize = 64;

/// The outcome of a receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// A whole datagram of this length is in the buffer.
    Datagram(usize),
    /// A datagram was longer than the buffer and is lost; the buffer has grown to fit the next.
    Truncated,
}

/// The receive buffer. It is allocated for the first datagram, and grows after a datagram that did
/// not fit.
#[derive(Debug, Default)]
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    /// Returns the buffer, to receive the next datagram into.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.0.is_empty() {
            self.0.resize(BUFFER, 0);
        }
        &mut self.0
    }

    /// Grows the buffer if the received datagram was longer.
    pub(super) fn received(&mut self, length: usize) -> Received {
        if length <= self.0.len() {
            return Received::Datagram(length);
        }
        trace!("a datagram of {length} bytes did not fit {}", self.0.len());
        self.0.resize(length.next_power_of_two(), 0);
        Received::Truncated
    }

    /// Returns the datagram received last.
    pub(super) fn datagram(&self, length: usize) -> &[u8] {
        self.0.get(..length).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn of(length: usize) -> Self {
        Self(vec![0; length])
    }
}

/// Enlarges the kernel's buffers for a datagram of `sent` bytes and answers of `answered` bytes.
/// Without privilege the kernel allows up to twice `net.core.wmem_max` and `net.core.rmem_max`.
/// Sending a datagram that still does not fit fails with `EMSGSIZE`.
pub(super) fn in_the_kernel(socket: &impl AsFd, sent: usize, answered: usize) -> Result<(), Cause> {
    // The kernel doubles the requested size, because it counts its own overhead.
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
