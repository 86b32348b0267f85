//! Pings from a namespace: one, several with a summary, or repeated until an answer arrives.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::deadline::end_of_wait;
use super::echo::{DATA, EchoSocket};
use super::handle::Netns;
use super::ping_summary::PingSummary;
use crate::error::{Cause, Error};
use crate::input::{FirstRejected, Input};
use crate::sys::thread;

/// Echo requests to an address: whether it answers, and how fast.
///
/// Replaces `ping -c COUNT -s SIZE -i INTERVAL -W TIMEOUT ADDRESS`, IPv4 and IPv6.
///
/// ```
/// use netloom::{Namespace, Ping};
/// # use std::time::Duration;
/// # netloom::sandbox::enter()?;
///
/// let red = Namespace::anonymous().create()?;
/// red.link("lo")?.set_up()?;
/// let reply = Ping::new("127.0.0.1").send(&red)?;
/// assert!(reply.time.as_secs() < 1);
///
/// let summary = Ping::new("::1").count(3).interval(Duration::from_millis(1)).run(&red)?;
/// assert_eq!((summary.transmitted, summary.received), (3, 3));
/// println!("{summary}"); // as ping(8) ends: "3 packets transmitted, 3 received, 0% packet loss, …"
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: ping(8), icmp(7), RFC 792, RFC 4443.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `send` or `run`"]
pub struct Ping {
    target: Option<IpAddr>,
    timeout: Duration,
    count: u16,
    interval: Duration,
    size: usize,
    rejected: FirstRejected,
}

/// The answer to an echo request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct EchoReply {
    /// The address that answered.
    pub from: IpAddr,
    /// The round-trip time.
    pub time: Duration,
}

const ACTION: &str = "ping";

const LINK_LOCAL: &str = "a link-local address says nothing about the link that leads to it: bind \
     Netns::raw_ipv6_socket to a link by Link::bind_socket";

/// The largest data that fits in an IPv4 packet after the IP header and the echo header.
const MOST_DATA: usize = 65_507;

impl Ping {
    /// Describes echo requests to this address. A link-local address (`fe80::/10`) is refused,
    /// because it names no link.
    pub fn new(target: impl Input<IpAddr>) -> Self {
        let mut rejected = FirstRejected::default();
        let target = rejected.read("target", target);
        Self {
            target,
            timeout: Duration::from_secs(2),
            count: 4,
            interval: Duration::from_secs(1),
            size: DATA,
            rejected,
        }
    }

    /// Sets the time to wait for the answer. [`run`](Self::run) waits that long after its last
    /// request. Default: 2 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the number of requests that [`run`](Self::run) sends, as `-c`. Default: 4.
    pub fn count(mut self, count: u16) -> Self {
        if count == 0 {
            self.rejected.reject("count", count, "at least one is sent");
        }
        self.count = count;
        self
    }

    /// Sets the time between two requests of [`run`](Self::run), as `-i`. Default: 1 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the size of the data in a request, after its 8-byte header, as `-s`. Default: 56 bytes.
    pub fn size(mut self, bytes: usize) -> Self {
        if bytes > MOST_DATA {
            self.rejected.reject("size", bytes, "a request carries 65,507 bytes at most");
        }
        self.size = bytes;
        self
    }

    /// Sends one request out of a namespace and waits for the answer.
    ///
    /// # Errors
    ///
    /// - `is_timed_out()` if no answer came.
    /// - `ENETUNREACH` without a route; `EHOSTUNREACH` if the network says so or no neighbour
    ///   answers.
    /// - `is_permission_denied()` without `CAP_NET_RAW` or a group within
    ///   `net.ipv4.ping_group_range`.
    #[doc(alias("ICMP_ECHO", "ICMPV6_ECHO_REQUEST"))]
    pub fn send(&self, netns: &Netns) -> Result<EchoReply, Error> {
        let target = self.target(ACTION, netns)?;
        let ping = || {
            let mut socket = EchoSocket::open(netns.fd(), target, self.size)?;
            let start = Instant::now();
            socket.send(1)?;
            match socket.receive(end_of_wait(start, self.timeout))? {
                Some(_) => Ok(EchoReply { from: target, time: start.elapsed() }),
                None => Err(Cause::TimedOut(self.timeout)),
            }
        };
        ping().map_err(|cause| cause.doing(ACTION, target).in_namespace(netns))
    }

    /// Sends [`count`](Self::count) requests out of a namespace, one every
    /// [`interval`](Self::interval), and summarizes the answers. An unanswered request, or an
    /// "unreachable" answer, is counted and is no error.
    ///
    /// # Errors
    ///
    /// - `ENETUNREACH` without a route.
    /// - `is_permission_denied()` as for [`send`](Self::send).
    pub fn run(&self, netns: &Netns) -> Result<PingSummary, Error> {
        let target = self.target(ACTION, netns)?;
        EchoSocket::open(netns.fd(), target, self.size)
            .and_then(|socket| self.series(target, socket))
            .map_err(|cause| cause.doing(ACTION, target).in_namespace(netns))
    }

    fn series(&self, target: IpAddr, mut socket: EchoSocket) -> Result<PingSummary, Cause> {
        let start = Instant::now();
        let mut summary = PingSummary::new(target);
        // The time of each request, and whether its answer has arrived.
        let mut requests: Vec<(Instant, bool)> = Vec::new();
        for place in 0..self.count {
            let sent = Instant::now();
            requests.push((sent, false));
            summary.transmitted += 1;
            match socket.send(place) {
                Err(cause) if !is_passing(&cause) => return Err(cause),
                Err(_) => summary.errors += 1,
                Ok(()) => {}
            }
            let is_last = place + 1 == self.count;
            let until = if is_last {
                end_of_wait(sent, self.timeout)
            } else {
                end_of_wait(start, self.interval.saturating_mul(u32::from(place) + 1))
            };
            let all =
                |summary: &PingSummary| summary.received + summary.errors >= self.count.into();
            while !(is_last && all(&summary)) {
                match socket.receive(until) {
                    Ok(None) => break,
                    Ok(Some(sequence)) => match requests.get_mut(usize::from(sequence)) {
                        Some((sent, answered @ false)) => {
                            *answered = true;
                            summary.received += 1;
                            summary.times.push(sent.elapsed());
                        }
                        Some(_) => summary.duplicates += 1,
                        None => {}
                    },
                    Err(cause) if is_passing(&cause) => summary.errors += 1,
                    Err(cause) => return Err(cause),
                }
            }
        }
        summary.time = start.elapsed();
        Ok(summary)
    }

    /// Returns the target, if that is an address that can be pinged.
    fn target(&self, action: &'static str, netns: &Netns) -> Result<IpAddr, Error> {
        self.rejected.check(action, "an address")?;
        let Some(target) = self.target else {
            return Err(Error::invalid(action, "an address", "it has no value"));
        };
        if matches!(target, IpAddr::V6(target) if target.is_unicast_link_local()) {
            return Err(Error::invalid(action, target, LINK_LOCAL).in_namespace(netns));
        }
        Ok(target)
    }
}

/// Returns whether a failure may be temporary: an error that the network reported.
fn is_passing(cause: &Cause) -> bool {
    // The kernel reports ENOBUFS for a link without a carrier.
    use Errno::{ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENOBUFS};
    let passing = [EHOSTUNREACH, EHOSTDOWN, ENETUNREACH, ENETDOWN, ECONNREFUSED, ENOBUFS];
    matches!(cause, Cause::System(errno) if passing.contains(errno))
}

/// Returns whether a failure will not go away by itself.
fn is_lasting(cause: &Cause) -> bool {
    matches!(cause.errno(), Some(Errno::EPERM | Errno::EMFILE | Errno::EINVAL))
}

impl Netns {
    /// Pings an address once and returns the round-trip time: [`Ping`] with its defaults.
    ///
    /// # Errors
    ///
    /// The errors of [`Ping::send`].
    pub fn ping(&self, target: impl Input<IpAddr>) -> Result<Duration, Error> {
        Ok(Ping::new(target).send(self)?.time)
    }

    /// Pings an address until it answers, and returns the round-trip time.
    ///
    /// The network may be coming up: the method also waits for a missing link, address or route.
    ///
    /// ```
    /// use netloom::Namespace;
    /// # use std::time::Duration;
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// red.link("lo")?.set_up()?;
    /// red.wait_reachable("127.0.0.1", Duration::from_secs(1))?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `is_timed_out()` if the address did not answer within `deadline`. The hint is the failure
    ///   of the last attempt.
    /// - `is_permission_denied()` at once.
    /// - `is_invalid_input()` for a link-local address.
    pub fn wait_reachable(
        &self,
        target: impl Input<IpAddr>,
        deadline: Duration,
    ) -> Result<Duration, Error> {
        const ACTION: &str = "reach";
        let target = Ping::new(target).target(ACTION, self)?;
        let end = end_of_wait(Instant::now(), deadline);
        let mut last = None;
        while Instant::now() < end {
            let next = (Instant::now() + INTERVAL).min(end);
            match attempt(self, target, end) {
                Ok(time) => return Ok(time),
                Err(cause) if is_lasting(&cause) => {
                    return Err(cause.doing(ACTION, target).in_namespace(self));
                }
                Err(cause) => last = Some(cause),
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        let error = Cause::TimedOut(deadline).doing(ACTION, target).in_namespace(self);
        Err(match last {
            Some(Cause::TimedOut(_)) | None => error,
            Some(cause) => error.hint(format!("the last attempt: {cause}")),
        })
    }
}

/// The time between two attempts to reach an address.
const INTERVAL: Duration = Duration::from_millis(50);

/// Sends a request, and another one each time that no answer arrives.
fn attempt(netns: &Netns, target: IpAddr, end: Instant) -> Result<Duration, Cause> {
    let mut socket = EchoSocket::open(netns.fd(), target, DATA)?;
    let start = Instant::now();
    let mut sent = Vec::new();
    while Instant::now() < end {
        let place = u16::try_from(sent.len()).unwrap_or(u16::MAX);
        sent.push(Instant::now());
        socket.send(place)?;
        if let Some(answered) = socket.receive((Instant::now() + INTERVAL).min(end))? {
            return Ok(sent.get(usize::from(answered)).unwrap_or(&start).elapsed());
        }
    }
    Err(Cause::TimedOut(start.elapsed()))
}
