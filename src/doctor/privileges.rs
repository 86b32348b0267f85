//! Checks which privileges the process can use. Also names its user, its namespaces, and the user
//! namespace that owns its network namespace.

use std::fmt;
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;

use super::answer::Answer;
use super::check::Check;
use crate::error::{Cause, Error};
use crate::netns::{Netns, NetnsId, on_thread};
use crate::sys;
use crate::sys::file::{self, AT_FDCWD, AccessFlags, Mode, OFlag};
use crate::sys::namespace::Target;
use crate::sys::setup::{CloneFlags, MsFlags, geteuid, mount, unshare};
use crate::sys::socket::{AddressFamily, NewSocket, SockType};

/// The user and the namespaces of the calling thread.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Place {
    /// The effective user.
    pub uid: u32,
    /// The inode of the user namespace, the number in `user:[4026531837]`.
    pub user_namespace: Option<u64>,
    /// The network namespace.
    pub network_namespace: Option<NetnsId>,
    /// The user namespace that owns the network namespace. Only capabilities in it count.
    pub owner: Owner,
}

/// The user namespace that owns the network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Owner {
    /// The process's own user namespace: its capabilities count.
    Ours,
    /// Another user namespace, by inode: the process's capabilities do not count.
    Other(u64),
    /// An outer user namespace, which this process can't see: the process's capabilities do not
    /// count.
    Above,
    /// The owner could not be looked up.
    Unknown,
}

impl Place {
    pub(super) fn of_this_thread(here: Option<&Netns>) -> Self {
        let user = file::stat("/proc/thread-self/ns/user").ok().map(|stat| file::inode(&stat));
        let owner = here.map(|here| sys::owner_of_namespace(here.as_fd()));
        let owner = match owner {
            Some(Ok(owner)) => file::fstat(owner).map_or(Owner::Unknown, |stat| {
                let inode = file::inode(&stat);
                if Some(inode) == user { Owner::Ours } else { Owner::Other(inode) }
            }),
            Some(Err(Errno::EPERM)) => Owner::Above,
            _ => Owner::Unknown,
        };
        Self {
            uid: geteuid().as_raw(),
            user_namespace: user,
            network_namespace: here.map(Netns::id),
            owner,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User {}", self.uid)?;
        if let Some(user) = self.user_namespace {
            write!(f, " in user:[{user}]")?;
        }
        if let Some(network) = self.network_namespace {
            write!(f, ", network {network}")?;
        }
        match self.owner {
            Owner::Ours => f.write_str(", owned by this user namespace"),
            Owner::Other(inode) => write!(f, ", owned by user:[{inode}]: no privilege here counts"),
            Owner::Above => {
                f.write_str(", owned by a user namespace above: no privilege here counts")
            }
            Owner::Unknown => Ok(()),
        }
    }
}

/// Tries each capability with a call that changes nothing. To have a capability is not enough: it
/// may not count in the user namespace that owns the network namespace, or a security module may
/// refuse its use.
pub(super) fn examine(here: Result<&Netns, &Error>) -> Vec<(Check, Answer)> {
    vec![
        (Check::NetAdmin, tried("CAP_NET_ADMIN", 12, use_net_admin().map_err(Cause::from))),
        (Check::SysAdmin, tried("CAP_SYS_ADMIN", 21, use_sys_admin(here))),
        (Check::NetRaw, tried("CAP_NET_RAW", 13, use_net_raw())),
    ]
}

/// Requests the namespace of a socket, which requires the capability in the user namespace that
/// owns it. Many other calls require it in the initial user namespace. Source: `sock_ioctl` in
/// `net/socket.c`.
pub(super) fn use_net_admin() -> Result<(), Errno> {
    let (family, kind) = (AddressFamily::Inet, SockType::Datagram);
    let socket = NewSocket { family, kind, protocol: 0 }.open()?;
    sys::namespace_of_socket(socket.as_fd()).map(drop)
}

/// Enters the current namespace again, on a new thread. Source: setns(2).
fn use_sys_admin(here: Result<&Netns, &Error>) -> Result<(), Cause> {
    let here = here.map_err(|error| error.errno().unwrap_or(Errno::ENOENT))?;
    on_thread(|| Ok(Target::Open(here.as_fd()).enter()?))
}

fn use_net_raw() -> Result<(), Cause> {
    const IPPROTO_ICMP: u8 = 1;
    Ok(NewSocket::raw(AddressFamily::Inet, IPPROTO_ICMP).open().map(drop)?)
}

/// Converts the result of using a capability to an answer.
fn tried(name: &str, number: u32, outcome: Result<(), Cause>) -> Answer {
    match outcome {
        Ok(()) => Answer::yes(),
        Err(Cause::System(Errno::EPERM | Errno::EACCES)) if is_effective(number) => Answer::no(
            format!(
                "this process has {name}, but another user namespace owns the network namespace, or a \
                 security module such as AppArmor refuses it"
            ),
            "run it in a network namespace of its own (`unshare -rnm`), or outside that profile",
        ),
        Err(Cause::System(Errno::EPERM | Errno::EACCES)) => Answer::no(
            format!("this process does not have {name}"),
            "run it as root, under `unshare -rnm`, or give the container that capability",
        ),
        Err(cause) => Answer::unknown(format!("the check could not be tried: {cause}")),
    }
}

/// Returns whether the process has a capability, for the reason of a refusal.
fn is_effective(number: u32) -> bool {
    let status = file::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    u64::from_str_radix(line.trim(), 16).is_ok_and(|set| set >> number & 1 == 1)
}

/// Tries a file and a mount, on a thread with its own mounts. Otherwise the first name would leave
/// `/run/netns` as a mount point.
pub(super) fn named_namespaces() -> Answer {
    let mut directory = Path::new("/run/netns");
    if !directory.exists() {
        directory = Path::new("/run");
    }
    if let Err(errno) = writable(directory) {
        return Answer::no(
            format!("{}: {}", directory.display(), errno.desc()),
            "run it as root, or with a tmpfs over /run (`netloom::sandbox`)",
        );
    }
    let mounted = on_thread(|| {
        let nothing = None::<&Path>;
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(nothing, Path::new("/"), nothing, MsFlags::MS_SLAVE | MsFlags::MS_REC, nothing)?;
        Ok(mount(Some(directory), directory, nothing, MsFlags::MS_BIND, nothing)?)
    });
    match mounted {
        Ok(()) => Answer::yes(),
        Err(Cause::System(Errno::EPERM | Errno::EACCES)) => Answer::no(
            "mounting is refused: it takes CAP_SYS_ADMIN, and no security module against it",
            "run it as root or under `unshare -rnm`",
        ),
        Err(cause) => Answer::unknown(format!("the check could not be tried: {cause}")),
    }
}

fn writable(directory: &Path) -> Result<(), Errno> {
    let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY;
    match file::open_at(AT_FDCWD, directory, flags, Mode::S_IRUSR) {
        // Some file systems have no files without names.
        Err(Errno::EOPNOTSUPP | Errno::EISDIR) => file::access(directory, AccessFlags::W_OK),
        opened => opened.map(drop),
    }
}
