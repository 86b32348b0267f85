//! Names of namespaces, as `ip netns` keeps them: files under `/run/netns`. A namespace is mounted
//! on each, so it lives without a process.
//!
//! `/run/netns` is a shared mount point, so that names appear in other mount namespaces.
//! Source: ip-netns(8), iproute2 6.1.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::identity::NetnsId;
use super::label::Quoted;
use crate::error::{Cause, Error, SYS_ADMIN, takes};
use crate::sys::file::{self, Mode, OFlag};
use crate::sys::setup::{MsFlags, mount};
use crate::sys::thread;

/// The directory of all names.
pub(super) const DIRECTORY: &str = "/run/netns";

/// The mode of a file whose name is deleted with its owner.
pub(super) const OWNED: Mode = Mode::S_IRUSR;

/// Returns the path of a name's file.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// Opens a file that may be a namespace. `follow` is `O_NOFOLLOW` or empty. `O_NONBLOCK` keeps the
/// call from blocking on a FIFO.
pub(super) fn open_file(path: &Path, follow: OFlag) -> Result<OwnedFd, Errno> {
    file::open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | follow)
}

/// Refuses names that would lead out of the directory.
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

/// Opens `/run/netns`, to look up names in it.
pub(super) fn open_directory() -> Result<OwnedFd, Errno> {
    file::open(DIRECTORY, OFlag::O_PATH | OFlag::O_DIRECTORY)
}

/// Opens the object that has a name, without reading it: a symbolic link, a FIFO or a mount.
pub(super) fn open_itself(directory: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    file::open_at(directory, name, OFlag::O_PATH | OFlag::O_NOFOLLOW, Mode::empty())
}

/// Lists all names, sorted, with their namespaces.
pub(super) fn list() -> Result<Vec<(String, Option<NetnsId>)>, Cause> {
    let entries = match file::read_dir(DIRECTORY) {
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

/// Explains why a name is taken.
pub(super) fn explain_taken(cause: Cause, action: &'static str, name: &str) -> Error {
    cause.doing(action, Quoted(name)).hint_on(Errno::EEXIST, || what_is_there(name))
}

/// Describes the file that has a name.
pub(super) fn what_is_there(name: &str) -> String {
    let path = path(name);
    if identity(&path).is_some() {
        format!("a namespace of that name lives, at {}", path.display())
    } else if is_stale(name) {
        stale(name)
    } else {
        format!("{} is neither a namespace nor the file of one", path.display())
    }
}

/// Returns the hint for a stale name.
pub(super) fn stale(name: &str) -> String {
    let path = path(name);
    let shown = path.display();
    if file::lstat(&path).is_ok_and(|found| file::mode(&found) == OWNED) {
        return format!(
            "{shown} has an owner, and its namespace is not mounted here: netloom::reap removes it once \
             the owner is dead"
        );
    }
    format!(
        "{shown} is stale, a file left without its namespace: Netns::delete_stale({name:?}) removes it"
    )
}

/// Returns whether a name is a plain file that no namespace is mounted on.
pub(super) fn is_stale(name: &str) -> bool {
    let path = path(name);
    file::lstat(&path).is_ok_and(|found| file::is_plain(&found)) && identity(&path).is_none()
}

/// Returns the identity of the namespace at a path.
pub(super) fn identity(path: &Path) -> Option<NetnsId> {
    let is_namespace = file::statfs(path).is_ok_and(file::is_namespace);
    is_namespace.then(|| file::stat(path).ok().map(NetnsId::from)).flatten()
}

/// Returns the identity of the namespace that an open file refers to.
pub(super) fn identity_of(file: &OwnedFd) -> Result<Option<NetnsId>, Cause> {
    file::is_namespace(file::fstatfs(file)?).then(|| NetnsId::of(file)).transpose()
}

/// Creates the directory, makes it a shared mount point as `ip netns` does, and opens it.
pub(super) fn prepare_directory() -> Result<OwnedFd, Cause> {
    let created = file::create_directory(DIRECTORY, 0o755);
    created.map_err(|error| of_root(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)))?;
    match share() {
        Err(Errno::EINVAL) => share_new_mount()?,
        shared => shared.map_err(takes(SYS_ADMIN))?,
    }
    Ok(open_directory()?)
}

/// Makes the mount point shared. EINVAL: the directory is not a mount point yet.
fn share() -> Result<(), Errno> {
    let shared = MsFlags::MS_SHARED | MsFlags::MS_REC;
    mount(None::<&str>, DIRECTORY, None::<&str>, shared, None::<&str>)
}

/// Makes the directory a mount point, under the lock that `ip netns add` takes for this.
///
/// `ip` holds that lock for microseconds. But any user can hold it forever, so after a second
/// netloom mounts without the lock. Once the mount exists, no program needs the lock.
fn share_new_mount() -> Result<(), Cause> {
    let directory = file::open(DIRECTORY, OFlag::O_RDONLY)?;
    let end = Instant::now() + Duration::from_secs(1);
    loop {
        let is_locked = file::try_lock(&directory, false)?;
        match share() {
            Err(Errno::EINVAL) if is_locked || Instant::now() >= end => break,
            Err(Errno::EINVAL) => thread::sleep(Duration::from_millis(1)),
            shared => return shared.map_err(takes(SYS_ADMIN)),
        }
    }
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(DIRECTORY), DIRECTORY, None::<&str>, bind, None::<&str>)
        .and_then(|()| share())
        .map_err(takes(SYS_ADMIN))
}

/// Names the privilege that is missing for a change of the directory.
pub(super) fn of_root(errno: Errno) -> Cause {
    const ROOT: &str = "names are kept in /run/netns, which is root's: an anonymous namespace needs \
         none; as an ordinary user mount a tmpfs on /run under `unshare -rnm`";
    takes(ROOT)(errno)
}
