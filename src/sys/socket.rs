//! Sockets: binding, connecting, sending, receiving, waiting.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{self, Backlog, MsgFlags, SockaddrStorage};

pub(crate) use nix::poll::poll;
pub(crate) use nix::sys::socket::{getsockopt, setsockopt};

use crate::fault;

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

/// Sends a datagram, again after a signal.
pub(crate) fn send(socket: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    fault::system_call("send")?;
    loop {
        match socket::send(socket.as_raw_fd(), bytes, MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            sent => return sent,
        }
    }
}

pub(crate) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    fault::system_call("recv")?;
    socket::recv(socket.as_raw_fd(), buffer, MsgFlags::empty())
}
