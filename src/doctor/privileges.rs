//! Who asks: its privileges, its namespaces, and which user namespace owns what.

use std::fmt;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::fstat;
use nix::unistd::{AccessFlags, Uid, access};

use super::answer::Answer;
use super::check::Check;
use crate::netns::{Netns, NetnsId};
use crate::sandbox::limits::Obstacle;
use crate::sys;

/// Who asks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The effective user.
    pub uid: u32,
    /// The inode of the user namespace, the number in `user:[4026531837]`.
    pub user_namespace: Option<u64>,
    /// The network namespace.
    pub network_namespace: Option<NetnsId>,
    /// Which user namespace owns the network namespace: privileges count in that one.
    pub owner: Owner,
}

/// The user namespace that owns the network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// The process's own: its capabilities count.
    Ours,
    /// Another one, by inode: capabilities in the process's own are of no use.
    Other(u64),
    /// One above, which this process can't see: capabilities in its own are of no use.
    Above,
    /// It could not be looked up.
    Unknown,
}

impl Place {
    pub(super) fn of_this_thread(here: Option<&Netns>) -> Self {
        let user = File::open("/proc/thread-self/ns/user").ok();
        let user = user.and_then(|file| fstat(file).ok()).map(|stat| stat.st_ino);
        let owner = here.map(|here| sys::owner_of_namespace(here.as_fd()));
        let owner = match owner {
            Some(Ok(owner)) => fstat(owner).map_or(Owner::Unknown, |stat| {
                if Some(stat.st_ino) == user { Owner::Ours } else { Owner::Other(stat.st_ino) }
            }),
            Some(Err(error)) if error.raw_os_error() == Some(Errno::EPERM as i32) => Owner::Above,
            _ => Owner::Unknown,
        };
        Self {
            uid: Uid::effective().as_raw(),
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

pub(super) fn examine() -> Vec<(Check, Answer)> {
    let capabilities = effective();
    let has = |number: u32| match capabilities {
        Some(set) if set >> number & 1 == 1 => Answer::Yes,
        Some(_) => Answer::no(
            "this process does not have it",
            "run it as root, under `unshare -rnm`, or give the container that capability",
        ),
        None => Answer::unknown("/proc/thread-self/status can't be read"),
    };
    vec![
        (Check::NetAdmin, has(12)),
        (Check::SysAdmin, has(21)),
        (Check::NetRaw, has(13)),
        (Check::UserNamespaces, user_namespaces()),
    ]
}

fn effective() -> Option<u64> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// A child makes one, which a process with threads can't, and ends.
fn user_namespaces() -> Answer {
    // It gets there only where it has one; there is no such program.
    let mut child = Command::new("/proc/self/no-such-program");
    sys::pre_exec(&mut child, || {
        Ok(unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?)
    });
    let errno = match child.spawn() {
        Ok(mut child) => {
            child.wait().ok();
            return Answer::Yes;
        }
        Err(error) => Errno::from_raw(error.raw_os_error().unwrap_or_default()),
    };
    match (errno, Obstacle::behind(errno)) {
        (Errno::ENOENT, _) => Answer::Yes,
        (_, Some(obstacle)) => Answer::no(obstacle.to_string(), obstacle.remedy()),
        (Errno::ENOSPC, None) => Answer::no(
            "a limit is reached: user.max_user_namespaces, user.max_net_namespaces, or 32 of them nested",
            "as root `sysctl -w user.max_net_namespaces=65536`",
        ),
        (errno, None) => Answer::no(errno.desc(), "run it as root"),
    }
}

/// Looked up, not made: the first name would leave `/run/netns` as a mount point.
pub(super) fn named_namespaces() -> Answer {
    let mut directory = Path::new("/run/netns");
    if !directory.exists() {
        directory = Path::new("/run");
    }
    match access(directory, AccessFlags::W_OK) {
        Err(errno) => Answer::no(
            format!("{}: {}", directory.display(), errno.desc()),
            "run it as root, or with a tmpfs over /run (`netloom::sandbox`)",
        ),
        Ok(()) if effective().is_some_and(|set| set >> 21 & 1 == 0) => {
            Answer::no("mounting takes CAP_SYS_ADMIN", "run it as root or under `unshare -rnm`")
        }
        Ok(()) => Answer::Yes,
    }
}
