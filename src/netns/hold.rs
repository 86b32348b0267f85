//! Marks and locks the file of a named namespace, so that `reap` can tell a live owner from a dead
//! one.
//!
//! The file is the mount point of the namespace. While the name is to be deleted with its owner,
//! the file has a mode that no other program uses, and the owner's process holds a lock on it. The
//! kernel releases the lock when the process dies, in whatever way.
//!
//! Programs inside the namespace can change neither mode nor lock. Both look the same in every
//! mount namespace, with or without the mount. A copy of the directory without mounts (`open_tree`)
//! gives access to a file under its mount.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open, openat};
use nix::sys::stat::Mode;

use crate::error::{Cause, SYS_ADMIN, takes};
use crate::{fault, sys};

/// The directory of named namespaces.
pub(super) const DIRECTORY: &str = "/run/netns";

/// Returns the path of a name's file.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// The mode of a name that is deleted with its owner.
const OWNED: u32 = 0o404;
/// The same mode, reduced by the umask. Left by a process that was killed between open(2) and
/// fchmod(2).
const MASKED: u32 = 0o400;
/// The mode of a persistent name, as `ip netns add` sets it.
const KEPT: u32 = 0;

/// The file of a name, locked until this is dropped or the process dies.
#[derive(Debug)]
pub(super) struct Hold(Flock<File>);

impl Hold {
    /// Creates and locks the file of a name; fails if it exists. The lock of the directory keeps
    /// others from seeing the file unlocked.
    pub(super) fn create(name: &str) -> io::Result<Self> {
        // Opened for reading: an open writer would prevent a read-only remount.
        let flags = OFlag::O_RDONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = open(&path(name), flags, Mode::from_bits_truncate(OWNED))?;
        let file = File::from(file);
        let made = || {
            fault::system_call("fchmod")?;
            file.set_permissions(Permissions::from_mode(OWNED))
        };
        match made().and_then(|()| Ok(locked(file)?.ok_or(Errno::EEXIST)?)) {
            Ok(hold) => Ok(hold),
            Err(error) => {
                std::fs::remove_file(path(name)).ok();
                Err(error)
            }
        }
    }

    /// Takes ownership of an existing name. Returns `None` if its owner lives, or if the name has
    /// no such file.
    pub(super) fn adopt(name: &str) -> Result<Option<Self>, Cause> {
        let Some(file) = under_the_mount(name)? else { return Ok(None) };
        let Some(hold) = locked(file)? else { return Ok(None) };
        hold.0.set_permissions(Permissions::from_mode(OWNED))?;
        Ok(Some(hold))
    }

    /// Takes ownership of a name whose owner is dead. Returns `None` if it has no such owner. The
    /// caller holds the lock of the directory.
    pub(super) fn of_the_dead(name: &str) -> Result<Option<Self>, Cause> {
        let Some(file) = under_the_mount(name)? else { return Ok(None) };
        let is_owned = matches!(file.metadata()?.mode() & 0o7777, OWNED | MASKED);
        if is_owned { Ok(locked(file)?) } else { Ok(None) }
    }

    /// Makes the name persistent.
    pub(super) fn keep(self) -> io::Result<()> {
        self.0.set_permissions(Permissions::from_mode(KEPT))
    }

    pub(super) fn file(&self) -> &File {
        &self.0
    }
}

/// Locks the file. Returns `None` if another process holds the lock.
fn locked(file: File) -> Result<Option<Hold>, Errno> {
    fault::system_call("flock")?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(Hold(lock))),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno),
    }
}

/// Opens the empty file of a name, under whatever is mounted on it. Returns `None` if the name has
/// no such file.
fn under_the_mount(name: &str) -> Result<Option<File>, Cause> {
    fault::system_call("open_tree")?;
    let directory = match sys::without_mounts(DIRECTORY) {
        Err(Errno::ENOENT) => return Ok(None),
        directory => directory.map_err(takes(SYS_ADMIN))?,
    };
    // `O_PATH`: the file may be of any kind, and opening it must have no effect.
    let itself = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let itself = match openat(&directory, name, itself, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(None),
        opened => File::from(opened?),
    };
    let file = itself.metadata()?;
    if !file.is_file() || file.len() != 0 {
        return Ok(None);
    }
    fault::system_call("open")?;
    Ok(Some(File::open(format!("/proc/self/fd/{}", itself.as_raw_fd()))?))
}
