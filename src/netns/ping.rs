//! Pings out of a namespace: one, several with a summary, and until somebody answers.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::deadline::end_of_wait;
use super::echo::{DATA, EchoSocket};
use super::handle::Netns;
use super::ping_summary::PingSummary;
use crate::error::{Cause, Error};
use crate::input::{FirstRejected, Input, link_name};

/// Echo requests to be sent: is that address there, and how far is it.
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
    out_link: Option<String>,
    timeout: Duration,
    count: u16,
    interval: Duration,
    size: usize,
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

const ACTION: &str = "ping";

const LINK_LOCAL: &str = "a link-local address is one of each link, and has to be told which";

fn is_link_local(target: IpAddr) -> bool {
    matches!(target, IpAddr::V6(target) if target.is_unicast_link_local())
}

/// The most that fits an IPv4 packet with its header and the request's own.
const MOST_DATA: usize = 65_507;

impl Ping {
    /// To this address. A link-local one (`fe80::/10`) is one of each link: [`out_link`](Self::out_link)
    /// says which.
    pub fn new(target: impl Input<IpAddr>) -> Self {
        let mut rejected = FirstRejected::default();
        let target = rejected.read("target", target);
        Self {
            target,
            out_link: None,
            timeout: Duration::from_secs(2),
            count: 4,
            interval: Duration::from_secs(1),
            size: DATA,
            rejected,
        }
    }

    /// Only out of the link of this name, as `-I`.
    pub fn out_link(mut self, link: impl Into<String>) -> Self {
        let link = link.into();
        if let Err(reason) = link_name(&link) {
            self.rejected.reject("out_link", &link, reason);
        }
        self.out_link = Some(link);
        self
    }

    /// How long to wait for the answer, with [`run`](Self::run) after the last request. Default: 2 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many requests [`run`](Self::run) sends, as `-c`. Default: 4.
    pub fn count(mut self, count: u16) -> Self {
        if count == 0 {
            self.rejected.reject("count", count, "at least one is sent");
        }
        self.count = count;
        self
    }

    /// The time from one request of [`run`](Self::run) to the next, as `-i`. Default: 1 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How many bytes of data a request carries besides its header of 8, as `-s`. Default: 56.
    pub fn size(mut self, bytes: usize) -> Self {
        if bytes > MOST_DATA {
            self.rejected.reject("size", bytes, "a request carries 65,507 bytes at most");
        }
        self.size = bytes;
        self
    }

    /// Sends one out of a namespace and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`is_timed_out`](Error::is_timed_out) where none came; `ENETUNREACH` without a route,
    /// `EHOSTUNREACH` where the network says so or no neighbour answers. It needs `CAP_NET_RAW`, or a
    /// group within `net.ipv4.ping_group_range`.
    #[doc(alias("ICMP_ECHO", "ICMPV6_ECHO_REQUEST"))]
    pub fn send(&self, netns: &Netns) -> Result<EchoReply, Error> {
        self.with_target(netns, |target| {
            let mut socket =
                EchoSocket::open(netns.fd(), (target, self.out_link.as_deref()), self.size)?;
            let start = Instant::now();
            socket.send(1)?;
            match socket.receive(end_of_wait(start, self.timeout))? {
                Some(_) => Ok(EchoReply { from: target, time: start.elapsed() }),
                None => Err(Cause::TimedOut(self.timeout)),
            }
        })
    }

    /// Sends [`count`](Self::count) of them out of a namespace, one each [`interval`](Self::interval),
    /// and sums up what came back. Requests without an answer, or with an "unreachable" for one, are
    /// counted and no error.
    ///
    /// # Errors
    ///
    /// Where none can be sent: `ENETUNREACH` without a route; a privilege as for [`send`](Self::send).
    pub fn run(&self, netns: &Netns) -> Result<PingSummary, Error> {
        self.with_target(netns, |target| {
            let socket =
                EchoSocket::open(netns.fd(), (target, self.out_link.as_deref()), self.size)?;
            self.series(target, socket)
        })
    }

    fn series(&self, target: IpAddr, mut socket: EchoSocket) -> Result<PingSummary, Cause> {
        let start = Instant::now();
        let mut summary = PingSummary::new(target);
        // When each was sent, and whether its answer has come.
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

    fn with_target<T>(
        &self,
        netns: &Netns,
        ping: impl FnOnce(IpAddr) -> Result<T, Cause>,
    ) -> Result<T, Error> {
        self.rejected.check(ACTION, "an address")?;
        let Some(target) = self.target else {
            return Err(Error::invalid(ACTION, "an address", "it has no value"));
        };
        if is_link_local(target) && self.out_link.is_none() {
            let reason = format!("{LINK_LOCAL}: Ping::new(\"{target}\").out_link(\"eth0\")");
            return Err(Error::invalid(ACTION, target, reason).in_namespace(netns));
        }
        ping(target).map_err(|cause| {
            let error = cause.doing(ACTION, target).in_namespace(netns);
            match &self.out_link {
                Some(link) => error
                    .hint_on(Errno::ENODEV, || format!("there is no link named `{link}` there")),
                None => error,
            }
        })
    }
}

/// What the network answers, and may stop to answer.
fn is_passing(cause: &Cause) -> bool {
    // ENOBUFS: a link without a carrier.
    use Errno::{ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENOBUFS};
    let passing = [EHOSTUNREACH, EHOSTDOWN, ENETUNREACH, ENETDOWN, ECONNREFUSED, ENOBUFS];
    matches!(cause, Cause::System(errno) if passing.contains(errno))
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

    /// Pings an address until it answers, and returns the round-trip time.
    ///
    /// For a network that is coming up: a missing link, address or route is waited for as well.
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
    /// [`is_timed_out`](Error::is_timed_out) where it did not answer within `deadline`, with what the
    /// last attempt said. A missing privilege is returned at once. A link-local address is refused.
    pub fn wait_reachable(
        &self,
        target: impl Input<IpAddr>,
        deadline: Duration,
    ) -> Result<Duration, Error> {
        const ACTION: &str = "reach";
        let mut rejected = FirstRejected::default();
        let target = rejected.read("wait_reachable", target);
        rejected.check(ACTION, "an address")?;
        let Some(target) = target else {
            return Err(Error::invalid(ACTION, "an address", "it has no value"));
        };
        if is_link_local(target) {
            return Err(Error::invalid(ACTION, target, LINK_LOCAL).in_namespace(self));
        }
        let end = end_of_wait(Instant::now(), deadline);
        let mut last = None;
        while Instant::now() < end {
            let next = (Instant::now() + INTERVAL).min(end);
            match attempt(self, target, end) {
                Ok(time) => return Ok(time),
                Err(cause)
                    if matches!(
                        cause.errno(),
                        Some(Errno::EPERM | Errno::EMFILE | Errno::EINVAL)
                    ) =>
                {
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

/// How long an attempt to reach somebody waits before the next.
const INTERVAL: Duration = Duration::from_millis(50);

/// One request, and one more each time that none is answered.
fn attempt(netns: &Netns, target: IpAddr, end: Instant) -> Result<Duration, Cause> {
    let mut socket = EchoSocket::open(netns.fd(), (target, None), DATA)?;
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
