//! A socket that receives the kernel's notifications. It asks for nothing, so that its queue holds
//! notifications alone.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::room::{Buffer, Received};
use super::socket::KERNEL;
use crate::error::{Cause, NET_ADMIN, takes};
use crate::fault;
use crate::sys;
use crate::sys::socket::{MsgFlags, getsockopt, setsockopt, sockopt};
use crate::wire::message::{Message, NLMSG_OVERRUN, messages};

/// A socket that is a member of multicast groups.
#[derive(Debug)]
pub(crate) struct Subscription {
    inner: netlink_sys::Socket,
    buffer: Buffer,
    /// The bytes of the kernel's queue, its own bookkeeping included.
    room: usize,
}

/// The outcome of a look at the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A datagram of this length was read.
    Datagram(usize),
    /// The queue is empty.
    Nothing,
    /// The kernel dropped notifications, because the queue was full. It drops further ones in
    /// silence until the queue is empty (`NETLINK_S_CONGESTED` in `net/netlink/af_netlink.c`).
    Overflow,
}

impl Subscription {
    /// Joins groups with a socket that was opened in any namespace. `room` is the size of the
    /// queue in bytes.
    ///
    /// # Errors
    ///
    /// `EPERM` for a group that takes `CAP_NET_ADMIN`.
    pub(crate) fn join(socket: OwnedFd, groups: &[u32], room: usize) -> Result<Self, Cause> {
        let mut inner: netlink_sys::Socket = sys::taken_over(socket);
        fault::system_call("bind")?;
        inner.bind_auto()?;
        // The kernel doubles the requested size, because it counts its own overhead.
        let half = room / 2;
        if setsockopt(&inner, sockopt::RcvBufForce, &half).is_err() {
            setsockopt(&inner, sockopt::RcvBuf, &half)?;
        }
        let room = getsockopt(&inner, sockopt::RcvBuf)?;
        for &group in groups {
            fault::system_call("setsockopt")?;
            inner.add_membership(group).map_err(|error| {
                let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
                takes(NET_ADMIN)(errno)
            })?;
        }
        Ok(Self { inner, buffer: Buffer::default(), room })
    }

    /// Reads a datagram without waiting for one.
    pub(crate) fn receive(&mut self) -> Result<Heard, Cause> {
        fault::system_call("recv")?;
        let flags = MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
        loop {
            let received = self.inner.recv_from(&mut self.buffer.space(), flags.bits());
            let (length, sender) = match received {
                Ok(received) => received,
                Err(error) => match error.raw_os_error().map_or(Errno::EIO, Errno::from_raw) {
                    Errno::EINTR => continue,
                    Errno::EAGAIN => return Ok(Heard::Nothing),
                    Errno::ENOBUFS => return Ok(Heard::Overflow),
                    errno => return Err(Cause::Unread(errno)),
                },
            };
            if sender.port_number() != KERNEL {
                // Another process may send to any socket of the namespace.
                continue;
            }
            return Ok(match self.buffer.received(length) {
                Received::Datagram(length) => Heard::Datagram(length),
                Received::Truncated => Heard::Overflow,
            });
        }
    }

    /// Discards all queued notifications. From then on the kernel reports the next overflow.
    pub(crate) fn discard(&mut self) -> Result<(), Cause> {
        self.drain(|_| ()).map(drop)
    }

    /// Reads all notifications that were queued at the call, and perhaps later ones. Returns
    /// whether none was dropped.
    pub(crate) fn drain(&mut self, mut visit: impl FnMut(Message<'_>)) -> Result<bool, Cause> {
        let (mut bytes, mut whole) = (0, true);
        // The queue counts more than the bytes of its datagrams.
        while bytes <= self.room {
            match self.receive()? {
                Heard::Datagram(length) => {
                    bytes += length;
                    self.datagram(length).for_each(&mut visit);
                }
                Heard::Nothing => break,
                Heard::Overflow => whole = false,
            }
        }
        Ok(whole)
    }

    /// The messages of the datagram read last.
    pub(crate) fn datagram(&self, length: usize) -> impl Iterator<Item = Message<'_>> {
        messages(self.buffer.datagram(length)).filter(|message| message.kind > NLMSG_OVERRUN)
    }
}

impl AsFd for Subscription {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}
