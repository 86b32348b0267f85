//! Echo requests and their answers: the packet and the socket.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;

use super::enter::socket_inside;
use crate::error::Cause;
use crate::sys::random::random;
use crate::sys::socket::{
    self, AddressFamily, IPPROTO_ICMP, IPPROTO_ICMPV6, NewSocket, SockType, sockopt,
};

/// The default size of the data in an echo request, after its header of 8 bytes, as in ping(8).
pub(super) const DATA: usize = 56;
const HEADER: usize = 8;

const NET_RAW: &str = "this needs CAP_NET_RAW in the user namespace that owns the network namespace, or \
     a group within net.ipv4.ping_group_range there";

/// A socket for echo requests to one target: a raw socket or, if that is forbidden, the kernel's
/// own kind for pings (icmp(7)).
pub(super) struct EchoSocket {
    fd: OwnedFd,
    raw: bool,
    echo: Echo,
    buffer: Vec<u8>,
}

impl EchoSocket {
    /// Opens a socket in a namespace, for requests with this much data.
    pub(super) fn open(
        namespace: BorrowedFd<'_>,
        target: IpAddr,
        data: usize,
    ) -> Result<Self, Cause> {
        let (family, protocol) = match target {
            IpAddr::V4(_) => (AddressFamily::Inet, IPPROTO_ICMP),
            IpAddr::V6(_) => (AddressFamily::Inet6, IPPROTO_ICMPV6),
        };
        let open = |kind| socket_inside(namespace, NewSocket { family, kind, protocol });
        let is = |cause: &Cause, errno| cause.errno() == Some(errno);
        let (fd, raw) = match open(SockType::Raw) {
            Err(Cause::System(Errno::EPERM)) => match open(SockType::Datagram) {
                // Report the raw socket's EPERM, which says more than this EACCES.
                Err(cause) if is(&cause, Errno::EACCES) => {
                    return Err(Cause::Denied(Errno::EPERM, NET_RAW));
                }
                datagram => (datagram?, false),
            },
            raw => (raw?, true),
        };
        // A connected socket reports "unreachable" messages from the network as errors.
        match target {
            IpAddr::V4(_) => socket::setsockopt(&fd, sockopt::Ipv4RecvErr, &true)?,
            IpAddr::V6(_) => socket::setsockopt(&fd, sockopt::Ipv6RecvErr, &true)?,
        }
        socket::connect(&fd, SocketAddr::new(target, 0))?;
        // An IP header has 60 bytes at most.
        let buffer = vec![0; 60 + HEADER + data.max(2048)];
        Ok(Self { fd, raw, echo: Echo::new(target, data), buffer })
    }

    /// Sends the request with this number.
    pub(super) fn send(&self, sequence: u16) -> Result<(), Cause> {
        Ok(socket::send(&self.fd, &self.echo.packet(sequence))?)
    }

    /// Waits for an answer and returns its number. None if no answer came in time.
    pub(super) fn receive(&mut self, until: Instant) -> Result<Option<u16>, Cause> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            socket::set_timeout(&self.fd, sockopt::ReceiveTimeout, left)?;
            match socket::receive(&self.fd, &mut self.buffer) {
                Ok(length) => {
                    let datagram = self.buffer.get(..length).unwrap_or_default();
                    if let Some(sequence) = self.echo.answered_by(datagram, self.raw) {
                        return Ok(Some(sequence));
                    }
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// An echo request, and the fields that its answer must repeat.
struct Echo {
    ipv6: bool,
    identifier: [u8; 2],
    data: usize,
}

impl Echo {
    fn new(target: IpAddr, data: usize) -> Self {
        Self { ipv6: target.is_ipv6(), identifier: random(), data }
    }

    fn packet(&self, sequence: u16) -> Vec<u8> {
        const ICMP_ECHO: u8 = 8;
        const ICMPV6_ECHO_REQUEST: u8 = 128;
        let mut packet = vec![0x6e; HEADER + self.data];
        packet[0] = if self.ipv6 { ICMPV6_ECHO_REQUEST } else { ICMP_ECHO };
        packet[1] = 0;
        packet[2..4].copy_from_slice(&[0, 0]);
        packet[4..6].copy_from_slice(&self.identifier);
        packet[6..8].copy_from_slice(&sequence.to_be_bytes());
        if !self.ipv6 {
            // For IPv6 the kernel fills the checksum in.
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    }

    /// Returns the sequence number of the request that a datagram answers. `None` if the datagram
    /// is no answer to this socket's requests.
    fn answered_by(&self, datagram: &[u8], raw: bool) -> Option<u16> {
        const ICMP_ECHOREPLY: u8 = 0;
        const ICMPV6_ECHO_REPLY: u8 = 129;
        let kind = if self.ipv6 { ICMPV6_ECHO_REPLY } else { ICMP_ECHOREPLY };
        // A raw IPv4 socket delivers the IP header, too.
        let header = match datagram.first() {
            Some(first) if raw && !self.ipv6 => usize::from(first & 0x0f) * 4,
            _ => 0,
        };
        let &[found, code, _, _, i0, i1, s0, s1] = datagram.get(header..)?.first_chunk::<8>()?;
        // The kernel's ping socket sets the identifier, and delivers only matching answers.
        let is_ours = found == kind && code == 0 && (!raw || [i0, i1] == self.identifier);
        is_ours.then_some(u16::from_be_bytes([s0, s1]))
    }
}

/// Computes the Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let sum = bytes.chunks(2).fold(0u32, |sum, pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        sum + u32::from(u16::from_be_bytes([pair[0], low]))
    });
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_carries_its_checksum() {
        for data in [0, 1, 55, 56, 65_507] {
            let packet = Echo { ipv6: false, identifier: [0x12, 0x34], data }.packet(7);
            assert_eq!(checksum(&packet), 0);
            assert_eq!((packet.len(), &packet[..2]), (8 + data, &[8, 0][..]));
        }
    }

    #[test]
    fn only_the_answer_counts() {
        let echo = Echo { ipv6: true, identifier: [1, 2], data: 0 };
        assert_eq!(echo.answered_by(&[129, 0, 0, 0, 1, 2, 1, 1], true), Some(257));
        for other in [[128, 0, 0, 0, 1, 2, 0, 1], [129, 0, 0, 0, 1, 3, 0, 1]] {
            assert_eq!(echo.answered_by(&other, true), None);
        }
        assert_eq!(echo.answered_by(&[], true), None);
        let echo = Echo { ipv6: false, identifier: [1, 2], data: 0 };
        let mut datagram = vec![0x45; 20];
        datagram.extend([0, 0, 0, 0, 1, 2, 0, 1]);
        assert_eq!(echo.answered_by(&datagram, true), Some(1));
        assert_eq!(echo.answered_by(&datagram[..27], true), None);
    }
}
