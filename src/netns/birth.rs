//! The birth of a namespace, with the socket that talks to it from then on.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

use super::enter::{GoHome, on_thread};
use super::open::Netns;
use super::sockets::Sockets;
use super::ways::own_file;
use crate::error::{Cause, SYS_ADMIN, takes};
use crate::fault;
use crate::netlink::{Protocol, Socket};
use crate::sys::{self, NotOpened};

/// A new namespace with its first socket.
pub(super) fn fresh() -> Result<Netns, Cause> {
    match at_once()? {
        Some(netns) => Ok(netns),
        None => on_a_thread_of_std(),
    }
}

/// Born with its socket, whose namespace is then asked for. None where this C library, an emulator, a
/// filter or a missing `CAP_NET_ADMIN` leaves only the long way.
fn at_once() -> Result<Option<Netns>, Cause> {
    fault::system_call("clone")?;
    let socket = match sys::socket_in_new_namespace() {
        // ENOSYS: what a seccomp filter may say of a clone with namespaces in its flags.
        Err(NotOpened::Thread(Errno::EINVAL | Errno::ENOSYS)) => return Ok(None),
        Err(NotOpened::Thread(errno)) => return Err(takes(SYS_ADMIN)(errno)),
        Err(NotOpened::Entering(errno) | NotOpened::Socket(errno)) => Err(errno),
        Ok(socket) => Ok(socket),
    };
    fault::system_call("socket")?;
    let socket = socket?;
    fault::system_call("ioctl")?;
    let Ok(file) = sys::namespace_of_socket(socket.as_fd()) else { return Ok(None) };
    let sockets = Sockets::private(Socket::of(Protocol::Route, socket)?);
    Ok(Some(Netns::born(file, sockets)))
}

/// Some twenty system calls more.
fn on_a_thread_of_std() -> Result<Netns, Cause> {
    let home = own_file()?;
    on_thread(|| {
        fault::system_call("unshare")?;
        unshare(CloneFlags::CLONE_NEWNET).map_err(takes(SYS_ADMIN))?;
        let _home = GoHome(home);
        let sockets = Sockets::private(Socket::open(Protocol::Route)?);
        Ok(Netns::born(own_file()?, sockets))
    })
}
