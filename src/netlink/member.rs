//! Membership sockets: only a privileged process can hold such a socket in a network namespace.
//!
//! A member is a `NETLINK_USERSOCK` socket in a multicast group. Any user may open and bind such a
//! socket, but to join a group takes `CAP_NET_ADMIN` in the user namespace that owns the network
//! namespace (`netlink_allowed` in `net/netlink/af_netlink.c`, Linux 6.18). The kernel ends the
//! membership when the process dies. All programs in the network namespace see the members,
//! whatever their mount namespace.

use std::os::fd::OwnedFd;

use nix::errno::Errno;

use super::batch::Batch;
use super::socket::Socket;
use crate::error::{Cause, NET_ADMIN, takes};
use crate::sys::process::Process;
use crate::sys::socket::{self, NETLINK_USERSOCK, NewSocket};
use crate::wire::message::{NLM_F_DUMP, NLM_F_REQUEST};
use crate::wire::netlink_diag::{append_sockets, read_socket};

/// A socket that can join groups. Dropping the `Member` leaves the groups, even if a forked process
/// has a copy of the socket.
#[derive(Debug)]
pub(crate) struct Member {
    socket: OwnedFd,
    port: u32,
    process: Process,
}

impl Member {
    /// The arguments of socket(2) for a member; the caller opens the socket inside the namespace.
    pub(crate) const SOCKET: NewSocket = NewSocket::netlink(NETLINK_USERSOCK);

    /// Binds a new socket to a port and joins groups (a bit each). With port 0 the kernel chooses a
    /// port.
    ///
    /// # Errors
    ///
    /// - `EADDRINUSE` if another socket has the port.
    /// - `EPERM` without `CAP_NET_ADMIN`.
    pub(crate) fn bind(socket: OwnedFd, port: u32, groups: u32) -> Result<Self, Cause> {
        set(&socket, port, groups)?;
        let port = socket::netlink_port(&socket)?;
        Ok(Self { socket, port, process: Process::current() })
    }

    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Joins these groups and leaves all others.
    pub(crate) fn set_groups(&self, groups: u32) -> Result<(), Cause> {
        set(&self.socket, self.port, groups)
    }
}

fn set(socket: &OwnedFd, port: u32, groups: u32) -> Result<(), Cause> {
    socket::bind_netlink(socket, port, groups).map_err(takes(NET_ADMIN))
}

impl Drop for Member {
    fn drop(&mut self) {
        // The copy in a forked process would keep the membership until that process ends.
        if self.process == Process::current() {
            socket::bind_netlink(&self.socket, self.port, 0).ok();
        }
    }
}

/// Lists the members of all groups in the socket's namespace, as pairs of port and groups.
///
/// # Errors
///
/// `ENOENT` if the kernel has no `netlink_diag`.
pub(crate) fn members(diagnosis: &mut Socket) -> Result<Vec<(u32, u32)>, Cause> {
    let mut batch = Batch::default();
    let protocol = NETLINK_USERSOCK.to_ne_bytes()[0];
    batch.append(|out| append_sockets(out, protocol, NLM_F_REQUEST | NLM_F_DUMP));
    diagnosis.dump(&mut batch, |message| read_socket(message).filter(|(_, groups)| *groups != 0))
}

/// Reports whether the cause means that memberships don't work here: no privilege, or no list of
/// the members.
pub(crate) fn is_unavailable(cause: &Cause) -> bool {
    matches!(
        cause.errno(),
        Some(Errno::EPERM | Errno::EACCES | Errno::ENOENT | Errno::EPROTONOSUPPORT)
    )
}
