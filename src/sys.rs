//! The library's only access to the system: every system call, the faults that tests inject, and
//! all `unsafe` code.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

use crate::fault;

pub(crate) mod file;
pub(crate) mod hook;
mod lend;
pub(crate) mod namespace;
pub(crate) mod pidfd;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod setup;
pub(crate) mod socket;
pub(crate) mod spin;
pub(crate) mod thread;

pub(crate) use lend::{Lent, lend};
pub(crate) use socket::{NewSocket, bind_to_link, namespace_cookie, namespace_of_socket};

/// Returns the descriptor that a system call created, or the call's errno.
///
/// # Safety
///
/// `result` must be the result of a call that returns a new descriptor or -1.
unsafe fn new_fd(result: impl Into<libc::c_long>) -> Result<OwnedFd, Errno> {
    let fd = Errno::result(RawFd::try_from(result.into()).unwrap_or(-1))?;
    // SAFETY: the descriptor is new, so it has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Returns the user namespace that owns a namespace (`NS_GET_USERNS`, `ioctl_nsfs(2)`).
pub(crate) fn owner_of_namespace(namespace: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // The number of this ioctl differs between architectures.
    const NS_GET_USERNS: libc::Ioctl = nix::request_code_none!(0xb7, 1) as libc::Ioctl;
    // SAFETY: this request takes no argument and returns a new descriptor. Any other file refuses
    // it with ENOTTY.
    unsafe { new_fd(libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS)) }
}

/// Opens a copy of a directory without the mounts inside (`open_tree(2)`). Requires
/// `CAP_SYS_ADMIN`.
pub(crate) fn without_mounts(directory: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const EMPTY_PATH: libc::c_uint = libc::AT_EMPTY_PATH.cast_unsigned();
    fault::system_call("open_tree")?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | EMPTY_PATH;
    let (call, nothing) = (libc::SYS_open_tree, c"".as_ptr());
    // SAFETY: the kernel reads the path up to its NUL, keeps nothing of it, and returns a new
    // descriptor.
    unsafe { new_fd(libc::syscall(call, directory.as_raw_fd(), nothing, flags)) }
}

/// Creates a tun link from an open `/dev/net/tun`. The kernel deletes the link when the file is
/// closed (`TUNSETIFF`, `tuntap.rst`).
pub(crate) fn make_tun(device: BorrowedFd<'_>) -> io::Result<()> {
    const IFREQ: usize = 40;
    const IFF_TUN: u16 = 1;
    let mut request = [0_u8; IFREQ];
    request[..5].copy_from_slice(b"tun%d");
    request[libc::IFNAMSIZ..][..2].copy_from_slice(&IFF_TUN.to_ne_bytes());
    // SAFETY: the kernel reads a `struct ifreq` of 40 bytes and writes the name into it, and
    // `request` is as long. Any other file refuses the request with ENOTTY.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, request.as_mut_ptr()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Converts a descriptor into a type that can be created only from a descriptor's number.
pub(crate) fn taken_over<T: FromRawFd>(fd: OwnedFd) -> T {
    // SAFETY: the descriptor is open, and `fd` gives up its ownership, so the new owner is the only
    // one.
    unsafe { T::from_raw_fd(fd.into_raw_fd()) }
}
