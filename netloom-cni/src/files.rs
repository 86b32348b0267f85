//! Files that other programs may have damaged. No operation here waits for ever.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use crate::failure::Failure;
use crate::host::PATIENCE;

/// Locks the file, and first makes it unreadable for ordinary users: they could lock a readable
/// file. `host-local` creates it readable.
pub(crate) fn lock_in_time(file: &File) -> io::Result<()> {
    if file.metadata()?.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    let end = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(TryLockError::WouldBlock) => return Err(ErrorKind::TimedOut.into()),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}

/// Creates a directory and its parents. Syncs the parents, so that the directory survives a power
/// cut.
pub(crate) fn make(directory: &Path) -> io::Result<()> {
    let missing = directory.ancestors().take_while(|one| !one.exists()).count();
    fs::create_dir_all(directory)?;
    let parents = directory.ancestors().skip(1).take(missing);
    parents.into_iter().try_for_each(|parent| File::open(parent)?.sync_all())
}

/// Returns whether two names stand for one file.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| {
        let metadata = fs::symlink_metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// Deletes a file. A missing file is no failure.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Opens a regular file. Anything else in its place is an error: opening a FIFO waits for its other
/// end, and a device or a link to one may never end.
pub(crate) fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY;
    let file = options.custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// Reads a file of the directory.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    /// The size limit, far above the size of any container's record.
    const MOST: u64 = 1 << 20;
    let mut text = Vec::new();
    open_regular(OpenOptions::new().read(true), path)?.take(MOST).read_to_end(&mut text)?;
    Ok(text)
}

pub(crate) fn is_there(path: &Path) -> Result<bool, Failure> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(Failure::file("look at", path, &error)),
    }
}

/// Returns whether a file is missing. A file whose name is too long cannot exist.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename)
}
