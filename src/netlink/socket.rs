//! A netlink socket: opened in a namespace, bound, with a deadline on every wait.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::batch::Batch;
use super::room::{self, BUFFER, Buffer, Received};
use crate::error::Cause;
use crate::sys;
use crate::sys::socket::{
    self, MsgFlags, NETLINK_INET_DIAG, NETLINK_NETFILTER, NETLINK_ROUTE, NewSocket, sockopt,
};

/// The netlink port of the kernel as a sender.
pub(super) const KERNEL: u32 = 0;

/// The maximum wait for an answer. The kernel answers within the system call that sends the
/// request, so the limit applies only if the kernel lost an answer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// The end of a wait, by the monotonic clock. The first check starts the wait: most answers arrive
/// before any check, and then the clock is never read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn passed(&mut self) -> bool {
        let now = Instant::now();
        now >= *self.0.get_or_insert(now + DEADLINE)
    }
}

/// The netlink family of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Links, addresses, routes, rules, neighbours.
    Route,
    /// `nf_tables` and conntrack.
    Netfilter,
    /// The tables of sockets.
    SocketDiagnosis,
}

impl Protocol {
    /// The arguments of socket(2).
    pub(crate) fn new_socket(self) -> NewSocket {
        NewSocket::netlink(match self {
            Self::Route => NETLINK_ROUTE,
            Self::Netfilter => NETLINK_NETFILTER,
            Self::SocketDiagnosis => NETLINK_INET_DIAG,
        })
    }
}

/// A socket with its receive buffer, used by one exchange at a time.
#[derive(Debug)]
pub(crate) struct Socket {
    inner: netlink_sys::Socket,
    protocol: Protocol,
    port: u32,
    sequence: u32,
    pub(super) buffer: Buffer,
    /// The batch that `get` uses again for each request.
    pub(super) reused: Batch,
    set: Options,
    /// The largest datagram and the largest answers, in bytes, that `make_room` has made room for.
    room: (usize, usize),
    #[cfg(test)]
    faults: crate::fault::OnSocket,
}

/// Options that are set on the socket. Each is set at its first use, because most sockets need
/// none.
#[derive(Debug, Default)]
struct Options {
    capped: bool,
    strict: bool,
    deadline: bool,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace. The socket belongs to that
    /// namespace permanently.
    pub(crate) fn open(protocol: Protocol) -> Result<Self, Cause> {
        crate::fault::system_call("socket")?;
        Self::of(protocol, protocol.new_socket().open()?)
    }

    /// Takes over a new socket of this family, opened in any namespace.
    pub(crate) fn of(protocol: Protocol, socket: OwnedFd) -> Result<Self, Cause> {
        let mut inner: netlink_sys::Socket = sys::taken_over(socket);
        // The kernel gives other sockets a port at their first request.
        let port = match protocol {
            Protocol::Netfilter => inner.bind_auto()?.port_number(),
            _ => 0,
        };
        inner.set_ext_ack(true)?;
        #[cfg(test)]
        crate::fault::small_buffers::apply(&inner);
        let socket = Self {
            inner,
            protocol,
            port,
            sequence: 0,
            buffer: Buffer::default(),
            reused: Batch::default(),
            set: Options::default(),
            room: (0, 0),
            #[cfg(test)]
            faults: crate::fault::OnSocket::new(protocol == Protocol::Netfilter),
        };
        Ok(socket)
    }

    /// The port of a netfilter socket, unique among the netfilter sockets of its namespace.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Takes `count` sequence numbers and returns the first.
    pub(super) fn take_sequences(&mut self, count: usize) -> u32 {
        let first = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(u32::try_from(count).unwrap_or(u32::MAX));
        first
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        #[cfg(test)]
        let Some(bytes) = self.faults.sending(bytes) else { return Ok(()) };
        #[cfg(test)]
        let bytes = &*bytes;
        #[cfg(any(test, fuzzing))]
        if super::script::intercepts(bytes) {
            return Ok(());
        }
        Ok(socket::send_datagram(&self.inner, bytes)?)
    }

    /// Enlarges the kernel's buffers for a datagram of `sent` bytes and answers of `answered`
    /// bytes.
    pub(super) fn make_room(&mut self, sent: usize, answered: usize) -> Result<(), Cause> {
        #[cfg(test)]
        if crate::fault::small_buffers::stay() {
            return Ok(());
        }
        // The kernel's buffers never shrink.
        let (sends, receives) = self.room;
        if sent > sends || answered > receives {
            room::in_the_kernel(&self.inner, sent, answered)?;
            self.room = (sends.max(sent), receives.max(answered));
        }
        Ok(())
    }

    /// Makes room for an acknowledgement beside an echo, or for many refusals, in case
    /// `net.core.rmem_default` is low.
    pub(super) fn expect_answers(&mut self, batch: &Batch) -> Result<(), Cause> {
        const FEW: usize = 8;
        if batch.len() > FEW || batch.asks_for_echo() {
            self.make_room(0, BUFFER)?;
        }
        Ok(())
    }

    /// Asks for refusals that carry the request's header alone (`NETLINK_CAP_ACK`), if a whole
    /// request might not fit the buffer.
    pub(super) fn expect_refusals(&mut self, sent: usize) -> Result<(), Cause> {
        if !self.set.capped && sent > BUFFER / 2 {
            self.inner.set_cap_ack(true)?;
            self.set.capped = true;
        }
        Ok(())
    }

    /// Makes the kernel check list requests and filter by their fields (`NETLINK_GET_STRICT_CHK`).
    pub(super) fn expect_list(&mut self) -> Result<(), Cause> {
        if !self.set.strict && self.protocol == Protocol::Route {
            self.inner.set_netlink_get_strict_chk(true)?;
            self.set.strict = true;
        }
        Ok(())
    }

    /// Waits for the next datagram, until the deadline.
    pub(super) fn receive(&mut self, deadline: &mut Deadline) -> Result<Received, Cause> {
        loop {
            match self.receive_next(deadline) {
                Ok(received) => return Ok(received),
                Err(Errno::EINTR | Errno::EAGAIN) if !deadline.passed() => {}
                Err(Errno::EINTR | Errno::EAGAIN | Errno::ETIMEDOUT) => {
                    return Err(Cause::TimedOut(DEADLINE));
                }
                Err(Errno::ENOBUFS) => return Err(Cause::Overrun),
                Err(errno) => return Err(Cause::Unread(errno)),
            }
        }
    }

    /// Receives the next datagram. The kernel answers within the system call that sends the
    /// request, so the socket gets a receive timeout only once an answer is missing.
    fn receive_next(&mut self, deadline: &mut Deadline) -> Result<Received, Errno> {
        #[cfg(test)]
        if let Some(result) = self.faults.receiving(self.buffer.space()) {
            return result.map(Received::Datagram);
        }
        match self.receive_with(MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT) {
            // The first check of the deadline starts the wait.
            Err(Errno::EAGAIN) if !deadline.passed() => {}
            result => return result,
        }
        if !self.set.deadline {
            socket::set_timeout(&self.inner, sockopt::ReceiveTimeout, DEADLINE)?;
            self.set.deadline = true;
        }
        self.receive_with(MsgFlags::MSG_TRUNC)
    }

    /// Receives a datagram that is already queued. After an overflow the older datagrams are still
    /// queued: the kernel drops the newest.
    pub(super) fn receive_queued(&mut self) -> Option<usize> {
        let mut deadline = Deadline::default();
        while !deadline.passed() {
            match self.receive_with(MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT) {
                Ok(Received::Datagram(length)) => return Some(length),
                Ok(_) | Err(Errno::EINTR | Errno::ENOBUFS) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// Discards all queued datagrams, so that the socket can be used again.
    pub(super) fn drain(&mut self) {
        let mut deadline = Deadline::default();
        while !deadline.passed() && self.receive_queued().is_some() {}
    }

    fn receive_with(&mut self, flags: MsgFlags) -> Result<Received, Errno> {
        #[cfg(any(test, fuzzing))]
        if let Some(length) = super::script::receive(self.buffer.space()) {
            return length.map(|length| self.buffer.received(length));
        }
        let mut space = self.buffer.space();
        let (length, sender) = self
            .inner
            .recv_from(&mut space, flags.bits())
            .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        // A privileged process can send to any socket of the namespace. Its datagram counts as an
        // interrupted call, so that the deadline is checked.
        if sender.port_number() != KERNEL {
            return Err(Errno::EINTR);
        }
        #[cfg(any(test, fuzzing))]
        super::script::record_answer(self.buffer.datagram(length));
        #[cfg(test)]
        let length = self.faults.received(self.buffer.space(), length);
        Ok(self.buffer.received(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::RequestType;
    use crate::sandbox;
    use crate::wire::link::{AF_UNSPEC, LinkView, header};
    use crate::wire::message::{Message, NLM_F_DUMP};
    use netlink_sys::SocketAddr;

    const LOOPBACK: u32 = 1;

    fn socket() -> Socket {
        Socket::open(Protocol::Route).unwrap()
    }

    fn loopback(batch: &mut Batch) -> usize {
        batch.push(RequestType::GetLink, 0, &header(AF_UNSPEC, LOOPBACK), |_| ())
    }

    fn all() -> Batch {
        let mut batch = Batch::default();
        batch.push(RequestType::GetLink, NLM_F_DUMP, &[0; 16], |_| ());
        batch
    }

    fn name(answer: Message<'_>) -> Option<String> {
        Some(LinkView::read(answer)?.name()?.into_owned())
    }

    /// Returns the loopback link's name, read by one request and from a list.
    fn names(socket: &mut Socket) -> Result<(Option<String>, Vec<String>), Cause> {
        let one = socket.get(loopback, name)?;
        Ok((one, socket.dump(&mut all(), name)?))
    }

    fn lo() -> (Option<String>, Vec<String>) {
        (Some("lo".to_owned()), vec!["lo".to_owned()])
    }

    #[test]
    fn an_answer_longer_than_the_buffer_is_asked_for_again() {
        sandbox::run(|| {
            for length in [16, 40, 64, 500] {
                let mut socket = socket();
                socket.buffer = Buffer::of(length);
                assert_eq!(names(&mut socket).unwrap(), lo(), "{length}");
                socket.buffer = Buffer::of(length);
                let list = socket.dump(&mut all(), name).unwrap();
                assert_eq!(list, lo().1, "{length}");
            }
        })
        .unwrap();
    }

    #[test]
    fn answers_to_somebody_elses_numbers_are_passed_over() {
        sandbox::run(|| {
            let mut socket = socket();
            for sequence in [1, 3, 77, u32::MAX] {
                let mut stray = Batch::default();
                loopback(&mut stray);
                stray.acknowledge(0);
                // Not the number that the next request gets.
                stray.number(socket.sequence.wrapping_add(100).wrapping_add(sequence));
                socket.send(stray.bytes()).unwrap();
            }
            assert_eq!(names(&mut socket).unwrap(), lo());
        })
        .unwrap();
    }

    #[test]
    fn what_another_program_sends_is_no_answer() {
        sandbox::run(|| {
            let mut socket = socket();
            assert_eq!(names(&mut socket).unwrap(), lo());
            let mut address = SocketAddr::new(0, 0);
            socket.inner.get_address(&mut address).unwrap();
            let mut other = netlink_sys::Socket::new(NETLINK_ROUTE as isize).unwrap();
            other.bind_auto().unwrap();
            for _ in 0..3 {
                // A forged, empty list with the next sequence number.
                let mut forged = [20_u32, 3, socket.sequence + 1, 0, 0].map(u32::to_ne_bytes);
                forged[1] = [3, 0, 2, 0];
                other.send_to(forged.as_flattened(), &address, 0).unwrap();
                let list = socket.dump(&mut all(), name).unwrap();
                assert_eq!(list, lo().1);
            }
        })
        .unwrap();
    }

    #[test]
    fn answers_that_did_not_fit_are_told_and_the_socket_is_as_good_as_new() {
        sandbox::run(|| {
            let mut socket = socket();
            socket::setsockopt(&socket.inner, sockopt::RcvBuf, &1).unwrap();
            for _ in 0..50 {
                let mut stray = Batch::default();
                loopback(&mut stray);
                stray.number(4_000_000_000);
                socket.send(stray.bytes()).unwrap();
            }
            let error = names(&mut socket).unwrap_err();
            assert!(matches!(error, Cause::Overrun), "{error}");
            assert_eq!(error.doing("list", "links").raw_os_error(), Some(105));
            socket::setsockopt(&socket.inner, sockopt::RcvBuf, &(1 << 20)).unwrap();
            assert_eq!(names(&mut socket).unwrap(), lo());
        })
        .unwrap();
    }
}
