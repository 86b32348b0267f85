//! Internet sockets that are opened in a namespace and used from anywhere.
//!
//! A socket belongs to the namespace in which it was opened. To bind or connect it, the calling
//! thread need not be there.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::deadline::end_of_wait;
use super::enter::socket_inside;
use super::handle::Netns;
use crate::error::{Cause, Error};
use crate::input::{FirstRejected, Input};
use crate::sys::socket::{self, AddressFamily, NewSocket, SockType, sockopt};

/// A place to open sockets: a namespace, or one link in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub(crate) netns: &'a Netns,
    /// The index of the only link that the socket's packets may use.
    pub(crate) link: Option<u32>,
}

impl Netns {
    /// Listens for TCP connections inside the namespace. Any thread can use the listener.
    ///
    /// ```
    /// use netloom::Namespace;
    /// # use std::{io::{Read, Write}, time::Duration};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// red.link("lo")?.set_up()?;
    /// let listener = red.tcp_listen("127.0.0.1:8080")?;
    /// let mut client = red.tcp_connect("127.0.0.1:8080", Duration::from_secs(1))?;
    /// let (mut server, _) = listener.accept().unwrap();
    /// server.write_all(b"hello").unwrap();
    /// drop(server);
    /// let mut said = String::new();
    /// client.read_to_string(&mut said).unwrap();
    /// assert_eq!(said, "hello");
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EADDRINUSE` if another socket listens there
    /// - `EADDRNOTAVAIL` if no link has the address
    /// - `is_invalid_input()` for a bad address, before any system call
    /// - `is_permission_denied()` without `CAP_SYS_ADMIN`, if the thread is in another namespace;
    ///   for ports below 1024 without `CAP_NET_BIND_SERVICE` there
    pub fn tcp_listen(&self, address: impl Input<SocketAddr>) -> Result<TcpListener, Error> {
        Opening { netns: self, link: None }.tcp_listen(address)
    }

    /// Connects to a TCP server from inside the namespace. Any thread can use the stream.
    ///
    /// # Errors
    ///
    /// - `is_timed_out()` if no answer arrived in time
    /// - `ECONNREFUSED` if no socket listens there
    /// - `ENETUNREACH` without a route
    /// - `is_permission_denied()` without `CAP_SYS_ADMIN`, if the thread is in another namespace
    pub fn tcp_connect(
        &self,
        address: impl Input<SocketAddr>,
        timeout: Duration,
    ) -> Result<TcpStream, Error> {
        Opening { netns: self, link: None }.tcp_connect(address, timeout)
    }

    /// Binds a UDP socket inside the namespace. Any thread can use the socket.
    ///
    /// # Errors
    ///
    /// The errors of [`tcp_listen`](Self::tcp_listen).
    pub fn udp_bind(&self, address: impl Input<SocketAddr>) -> Result<UdpSocket, Error> {
        Opening { netns: self, link: None }.udp_bind(address)
    }

    /// Opens a raw IPv4 socket for a protocol inside the namespace: 1 is ICMP. Received packets
    /// start with the IP header. Source: raw(7).
    ///
    /// # Errors
    ///
    /// `is_permission_denied()` without `CAP_NET_RAW`.
    #[doc(alias = "SOCK_RAW")]
    pub fn raw_ipv4_socket(&self, protocol: u8) -> Result<OwnedFd, Error> {
        self.raw_socket(AddressFamily::Inet, protocol, "raw IPv4 socket for protocol")
    }

    /// Opens a raw IPv6 socket for a protocol inside the namespace: 58 is `ICMPv6`. Received
    /// packets have no IP header.
    ///
    /// # Errors
    ///
    /// The errors of [`raw_ipv4_socket`](Self::raw_ipv4_socket).
    pub fn raw_ipv6_socket(&self, protocol: u8) -> Result<OwnedFd, Error> {
        self.raw_socket(AddressFamily::Inet6, protocol, "raw IPv6 socket for protocol")
    }

    fn raw_socket(
        &self,
        family: AddressFamily,
        protocol: u8,
        what: &'static str,
    ) -> Result<OwnedFd, Error> {
        socket_inside(self.fd(), NewSocket::raw(family, protocol)).map_err(|cause| {
            cause.doing("open", format!("{what} {protocol}")).in_namespace(self).hint_on(
                Errno::EPERM,
                || {
                    "this needs CAP_NET_RAW in the user namespace that owns the network namespace"
                        .into()
                },
            )
        })
    }
}

impl Opening<'_> {
    pub(crate) fn tcp_listen(self, address: impl Input<SocketAddr>) -> Result<TcpListener, Error> {
        self.opened("listen on", address, |address| {
            let socket = self.open(address, SockType::Stream)?;
            // Like std, so that a restarted server need not wait until its old connections time
            // out.
            socket::setsockopt(&socket, sockopt::ReuseAddr, &true)?;
            socket::bind(&socket, address)?;
            socket::listen(&socket)?;
            Ok(socket.into())
        })
    }

    pub(crate) fn tcp_connect(
        self,
        address: impl Input<SocketAddr>,
        timeout: Duration,
    ) -> Result<TcpStream, Error> {
        self.opened("connect to", address, |address| {
            let socket = self.open(address, SockType::Stream)?;
            if !socket::connect_until(&socket, address, end_of_wait(Instant::now(), timeout))? {
                return Err(Cause::TimedOut(timeout));
            }
            let stream = TcpStream::from(socket);
            stream.set_write_timeout(None)?;
            Ok(stream)
        })
    }

    pub(crate) fn udp_bind(self, address: impl Input<SocketAddr>) -> Result<UdpSocket, Error> {
        self.opened("bind a UDP socket to", address, |address| {
            let socket = self.open(address, SockType::Datagram)?;
            socket::bind(&socket, address)?;
            Ok(socket.into())
        })
    }

    /// Opens the socket. This is the only step that needs a thread inside the namespace.
    fn open(self, address: SocketAddr, kind: SockType) -> Result<OwnedFd, Cause> {
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let socket = NewSocket { family, kind, protocol: 0 };
        let socket = socket_inside(self.netns.fd(), socket)?;
        if let Some(link) = self.link {
            socket::bind_to_link(socket.as_fd(), link)?;
        }
        Ok(socket)
    }

    fn opened<T>(
        self,
        action: &'static str,
        address: impl Input<SocketAddr>,
        open: impl FnOnce(SocketAddr) -> Result<T, Cause>,
    ) -> Result<T, Error> {
        let mut rejected = FirstRejected::default();
        let address = rejected.read("address", address);
        rejected.check(action, "an address").map_err(|error| error.in_namespace(self.netns))?;
        let Some(address) = address else {
            return Err(Error::invalid(action, "an address", "it has no value"));
        };
        open(address).map_err(|cause| {
            let error = cause.doing(action, address).in_namespace(self.netns);
            match error.errno().and_then(hint) {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })
    }
}

fn hint(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::EADDRINUSE => Some("another socket has that address and port"),
        Errno::EADDRNOTAVAIL => Some("no link there has that address, or it is still tentative"),
        Errno::ECONNREFUSED => Some("the host answers, but no socket listens on that port"),
        Errno::ENETUNREACH => Some("there is no route to it, or the link is down"),
        Errno::EACCES => Some(
            "ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE, \
             or a rule forbids it",
        ),
        _ => None,
    }
}
