//! Names for namespaces, as `ip netns` keeps them: files under `/run/netns` that a namespace is
//! mounted on, so that it lives without a process.
//!
//! `/run/netns` is a shared mount point of its own, so that names reach other mount namespaces, and
//! is locked while it becomes one. Source: ip-netns(8), iproute2's behaviour as of 6.1.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, fstat, stat};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs, statfs};

use super::hold::Hold;
pub(super) use super::hold::{DIRECTORY, path};
use super::identity::NetnsId;
use super::label::Quoted;
use crate::error::{Cause, Error, SYS_ADMIN, takes};
use crate::fault;
use crate::netlink::DEADLINE;

/// Opens what may be a namespace; `follow` says whether a link is. Without `O_NONBLOCK` a FIFO
/// would hang us.
pub(super) fn open_file(path: &Path, follow: OFlag) -> Result<OwnedFd, Errno> {
    fault::system_call("open")?;
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | follow;
    open(path, flags, Mode::empty())
}

/// Refuses names that could leave the directory.
pub(super) fn check(name: &str, action: &'static str) -> Result<(), Error> {
    let reason = match name {
        "" => "a namespace's name can't be empty",
        "." | ".." => "a namespace can't be named `.` or `..`",
        _ if name.len() > 255 => "a namespace's name has 255 bytes at most",
        _ if name.contains(['/', '\0']) => "a namespace's name can't contain `/` or NUL",
        _ => return Ok(()),
    };
    Err(Error::invalid(action, Quoted(name), reason))
}

/// A name that is taken, and stands for nothing yet.
pub(super) struct Reserved<'a> {
    name: &'a str,
    hold: Hold,
    _lock: Flock<File>,
}

/// Reserves the name by creating an empty file. Fails if the file exists.
pub(super) fn reserve(name: &str) -> Result<Reserved<'_>, Cause> {
    prepare_directory()?;
    let lock = lock_directory()?;
    fault::system_call("open")?;
    let hold = Hold::create(name).map_err(of_root)?;
    Ok(Reserved { name, hold, _lock: lock })
}

impl Reserved<'_> {
    /// Mounts the namespace on the file. Fails with EEXIST if `ip netns`, which takes no lock, has
    /// replaced the file.
    pub(super) fn bind(&self, namespace: BorrowedFd<'_>) -> Result<(), Cause> {
        if self.is_ours()? { bind(self.name, namespace) } else { Err(Errno::EEXIST.into()) }
    }

    /// Returns the lock that the owner of the name keeps.
    pub(super) fn into_hold(self) -> Hold {
        self.hold
    }

    /// Deletes the file after a failure, unless another program has replaced it.
    pub(super) fn release(self) {
        if self.is_ours().is_ok_and(|is_ours| is_ours) {
            fs::remove_file(path(self.name)).ok();
        }
    }

    fn is_ours(&self) -> io::Result<bool> {
        let own = self.hold.file().metadata()?;
        match fs::symlink_metadata(path(self.name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            there => there.map(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())),
        }
    }
}

/// Returns whether the owner of a name is dead.
pub(super) fn is_of_the_dead(name: &str) -> Result<bool, Cause> {
    let _lock = lock_directory()?;
    Ok(Hold::of_the_dead(name)?.is_some())
}

/// Deletes the name of a dead owner if it belongs to this namespace, or to none. Returns `false`
/// otherwise, also if the name is gone.
pub(super) fn remove_of_the_dead(name: &str, id: Option<NetnsId>) -> Result<bool, Cause> {
    let _lock = lock_directory()?;
    // Locked until the name is deleted, so that no process adopts it meanwhile.
    let Some(_hold) = Hold::of_the_dead(name)? else { return Ok(false) };
    let path = path(name);
    if identity(&path) != id {
        return Ok(false);
    }
    if id.is_some() {
        let exactly = open_itself(&path)?;
        umount_itself(&exactly)?;
    }
    fault::system_call("unlink")?;
    fs::remove_file(&path)?;
    Ok(true)
}

/// Mounts the namespace on a name that was reserved: on that very file, and neither on what a
/// symbolic link leads to nor over another mount.
pub(super) fn bind(name: &str, namespace: BorrowedFd<'_>) -> Result<(), Cause> {
    fault::system_call("mount")?;
    let file = open_itself(&path(name))?;
    let kind = SFlag::from_bits_truncate(fstat(&file)?.st_mode) & SFlag::S_IFMT;
    if kind != SFlag::S_IFREG || identity_of(&file).is_some() {
        return Err(Errno::EEXIST.into());
    }
    let itself = |fd: BorrowedFd<'_>| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let (source, target) = (itself(namespace), itself(file.as_fd()));
    mount(Some(source.as_str()), target.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(takes(SYS_ADMIN))
}

/// Whatever is there, be it a symbolic link, a FIFO or a mount; nothing is read.
fn open_itself(path: &Path) -> Result<OwnedFd, Errno> {
    open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
}

/// Deletes the name while it stands for this namespace. Where it stands for another by now, or for
/// none, it is not ours: ENOENT. Where it fails the name stands as before.
pub(super) fn delete(name: &str, id: NetnsId, namespace: BorrowedFd<'_>) -> Result<(), Cause> {
    match delete_locked(name, id, namespace) {
        Err(Cause::System(Errno::EMFILE | Errno::ENFILE)) => delete_without_descriptors(name, id),
        result => result,
    }
}

/// Deletes a name without opening a file, for processes without a free descriptor. Checks the
/// namespace first; another program may replace it between check and deletion.
fn delete_without_descriptors(name: &str, id: NetnsId) -> Result<(), Cause> {
    let path = path(name);
    if identity(&path) != Some(id) {
        return Err(Errno::ENOENT.into());
    }
    umount2(&path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).map_err(takes(SYS_ADMIN))?;
    Ok(fs::remove_file(&path)?)
}

fn delete_locked(name: &str, id: NetnsId, namespace: BorrowedFd<'_>) -> Result<(), Cause> {
    let _lock = lock_directory()?;
    let path = path(name);
    // The checked mount is the one to unmount: `ip netns delete` and `add` take no lock.
    let mount = match open_itself(&path)? {
        mount if identity_of(&mount) == Some(id) => mount,
        _ => return Err(Errno::ENOENT.into()),
    };
    umount_itself(&mount)?;
    match fault::system_call("unlink").map_err(Into::into).and_then(|()| fs::remove_file(&path)) {
        // Another program deleted and created the name at this moment: it owns the name.
        Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => Ok(()),
        Err(error) => {
            // Otherwise a second attempt would find a plain file.
            bind(name, namespace).ok();
            Err(error.into())
        }
        Ok(()) => Ok(()),
    }
}

/// The mount that was looked at, and no other that is there by now.
fn umount_itself(mount: &OwnedFd) -> Result<(), Cause> {
    fault::system_call("umount")?;
    let exactly = format!("/proc/self/fd/{}", mount.as_raw_fd());
    umount2(exactly.as_str(), MntFlags::MNT_DETACH).map_err(takes(SYS_ADMIN))
}

/// Lists all names, sorted, with the namespace of each.
pub(super) fn list() -> Result<Vec<(String, Option<NetnsId>)>, Cause> {
    let entries = match fs::read_dir(DIRECTORY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut list = Vec::new();
    for entry in entries {
        let entry = entry?;
        let id = identity(&entry.path());
        list.push((entry.file_name().to_string_lossy().into_owned(), id));
    }
    list.sort_unstable();
    Ok(list)
}

/// Says whether a taken name is alive or stale.
pub(super) fn explain_taken(cause: Cause, action: &'static str, name: &str) -> Error {
    cause.doing(action, Quoted(name)).hint_on(Errno::EEXIST, || what_is_there(name))
}

/// Describes the file or namespace that occupies a name.
pub(super) fn what_is_there(name: &str) -> String {
    let path = path(name);
    if identity(&path).is_some() {
        format!("a namespace of that name lives, at {}", path.display())
    } else if is_stale(name) {
        stale(name)
    } else {
        format!("{} is no namespace, and no file that one has left", path.display())
    }
}

/// The hint for a stale name.
pub(super) fn stale(name: &str) -> String {
    let path = path(name);
    format!(
        "{} is stale, a file left without its namespace: Netns::delete_stale({name:?}) removes it",
        path.display()
    )
}

/// Returns whether a name is a plain file without a namespace mounted on it.
pub(super) fn is_stale(name: &str) -> bool {
    let path = path(name);
    let is_file = path.symlink_metadata().is_ok_and(|file| file.is_file());
    is_file && identity(&path).is_none()
}

/// Deletes a stale name. Fails with EEXIST if the name is not stale.
pub(super) fn delete_stale(name: &str) -> Result<(), Cause> {
    let _lock = lock_directory()?;
    let path = path(name);
    path.symlink_metadata()?;
    if !is_stale(name) {
        return Err(Errno::EEXIST.into());
    }
    match fs::remove_file(&path) {
        // Created again at this moment by `ip netns add`, which takes no lock for that.
        Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => {
            Err(Errno::EEXIST.into())
        }
        removed => Ok(removed?),
    }
}

fn identity(path: &Path) -> Option<NetnsId> {
    let is_namespace = statfs(path).is_ok_and(|file| file.filesystem_type() == NSFS_MAGIC);
    is_namespace.then(|| stat(path).ok().map(NetnsId::from)).flatten()
}

fn identity_of(file: &OwnedFd) -> Option<NetnsId> {
    let is_namespace = fstatfs(file).is_ok_and(|file| file.filesystem_type() == NSFS_MAGIC);
    is_namespace.then(|| NetnsId::of(file).ok()).flatten()
}

/// Makes the directory a shared mount point, once. Other processes may do the same concurrently.
fn prepare_directory() -> Result<(), Cause> {
    let created = fs::DirBuilder::new().recursive(true).mode(0o755).create(DIRECTORY);
    created.map_err(of_root)?;
    let _lock = lock_directory()?;
    let share = || {
        let shared = MsFlags::MS_SHARED | MsFlags::MS_REC;
        mount(None::<&str>, DIRECTORY, None::<&str>, shared, None::<&str>)
    };
    match share() {
        // EINVAL: not a mount point yet.
        Err(Errno::EINVAL) => {
            let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(DIRECTORY), DIRECTORY, None::<&str>, bind, None::<&str>)
                .and_then(|()| share())
        }
        result => result,
    }
    .map_err(takes(SYS_ADMIN))
}

/// Explains an error: only root can create names.
fn of_root(error: io::Error) -> Cause {
    const ROOT: &str = "names are kept in /run/netns, which is root's: an anonymous namespace needs \
         none; as an ordinary user mount a tmpfs on /run under `unshare -rnm`";
    match Cause::from(error) {
        Cause::System(errno) => takes(ROOT)(errno),
        cause => cause,
    }
}

/// Takes the lock that `ip netns add` takes, too; dropping releases it. Any process that can read
/// the directory can hold the lock for ever. So the wait has the same deadline as an answer of the
/// kernel.
fn lock_directory() -> Result<Flock<File>, Cause> {
    fault::system_call("flock")?;
    match Flock::lock(File::open(DIRECTORY)?, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((directory, Errno::EWOULDBLOCK)) => wait_in_line(directory),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// Waits in the kernel's queue, which serves everybody. A program that only polled might starve.
/// Waits on another thread, because flock(2) has no deadline. If the deadline passes, that thread
/// ends once it gets the lock.
fn wait_in_line(mut directory: File) -> Result<Flock<File>, Cause> {
    let (sender, receiver) = mpsc::channel();
    let wait = move || {
        let locked = loop {
            match Flock::lock(directory, FlockArg::LockExclusive) {
                Ok(lock) => break Ok(lock),
                Err((file, Errno::EINTR)) => directory = file,
                Err((_, errno)) => break Err(errno),
            }
        };
        drop(sender.send(locked));
    };
    fault::system_call("clone")?;
    thread::Builder::new().spawn(wait)?;
    match receiver.recv_timeout(DEADLINE) {
        Ok(locked) => Ok(locked?),
        Err(_) => Err(Cause::Locked(DIRECTORY)),
    }
}
