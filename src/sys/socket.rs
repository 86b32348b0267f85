//! Sockets: opening, binding, connecting, sending, receiving.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{self, Backlog, NetlinkAddr, SetSockOpt, SockaddrStorage};
use nix::sys::time::TimeVal;
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};

pub(crate) use nix::libc::{
    IPPROTO_ICMP, IPPROTO_ICMPV6, NETLINK_INET_DIAG, NETLINK_NETFILTER, NETLINK_ROUTE,
    NETLINK_USERSOCK,
};
pub(crate) use nix::sys::socket::{
    AddressFamily, MsgFlags, SockType, getsockopt, setsockopt, sockopt,
};

use super::new_fd;
use crate::fault;

sockopt_impl!(
    /// Limits a socket's packets to one link, by its index (socket(7)).
    BindToLink,
    SetOnly,
    libc::SOL_SOCKET,
    libc::SO_BINDTOIFINDEX,
    u32
);

sockopt_impl!(
    /// A number that is unique to the network namespace until the machine reboots
    /// (`net/core/sock.c`).
    NamespaceCookie,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_NETNS_COOKIE,
    u64
);

/// A socket to open, with the arguments of socket(2). The socket is closed on exec.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewSocket {
    pub(crate) family: AddressFamily,
    pub(crate) kind: SockType,
    /// The protocol's number. nix names only a few.
    pub(crate) protocol: i32,
}

impl NewSocket {
    pub(crate) const ROUTE: Self = Self::netlink(libc::NETLINK_ROUTE);

    pub(crate) const fn netlink(protocol: i32) -> Self {
        Self { family: AddressFamily::Netlink, kind: SockType::Raw, protocol }
    }

    pub(crate) fn raw(family: AddressFamily, protocol: u8) -> Self {
        Self { family, kind: SockType::Raw, protocol: protocol.into() }
    }

    /// Opens the socket in the calling thread's namespace. Makes one system call and allocates
    /// nothing.
    pub(crate) fn open(self) -> Result<OwnedFd, Errno> {
        let kind = self.kind as i32 | libc::SOCK_CLOEXEC;
        // SAFETY: socket(2) takes three numbers, and refuses what it does not know. It returns a
        // new descriptor.
        unsafe { new_fd(libc::socket(self.family as i32, kind, self.protocol)) }
    }
}

/// Returns the network namespace of a socket (`SIOCGSKNS`, `netdevice(7)`). Requires
/// `CAP_NET_ADMIN` there.
pub(crate) fn namespace_of_socket(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const SIOCGSKNS: libc::Ioctl = 0x894c;
    // SAFETY: this request takes no argument and returns a new descriptor. A file that is no socket
    // refuses it with ENOTTY.
    unsafe { new_fd(libc::ioctl(socket.as_raw_fd(), SIOCGSKNS)) }
}

/// Returns the cookie of a socket's namespace.
pub(crate) fn namespace_cookie(socket: BorrowedFd<'_>) -> Result<u64, Errno> {
    socket::getsockopt(&socket, NamespaceCookie)
}

/// Binds a socket to a link, by the link's index.
pub(crate) fn bind_to_link(socket: BorrowedFd<'_>, index: u32) -> Result<(), Errno> {
    setsockopt(&socket, BindToLink, &index)
}

pub(crate) fn bind(socket: &OwnedFd, address: SocketAddr) -> Result<(), Errno> {
    fault::system_call("bind")?;
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address))
}

pub(crate) fn listen(socket: &OwnedFd) -> Result<(), Errno> {
    fault::system_call("listen")?;
    socket::listen(socket, Backlog::MAXCONN)
}

pub(crate) fn connect(socket: &OwnedFd, address: SocketAddr) -> Result<(), Errno> {
    fault::system_call("connect")?;
    socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(address))
}

/// Connects, and waits at most until `end`. Returns `false` if the time is up.
pub(crate) fn connect_until(
    socket: &OwnedFd,
    address: SocketAddr,
    end: Instant,
) -> Result<bool, Errno> {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        set_timeout(socket, sockopt::SendTimeout, left)?;
        match connect(socket, address) {
            // After a signal, the repeated call waits for the same connection.
            Err(Errno::EINTR) => {}
            Err(Errno::EINPROGRESS | Errno::EALREADY) => return Ok(false),
            connected => return connected.map(|()| true),
        }
    }
}

/// Binds a netlink socket to a port, and to multicast groups, given as bits.
pub(crate) fn bind_netlink(socket: &OwnedFd, port: u32, groups: u32) -> Result<(), Errno> {
    fault::system_call("bind")?;
    socket::bind(socket.as_raw_fd(), &NetlinkAddr::new(port, groups))
}

/// Returns the port of a netlink socket.
pub(crate) fn netlink_port(socket: &OwnedFd) -> Result<u32, Errno> {
    Ok(socket::getsockname::<NetlinkAddr>(socket.as_raw_fd())?.pid())
}

/// Sends a datagram.
pub(crate) fn send(socket: &impl AsFd, bytes: &[u8]) -> Result<(), Errno> {
    fault::system_call("send")?;
    send_datagram(socket, bytes)
}

/// Sends a datagram, and repeats the call after a signal. Injects no fault, because netlink sockets
/// have their own.
pub(crate) fn send_datagram(socket: &impl AsFd, bytes: &[u8]) -> Result<(), Errno> {
    loop {
        match socket::send(socket.as_fd().as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
            Err(Errno::EINTR) => {}
            sent => return sent.map(drop),
        }
    }
}

pub(crate) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    fault::system_call("recv")?;
    socket::recv(socket.as_raw_fd(), buffer, MsgFlags::empty())
}

/// Opens a descriptor that is readable while one of the sockets is (epoll(7)).
pub(crate) fn any_readable(sockets: &[BorrowedFd<'_>]) -> Result<OwnedFd, Errno> {
    fault::system_call("epoll_create")?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for socket in sockets {
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    }
    Ok(epoll.0)
}

/// Waits until one of the sockets has something to read, or an error. Returns whether one has by
/// `end`; `None` waits for ever.
pub(crate) fn wait_readable(
    sockets: &[BorrowedFd<'_>],
    end: Option<Instant>,
) -> Result<bool, Errno> {
    fault::system_call("poll")?;
    let mut fds: Vec<_> =
        sockets.iter().map(|socket| PollFd::new(*socket, PollFlags::POLLIN)).collect();
    loop {
        let timeout = match end {
            None => PollTimeout::NONE,
            Some(end) => {
                let left = end.saturating_duration_since(Instant::now());
                // Rounded up, so that the time is up after the last call.
                let left = left + Duration::from_nanos(999_999);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(&mut fds, timeout) {
            Ok(0) if end.is_some_and(|end| Instant::now() < end) => {}
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Sets how long receiving or connecting may wait. A zero would be for ever, so the least is a
/// microsecond.
pub(crate) fn set_timeout<O>(socket: &impl AsFd, option: O, wait: Duration) -> Result<(), Errno>
where
    O: SetSockOpt<Val = TimeVal>,
{
    // Some targets have a `time_t` of 32 bits.
    let seconds = i32::try_from(wait.as_secs()).unwrap_or(i32::MAX);
    let microseconds = i32::try_from(wait.subsec_micros()).unwrap_or(0).max(1);
    setsockopt(socket, option, &TimeVal::new(seconds.into(), microseconds.into()))
}
