//! One echo request out of a namespace, and its answer.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, connect,
    recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use super::enter::inside;
use super::open::Netns;
use crate::error::{Cause, Error};
use crate::input::{FirstRejected, Input};

/// An echo request to be sent: is that address there, and how far is it.
///
/// Replaces `ping -c 1 ADDRESS`, IPv4 and IPv6.
///
/// ```
/// use netloom::{Namespace, Ping};
/// # netloom::sandbox::enter()?;
///
/// let red = Namespace::anonymous().create()?;
/// red.link("lo")?.set_up()?;
/// let reply = Ping::new("127.0.0.1").send(&red)?;
/// assert!(reply.time.as_secs() < 1);
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: icmp(7), RFC 792, RFC 4443.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `send`"]
pub struct Ping {
    target: Option<IpAddr>,
    timeout: Duration,
    rejected: FirstRejected,
}

/// The answer to an echo request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EchoReply {
    /// Who answered.
    pub from: IpAddr,
    /// The round-trip time.
    pub time: Duration,
}

impl Ping {
    /// To this address.
    pub fn new(target: impl Input<IpAddr>) -> Self {
        let mut rejected = FirstRejected::default();
        let target = rejected.read("new", target);
        Self { target, timeout: Duration::from_secs(2), rejected }
    }

    /// How long to wait for the answer. Default: 2 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends it out of a namespace and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`is_timed_out`](Error::is_timed_out) where none came; `ENETUNREACH` without a route,
    /// `EHOSTUNREACH` where the network says so or no neighbour answers. It needs `CAP_NET_RAW`, or a
    /// group within `net.ipv4.ping_group_range`.
    #[doc(alias("ICMP_ECHO", "ICMPV6_ECHO_REQUEST"))]
    pub fn send(&self, netns: &Netns) -> Result<EchoReply, Error> {
        const ACTION: &str = "ping";
        self.rejected.check(ACTION, "an address")?;
        let Some(target) = self.target else {
            return Err(Error::invalid(ACTION, "an address", "it has no value"));
        };
        let echo = || {
            let socket = inside(netns.fd(), || EchoSocket::open(target))??;
            socket.exchange(target, self.timeout)
        };
        echo().map_err(|cause| cause.doing(ACTION, target).in_namespace(netns))
    }
}

impl Netns {
    /// Pings an address once and returns the round-trip time: [`Ping`] with its defaults.
    ///
    /// # Errors
    ///
    /// As [`Ping::send`].
    pub fn ping(&self, target: impl Input<IpAddr>) -> Result<Duration, Error> {
        Ok(Ping::new(target).send(self)?.time)
    }
}

/// A socket for echo requests: a raw one, or where that is forbidden the kernel's own for pings.
struct EchoSocket {
    fd: OwnedFd,
    raw: bool,
}

const SIZE: usize = 64;

impl EchoSocket {
    fn open(target: IpAddr) -> Result<Self, Cause> {
        let (family, protocol) = match target {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let open = |kind| socket(family, kind, SockFlag::SOCK_CLOEXEC, protocol);
        let (fd, raw) = match open(SockType::Raw) {
            // Where that is forbidden too, the raw socket's EPERM says more than its EACCES.
            Err(Errno::EPERM) => (open(SockType::Datagram).or(Err(Errno::EPERM))?, false),
            raw => (raw?, true),
        };
        // So that "unreachable" from the network is an error, not silence.
        match target {
            IpAddr::V4(address) => {
                setsockopt(&fd, sockopt::Ipv4RecvErr, &true)?;
                connect(
                    fd.as_raw_fd(),
                    &SockaddrIn::from(std::net::SocketAddrV4::new(address, 0)),
                )?;
            }
            IpAddr::V6(address) => {
                setsockopt(&fd, sockopt::Ipv6RecvErr, &true)?;
                let address = std::net::SocketAddrV6::new(address, 0, 0, 0);
                connect(fd.as_raw_fd(), &SockaddrIn6::from(address))?;
            }
        }
        Ok(Self { fd, raw })
    }

    fn exchange(&self, target: IpAddr, timeout: Duration) -> Result<EchoReply, Cause> {
        let request = Echo::new(target);
        let start = Instant::now();
        send(self.fd.as_raw_fd(), &request.packet(), MsgFlags::empty())?;
        let mut buffer = [0; 2048];
        loop {
            let left = timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero());
            let left = left.ok_or(Cause::TimedOut(timeout))?;
            setsockopt(&self.fd, sockopt::ReceiveTimeout, &time_value(left))?;
            match recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => {
                    let time = start.elapsed();
                    if request.is_answered_by(buffer.get(..length).unwrap_or_default(), self.raw) {
                        return Ok(EchoReply { from: target, time });
                    }
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// At least a microsecond: zero would be for ever.
fn time_value(duration: Duration) -> TimeVal {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    TimeVal::new(seconds, i64::from(duration.subsec_micros().max(1)))
}

/// An echo request: what its answer has to carry.
struct Echo {
    ipv6: bool,
    identifier: [u8; 2],
}

const SEQUENCE: [u8; 2] = [0, 1];

impl Echo {
    fn new(target: IpAddr) -> Self {
        use std::hash::{BuildHasher, RandomState};
        let [high, low, ..] = RandomState::new().hash_one(target).to_ne_bytes();
        Self { ipv6: target.is_ipv6(), identifier: [high, low] }
    }

    fn packet(&self) -> [u8; SIZE] {
        const ICMP_ECHO: u8 = 8;
        const ICMPV6_ECHO_REQUEST: u8 = 128;
        let mut packet = [0x6e; SIZE];
        packet[0] = if self.ipv6 { ICMPV6_ECHO_REQUEST } else { ICMP_ECHO };
        packet[1] = 0;
        packet[2..4].copy_from_slice(&[0, 0]);
        packet[4..6].copy_from_slice(&self.identifier);
        packet[6..8].copy_from_slice(&SEQUENCE);
        if !self.ipv6 {
            // For IPv6 the kernel fills it in.
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    }

    fn is_answered_by(&self, datagram: &[u8], raw: bool) -> bool {
        const ICMP_ECHOREPLY: u8 = 0;
        const ICMPV6_ECHO_REPLY: u8 = 129;
        let kind = if self.ipv6 { ICMPV6_ECHO_REPLY } else { ICMP_ECHOREPLY };
        // A raw IPv4 socket gives the IP header, too.
        let header = match datagram.first() {
            Some(first) if raw && !self.ipv6 => usize::from(first & 0x0f) * 4,
            _ => 0,
        };
        let Some(&[found, 0, _, _, i0, i1, s0, s1]) =
            datagram.get(header..).and_then(<[u8]>::first_chunk::<8>)
        else {
            return false;
        };
        // The kernel's own socket for pings sets the identifier and lets only its own answers in.
        found == kind && [s0, s1] == SEQUENCE && (!raw || [i0, i1] == self.identifier)
    }
}

/// The Internet checksum (RFC 1071).
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
        let packet = Echo { ipv6: false, identifier: [0x12, 0x34] }.packet();
        assert_eq!(checksum(&packet), 0);
        assert_eq!(packet[..2], [8, 0]);
    }

    #[test]
    fn only_the_answer_counts() {
        let echo = Echo { ipv6: true, identifier: [1, 2] };
        assert!(echo.is_answered_by(&[129, 0, 0, 0, 1, 2, 0, 1], true));
        for other in [[128, 0, 0, 0, 1, 2, 0, 1], [129, 0, 0, 0, 1, 3, 0, 1]] {
            assert!(!echo.is_answered_by(&other, true));
        }
        assert!(!echo.is_answered_by(&[], true));
        let echo = Echo { ipv6: false, identifier: [1, 2] };
        let mut datagram = vec![0x45; 20];
        datagram.extend([0, 0, 0, 0, 1, 2, 0, 1]);
        assert!(echo.is_answered_by(&datagram, true));
        assert!(!echo.is_answered_by(&datagram[..27], true));
    }
}
