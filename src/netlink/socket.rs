//! One netlink socket: opened in a namespace, bound, with a deadline on every wait.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use log::trace;
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, getsockopt, recv, send, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::error::Cause;

/// How long an answer may take. The kernel answers within the request's own system call, so this is
/// for a kernel that lost one, not for a slow one.
const DEADLINE: Duration = Duration::from_secs(10);

/// The kernel sizes the parts of a dump by the buffer they are read into, up to this.
const BUFFER: usize = 32 * 1024;

/// What the kernel takes off a send buffer before it looks whether a datagram fits (`af_netlink.c`: 32).
const SLACK: usize = 64;

/// Which of the kernel's netlink families a socket talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Links, addresses, routes, rules, neighbours.
    Route,
    /// `nf_tables` and conntrack.
    Netfilter,
}

/// A socket with its receive buffer. Never shared: an exchange has it for itself.
#[derive(Debug)]
pub(crate) struct Socket {
    inner: netlink_sys::Socket,
    port: u32,
    sequence: u32,
    buffer: Vec<u8>,
}

/// What a wait for the kernel brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// A whole datagram of this length is in the buffer.
    Datagram(usize),
    /// A datagram was longer than the buffer and is lost; the buffer has grown to fit the next.
    Truncated,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace, where it stays for good.
    pub(crate) fn open(protocol: Protocol) -> Result<Self, Cause> {
        let number = match protocol {
            Protocol::Route => NETLINK_ROUTE,
            Protocol::Netfilter => NETLINK_NETFILTER,
        };
        let mut inner = netlink_sys::Socket::new(number)?;
        let port = inner.bind_auto()?.port_number();
        inner.set_ext_ack(true)?;
        inner.set_cap_ack(true)?;
        if protocol == Protocol::Route {
            inner.set_netlink_get_strict_chk(true)?;
        }
        let socket = Self { inner, port, sequence: 0, buffer: Vec::new() };
        let seconds = i64::try_from(DEADLINE.as_secs()).unwrap_or(i64::MAX);
        setsockopt(&socket.fd(), sockopt::ReceiveTimeout, &TimeVal::seconds(seconds))?;
        Ok(socket)
    }

    /// The kernel's name for this socket, unique in its namespace among sockets of its family.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    pub(super) fn deadline() -> Deadline {
        Deadline(Instant::now() + DEADLINE)
    }

    /// Takes `count` sequence numbers and returns the first.
    pub(super) fn take_sequences(&mut self, count: usize) -> u32 {
        let first = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(u32::try_from(count).unwrap_or(u32::MAX));
        first
    }

    pub(super) fn send(&self, bytes: &[u8]) -> Result<(), Cause> {
        loop {
            match send(self.inner.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Makes room for a datagram of `sent` bytes, and for answers of `answered` bytes. Without privilege
    /// the kernel gives up to twice `net.core.wmem_max` and `rmem_max`; a datagram that does not fit then
    /// is refused when it is sent (EMSGSIZE).
    pub(super) fn make_room(&mut self, sent: usize, answered: usize) -> Result<(), Cause> {
        let fd = self.fd();
        // The kernel gives twice what it is asked for, as it counts its own bookkeeping.
        if getsockopt(&fd, sockopt::SndBuf)? < sent.saturating_add(SLACK) {
            let wanted = sent.saturating_add(SLACK) / 2 + 1;
            if setsockopt(&fd, sockopt::SndBufForce, &wanted).is_err() {
                setsockopt(&fd, sockopt::SndBuf, &wanted)?;
            }
        }
        if getsockopt(&fd, sockopt::RcvBuf)? < answered {
            let wanted = answered / 2 + 1;
            if setsockopt(&fd, sockopt::RcvBufForce, &wanted).is_err() {
                setsockopt(&fd, sockopt::RcvBuf, &wanted)?;
            }
        }
        Ok(())
    }

    /// Waits for the next datagram, until the deadline.
    pub(super) fn receive(&mut self, deadline: &Deadline) -> Result<Received, Cause> {
        loop {
            match self.receive_with(MsgFlags::MSG_TRUNC) {
                Ok(received) => return Ok(received),
                Err(Errno::EINTR | Errno::EAGAIN) if !deadline.passed() => {}
                Err(Errno::EINTR | Errno::EAGAIN) => return Err(Cause::TimedOut(DEADLINE)),
                Err(Errno::ENOBUFS) => return Err(Cause::Overrun),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Throws away whatever is queued, so that the socket is as good as new.
    pub(super) fn drain(&mut self) {
        loop {
            match self.receive_with(MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT) {
                Ok(_) | Err(Errno::EINTR | Errno::ENOBUFS) => {}
                Err(_) => return,
            }
        }
    }

    fn receive_with(&mut self, flags: MsgFlags) -> Result<Received, Errno> {
        if self.buffer.is_empty() {
            self.buffer.resize(BUFFER, 0);
        }
        let length = recv(self.inner.as_raw_fd(), &mut self.buffer, flags)?;
        if length <= self.buffer.len() {
            return Ok(Received::Datagram(length));
        }
        trace!("a datagram of {length} bytes did not fit {}", self.buffer.len());
        self.buffer.resize(length.next_power_of_two(), 0);
        Ok(Received::Truncated)
    }

    /// The datagram received last.
    pub(super) fn datagram(&self, length: usize) -> &[u8] {
        self.buffer.get(..length).unwrap_or_default()
    }

    fn fd(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.inner.as_fd()
    }
}

/// When a wait ends, by the clock that never jumps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn passed(&self) -> bool {
        Instant::now() >= self.0
    }
}
