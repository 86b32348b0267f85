//! The files of names under `/run/netns`. A lock on the file shows that the name's owner is alive.
//!
//! If a name is deleted with its owner, its file has mode 0400, and the owner holds a flock(2) on
//! it. The kernel releases the lock when the process dies. Only root can open such a file, so no
//! ordinary user can lock it. Code inside the namespace cannot reach the file or the lock, and both
//! are the same in each mount namespace. All other names have mode 0, as with `ip netns add`. The
//! owner keeps the directory open, so that a chroot or a mount over `/run/netns` does not cut the
//! owner off.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;

use super::enter::on_thread;
use super::identity::NetnsId;
use super::named::{self, OWNED, of_root};
use crate::error::{Cause, SYS_ADMIN, takes};
use crate::owned::sealed::Removed;
use crate::sys;
use crate::sys::file::{self, Mode, OFlag, itself};
use crate::sys::setup::{CloneFlags, MntFlags, MsFlags, fchdir, mount, umount, unshare};
use crate::sys::thread;

/// The mode of the files of all other names.
const KEPT: Mode = Mode::empty();

/// The file of a name. It stays locked until this value is dropped or the process dies.
#[derive(Debug)]
pub(super) struct NameFile {
    directory: OwnedFd,
    name: String,
    /// The file. `None` if the name's owner is another process.
    file: Option<OwnedFd>,
}

impl NameFile {
    /// Creates the file of a new name. The file gets its lock and its mode before its name.
    pub(super) fn create(name: &str) -> Result<Self, Cause> {
        let directory = named::prepare_directory()?;
        let (file, has_name) = match unnamed(&directory) {
            // overlayfs before Linux 6.1 cannot do that. If the process is killed before the chmod,
            // it leaves a stale name.
            Err(Errno::EOPNOTSUPP) => {
                let flags = OFlag::O_RDONLY | OFlag::O_CREAT | OFlag::O_EXCL;
                (file::open_at(&directory, name, flags, KEPT).map_err(of_root)?, true)
            }
            file => (file.map_err(of_root)?, false),
        };
        let complete = || {
            if !file::try_lock(&file, false)? {
                return Err(Errno::EEXIST.into());
            }
            file::set_mode(&file, OWNED)?;
            if !has_name {
                file::link(&file, &directory, name).map_err(of_root)?;
            }
            Ok(())
        };
        let completed: Result<(), Cause> = complete();
        let created = Self { directory, name: name.to_owned(), file: Some(file) };
        if completed.is_err() && has_name {
            created.unlink().ok();
        }
        completed.map(|()| created)
    }

    /// Makes this process the owner of a name. Returns `None` if the name has another owner, or is
    /// not an empty file.
    pub(super) fn adopt(name: &str) -> Result<Option<Self>, Cause> {
        let Some((directory, file)) = below_the_mount(name)? else { return Ok(None) };
        if !lock(&file)? {
            return Ok(None);
        }
        file::set_mode(&file, OWNED)?;
        Ok(Some(Self { directory, name: name.to_owned(), file: Some(file) }))
    }

    /// Returns a name that can be deleted without being its owner.
    pub(super) fn unowned(name: &str) -> Result<Self, Cause> {
        Ok(Self { directory: named::open_directory()?, name: name.to_owned(), file: None })
    }

    /// Ends the ownership: the name stays when the process ends.
    pub(super) fn keep(self) -> Result<(), Errno> {
        self.file.map_or(Ok(()), |file| file::set_mode(file, KEPT))
    }

    /// Mounts the namespace on this very file. Fails if another file or mount has taken the name.
    pub(super) fn bind(&self, namespace: BorrowedFd<'_>) -> Result<(), Cause> {
        let target = named::open_itself(&self.directory, &self.name)?;
        if !self.is_own(&target)? {
            return Err(Errno::EEXIST.into());
        }
        let (source, target) = (itself(namespace), itself(&target));
        mount(Some(source.as_str()), target.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .map_err(takes(SYS_ADMIN))
    }

    /// Deletes the name of a namespace. If that fails, the name is mounted again on `namespace`.
    pub(super) fn delete(
        &self,
        id: Option<NetnsId>,
        namespace: Option<BorrowedFd<'_>>,
    ) -> Result<Removed, Cause> {
        if !self.has_name()? {
            return Ok(Removed::Gone);
        }
        let found = match named::open_itself(&self.directory, &self.name) {
            Err(errno @ (Errno::EMFILE | Errno::ENFILE)) => {
                return delete_without_descriptors(&self.name, id, errno);
            }
            Err(Errno::ENOENT) => return self.not_found(),
            found => found?,
        };
        let mounted = named::identity_of(&found)?;
        if mounted.is_some() && mounted == id {
            self.umount(&found)?;
        } else if !self.is_own(&found)? {
            return self.not_found();
        }
        let unlinked = self.unlink();
        if let (Err(_), Some(namespace), true) = (&unlinked, namespace, mounted.is_some()) {
            self.bind(namespace).ok();
        }
        unlinked.map(|()| Removed::Deleted)
    }

    /// Decides between `Gone` and an error, for a name that refers to something else.
    fn not_found(&self) -> Result<Removed, Cause> {
        // The file of another process's name was deleted along with the name.
        if self.file.is_none() || !self.has_name()? {
            return Ok(Removed::Gone);
        }
        Err(Cause::Replaced(format!(
            "its file is still there, but {}/{} stands for something else",
            named::DIRECTORY,
            self.name
        )))
    }

    /// Removes the file, if it still has its name.
    pub(super) fn unlink(&self) -> Result<(), Cause> {
        // `ip netns` takes no lock: another program may have deleted the name and created it again.
        if !self.has_name()? {
            return Ok(());
        }
        match file::unlink(&self.directory, &self.name) {
            Err(Errno::EBUSY) if self.file.is_none() => Ok(()),
            unlinked => Ok(unlinked?),
        }
    }

    /// Returns whether the file still has its name.
    fn has_name(&self) -> Result<bool, Errno> {
        self.file.as_ref().map_or(Ok(true), |file| Ok(file::fstat(file)?.st_nlink > 0))
    }

    /// Returns whether an opened object is this file, with nothing mounted on it.
    fn is_own(&self, found: &OwnedFd) -> Result<bool, Errno> {
        let Some(own) = &self.file else { return Ok(false) };
        let (own, found) = (file::fstat(own)?, file::fstat(found)?);
        Ok((own.st_dev, own.st_ino) == (found.st_dev, found.st_ino))
    }

    /// Unmounts the mount that was found, and no other one that has taken its place.
    fn umount(&self, found: &OwnedFd) -> Result<(), Cause> {
        match umount(itself(found).as_str(), MntFlags::MNT_DETACH) {
            // Without `/proc`, a mount can be unmounted only by its name, not by its descriptor.
            Err(Errno::ENOENT) => on_thread(|| {
                unshare(CloneFlags::CLONE_FS)?;
                fchdir(&self.directory)?;
                let flags = MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
                umount(self.name.as_str(), flags).map_err(takes(SYS_ADMIN))
            }),
            unmounted => unmounted.map_err(takes(SYS_ADMIN)),
        }
    }
}

/// Deletes a name if the process can open no file. Another program may replace the name between the
/// check and the deletion.
fn delete_without_descriptors(
    name: &str,
    id: Option<NetnsId>,
    errno: Errno,
) -> Result<Removed, Cause> {
    let path = named::path(name);
    if id.is_none() || named::identity(&path) != id {
        return Err(errno.into());
    }
    umount(&path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).map_err(takes(SYS_ADMIN))?;
    file::remove_file(&path)?;
    Ok(Removed::Deleted)
}

/// Returns whether a name has a dead owner.
pub(super) fn is_orphan(name: &str) -> Result<bool, Cause> {
    let Some((_, file)) = below_the_mount(name)? else { return Ok(false) };
    Ok(is_owned(&file)? && file::try_lock(&file, true)?)
}

/// Removes a name if its owner is dead, and the name refers to the namespace `id`, or to none.
pub(super) fn remove_orphan(name: &str, id: Option<NetnsId>) -> Result<bool, Cause> {
    let Some((directory, file)) = below_the_mount(name)? else { return Ok(false) };
    if !is_owned(&file)? || !lock(&file)? {
        return Ok(false);
    }
    match (NameFile { directory, name: name.to_owned(), file: Some(file) }).delete(id, None) {
        Err(Cause::Replaced(_)) => Ok(false),
        removed => Ok(removed? == Removed::Deleted),
    }
}

/// Deletes a stale name. EEXIST: the name refers to a namespace, or its owner lives.
pub(super) fn delete_stale(name: &str) -> Result<(), Cause> {
    let directory = named::open_directory()?;
    let mut file = named::open_itself(&directory, name)?;
    if !file::is_plain(&file::fstat(&file)?) || named::identity_of(&file)?.is_some() {
        return Err(Errno::EEXIST.into());
    }
    if is_owned(&file)? {
        file = file::reopen(&file)?;
        if !lock(&file)? {
            return Err(Errno::EEXIST.into());
        }
    }
    match (NameFile { directory, name: name.to_owned(), file: Some(file) }).delete(None, None) {
        Ok(Removed::Gone) => Err(Errno::ENOENT.into()),
        // Another program mounted a namespace on the file just now.
        Err(Cause::Replaced(_) | Cause::System(Errno::EBUSY)) => Err(Errno::EEXIST.into()),
        deleted => deleted.map(drop),
    }
}

fn is_owned(file: &OwnedFd) -> Result<bool, Errno> {
    Ok(file::mode(&file::fstat(file)?) == OWNED)
}

/// Creates a file without a name. The file is opened for reading, because a file open for writing
/// would prevent a read-only remount.
fn unnamed(directory: &OwnedFd) -> Result<OwnedFd, Errno> {
    let writer = file::open_at(directory, ".", OFlag::O_TMPFILE | OFlag::O_WRONLY, OWNED)?;
    // The umask may have removed the read permission.
    file::set_mode(&writer, OWNED)?;
    file::reopen(&writer)
}

/// Opens the empty file of a name, below whatever is mounted on it, and the directory. Returns
/// `None` if there is no such file.
fn below_the_mount(name: &str) -> Result<Option<(OwnedFd, OwnedFd)>, Cause> {
    let directory = match named::open_directory() {
        Err(Errno::ENOENT) => return Ok(None),
        directory => directory?,
    };
    let copy = sys::without_mounts(directory.as_fd()).map_err(takes(SYS_ADMIN))?;
    let found = match named::open_itself(&copy, name) {
        Err(Errno::ENOENT) => return Ok(None),
        found => found?,
    };
    let stat = file::fstat(&found)?;
    if !file::is_plain(&stat) || stat.st_size != 0 {
        return Ok(None);
    }
    Ok(Some((directory, file::reopen(&found)?)))
}

/// Locks the file. Returns `false` if its owner lives. [`is_orphan`] takes the shared lock for a
/// moment, which must not count as an owner.
fn lock(file: &OwnedFd) -> Result<bool, Errno> {
    for _ in 0..100 {
        if !file::try_lock(file, true)? {
            return Ok(false);
        }
        if file::try_lock(file, false)? {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// The test needs its own process: a child that another test forks inherits the descriptor and
    /// the lock until its exec.
    #[test]
    fn a_look_at_a_lock_refuses_nobody_and_an_owner_does() {
        crate::testing::isolated(|| {
            let path = std::env::temp_dir().join(format!("netloom-lock-{}", std::process::id()));
            std::fs::write(&path, "").unwrap();
            let open = || file::open(&path, OFlag::O_RDONLY).unwrap();
            let is_over = AtomicBool::new(false);
            let refused = thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while !is_over.load(Ordering::Relaxed) {
                            file::try_lock(open(), true).unwrap();
                            // In practice a check is rare. Two threads that check without a pause
                            // would leave no gap.
                            thread::sleep(Duration::from_micros(50));
                        }
                    });
                }
                // Returned, not asserted: a panic here would leave the threads above running.
                let refused = (0..200).find(|_| {
                    let owner = open();
                    !lock(&owner).unwrap_or(false) || lock(&open()).unwrap_or(true)
                });
                is_over.store(true, Ordering::Relaxed);
                refused
            });
            assert_eq!(refused, None);
            std::fs::remove_file(path).unwrap();
        });
    }
}
