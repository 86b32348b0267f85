//! The library's only `unsafe`: what std and nix leave to the caller to promise.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType};

pub(crate) mod hook;
pub(crate) mod namespace;
pub(crate) mod pidfd;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod setup;
pub(crate) mod socket;
pub(crate) mod spin;
pub(crate) mod thread;

/// Runs `setup` between the fork and the exec of `command`; without a fork for
/// [`exec`](CommandExt::exec).
///
/// `setup` may only make system calls on what was prepared before. Another thread may have held a
/// lock when the process was forked, so anything else may wait for ever. `doctor` does more, and
/// sets an alarm before.
pub(crate) fn pre_exec(
    command: &mut Command,
    setup: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: the closure must be async-signal-safe. It is this function's contract, and as the
    // function is private to the crate its callers are few: `sandbox` and `netns::command` pass
    // closures that make system calls on prepared C strings and descriptors, and nothing else.
    // The closure of `doctor` may wait for a lock, until its alarm ends the child.
    unsafe {
        command.pre_exec(setup);
    }
}

/// Takes over a pipe that the process was started with, and closes it on the next exec. None if
/// that descriptor is not open, or is another file.
pub(crate) fn inherited(fd: RawFd, inode: libc::ino_t) -> Option<OwnedFd> {
    // SAFETY: F_GETFD only reads a flag; on a number that is not open it fails with EBADF.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
        return None;
    }
    // SAFETY: the descriptor is open, and borrowed for one look at its inode.
    let file = unsafe { BorrowedFd::borrow_raw(fd) };
    if nix::sys::stat::fstat(file).ok()?.st_ino != inode {
        return None;
    }
    // SAFETY: F_SETFD only sets a flag of a descriptor that is open.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return None;
    }
    // SAFETY: the descriptor is open, and is the pipe that the parent left for the caller, once.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Binds a socket to a link, by its index (`SO_BINDTOIFINDEX`, socket(7)).
pub(crate) fn bind_to_link(socket: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(&index)).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `length` bytes from `index`, which is as long and lives until then.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_BINDTOIFINDEX,
            (&raw const index).cast(),
            length,
        )
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The user namespace that owns a namespace (`NS_GET_USERNS`, `ioctl_nsfs(2)`).
pub(crate) fn owner_of_namespace(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // Its number differs between architectures.
    nix::ioctl_none!(ns_get_userns, 0xb7, 1);
    // SAFETY: this request takes no argument, and any other file refuses it with ENOTTY.
    let fd = unsafe { ns_get_userns(namespace.as_raw_fd()) }?;
    // SAFETY: the descriptor is new, so it has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A socket to be opened, as socket(2) takes it, close-on-exec.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewSocket {
    pub(crate) family: AddressFamily,
    pub(crate) kind: SockType,
    pub(crate) flags: SockFlag,
    /// The protocol's number. nix names only a few.
    pub(crate) protocol: i32,
}

impl NewSocket {
    pub(crate) const ROUTE: Self = Self::netlink(libc::NETLINK_ROUTE);

    pub(crate) const fn netlink(protocol: i32) -> Self {
        let (family, kind) = (AddressFamily::Netlink, SockType::Raw);
        Self { family, kind, flags: SockFlag::empty(), protocol }
    }

    pub(crate) fn raw(family: AddressFamily, protocol: u8) -> Self {
        let (kind, protocol) = (SockType::Raw, i32::from(protocol));
        Self { family, kind, flags: SockFlag::empty(), protocol }
    }

    /// Opens the socket in the calling thread's namespace. Makes one system call and allocates
    /// nothing.
    pub(crate) fn open(self) -> Result<OwnedFd, Errno> {
        let kind = self.kind as i32 | (self.flags | SockFlag::SOCK_CLOEXEC).bits();
        // SAFETY: socket(2) takes three numbers, and refuses what it does not know.
        let fd = unsafe { libc::socket(self.family as i32, kind, self.protocol) };
        if fd == -1 {
            return Err(Errno::last());
        }
        // SAFETY: the descriptor is new, so it has no other owner.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// The network namespace a socket is in (`SIOCGSKNS`, `netdevice(7)`): takes `CAP_NET_ADMIN` there.
pub(crate) fn namespace_of_socket(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    const SIOCGSKNS: libc::Ioctl = 0x894c;
    // SAFETY: this request takes no argument, and a file that is no socket refuses it with ENOTTY.
    let fd = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS) };
    if fd == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, so it has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Returns a number that no other network namespace has until the machine is rebooted
/// (`SO_NETNS_COOKIE`, `net/core/sock.c`).
pub(crate) fn namespace_cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of_val(&cookie)).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` bytes to `cookie`, which is as long, and their
    // number to `length`; both live until then.
    let got = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if got == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

/// Opens a copy of a directory without the mounts in it (`open_tree(2)`). It takes `CAP_SYS_ADMIN`.
pub(crate) fn without_mounts(directory: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const EMPTY_PATH: libc::c_uint = libc::AT_EMPTY_PATH.cast_unsigned();
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | EMPTY_PATH;
    // SAFETY: the kernel reads the path up to its NUL, and keeps nothing of it.
    let fd =
        unsafe { libc::syscall(libc::SYS_open_tree, directory.as_raw_fd(), c"".as_ptr(), flags) };
    // Every descriptor is one.
    let fd = Errno::result(RawFd::try_from(fd).unwrap_or(-1))?;
    // SAFETY: the descriptor is new, so it has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Creates a link of `/dev/net/tun`. The kernel deletes it when the file is closed (`TUNSETIFF`,
/// `tuntap.rst`).
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

/// Converts a descriptor into a type that is made from its number alone.
pub(crate) fn taken_over<T: FromRawFd>(fd: OwnedFd) -> T {
    // SAFETY: the descriptor is open and given away, so the new owner is its only one.
    unsafe { T::from_raw_fd(fd.into_raw_fd()) }
}

/// A closure that borrows, and that another thread runs or drops.
///
/// The fields are dropped in this order, which [`lend`] relies on.
pub(crate) struct Lent {
    closure: Box<dyn FnOnce() + Send>,
    returned: mpsc::Sender<()>,
}

impl Lent {
    pub(crate) fn run(self) {
        let Self { closure, returned } = self;
        closure();
        drop(returned);
    }
}

/// Passes a closure to another thread by `submit`. Returns when that thread has run or dropped the
/// closure.
pub(crate) fn lend<'a>(closure: impl FnOnce() + Send + 'a, submit: impl FnOnce(Lent)) {
    /// Waits when dropped, so that no path skips the wait, not even a panic.
    struct Wait(mpsc::Receiver<()>);

    impl Drop for Wait {
        fn drop(&mut self) {
            // Nothing is ever sent: the loop ends when the sender is dropped.
            while spin::receive(&self.0).is_ok() {}
        }
    }

    let (returned, wait) = mpsc::channel();
    let _wait = Wait(wait);
    let closure: Box<dyn FnOnce() + Send + 'a> = Box::new(closure);
    // SAFETY: only the lifetime changes. What the closure borrows outlives this call, which does
    // not end, be it by a panic, before `_wait` has seen the `returned` in `Lent` dropped. That is
    // private to `Lent` and dropped after the closure: by `run`, whose call consumes the closure,
    // also when it panics, and otherwise by the order of the fields. A `Lent` that is leaked waits
    // for ever.
    let closure: Box<dyn FnOnce() + Send> = unsafe { std::mem::transmute(closure) };
    submit(Lent { closure, returned });
}
