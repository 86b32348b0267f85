//! What says that a name has an owner, and that who owns it lives.
//!
//! The file that a namespace is mounted on has a mode that no other program gives one for as long as the
//! name is to go with its owner, and is locked by the process that owns it: the kernel takes a lock away
//! when the process dies, however it dies. Neither is in the reach of what runs inside the namespace, and
//! both are the same wherever the directory is seen, with the mount or without. Under the mount the file is
//! reached through a copy of the directory that nothing is mounted in.

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

/// The directory of the names.
pub(super) const DIRECTORY: &str = "/run/netns";

/// Returns the path of a name's file.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// What goes with its owner.
const OWNED: u32 = 0o404;
/// The same, made under a umask by somebody who was killed in that instant.
const MASKED: u32 = 0o400;
/// What stays, as `ip netns add` makes it.
const KEPT: u32 = 0;

/// A name's file, locked until this is dropped or the process dies.
#[derive(Debug)]
pub(super) struct Hold(Flock<File>);

impl Hold {
    /// Makes the file of a name, which must not be there yet. While the directory is locked nobody finds it
    /// unlocked.
    pub(super) fn create(name: &str) -> io::Result<Self> {
        // For reading: who holds it must not stand in the way of a read-only mount.
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

    /// Takes on a name that exists; none where its owner lives, or it has no such file.
    pub(super) fn adopt(name: &str) -> Result<Option<Self>, Cause> {
        let Some(file) = under_the_mount(name)? else { return Ok(None) };
        let Some(hold) = locked(file)? else { return Ok(None) };
        hold.0.set_permissions(Permissions::from_mode(OWNED))?;
        Ok(Some(hold))
    }

    /// Takes a name whose owner is dead; none where there is no such owner. The directory is locked by the
    /// caller.
    pub(super) fn of_the_dead(name: &str) -> Result<Option<Self>, Cause> {
        let Some(file) = under_the_mount(name)? else { return Ok(None) };
        let is_owned = matches!(file.metadata()?.mode() & 0o7777, OWNED | MASKED);
        if is_owned { Ok(locked(file)?) } else { Ok(None) }
    }

    /// It is to stay.
    pub(super) fn keep(self) -> io::Result<()> {
        self.0.set_permissions(Permissions::from_mode(KEPT))
    }

    pub(super) fn file(&self) -> &File {
        &self.0
    }
}

/// None where somebody else has locked it.
fn locked(file: File) -> Result<Option<Hold>, Errno> {
    fault::system_call("flock")?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(Hold(lock))),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno),
    }
}

/// The empty file of a name, whatever is mounted on it. None where there is none.
fn under_the_mount(name: &str) -> Result<Option<File>, Cause> {
    fault::system_call("open_tree")?;
    let directory = match sys::without_mounts(DIRECTORY) {
        Err(Errno::ENOENT) => return Ok(None),
        directory => directory.map_err(takes(SYS_ADMIN))?,
    };
    // Whatever it is: nothing is read.
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
