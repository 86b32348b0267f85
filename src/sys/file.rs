//! Files and directories: opening, inspecting, locking and naming.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{self, FcntlArg, FdFlag};
use nix::libc;
use nix::sys::stat;
use nix::sys::statfs::{NSFS_MAGIC, Statfs};
use nix::sys::uio;
use nix::unistd::{self, LinkatFlags, UnlinkatFlags};

pub(crate) use nix::fcntl::{AT_FDCWD, OFlag};
pub(crate) use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
pub(crate) use nix::sys::stat::{FileStat, Mode, fstat, lstat, stat};
pub(crate) use nix::sys::statfs::{fstatfs, statfs};
pub(crate) use nix::unistd::{AccessFlags, access, dup2_stderr, dup2_stdout};
pub(crate) use std::fs::{canonicalize, read, read_dir, read_link, read_to_string, remove_file};

use crate::fault;

/// Opens an existing file. It is closed on exec, like all files here.
pub(crate) fn open<P: NixPath + ?Sized>(path: &P, flags: OFlag) -> Result<OwnedFd, Errno> {
    fault::system_call("open")?;
    open_inside(path, flags)
}

/// Opens a file as [`open`] does, but without an injected fault, because the thread may be inside
/// another namespace.
pub(crate) fn open_inside<P: NixPath + ?Sized>(path: &P, flags: OFlag) -> Result<OwnedFd, Errno> {
    retry(|| fcntl::open(path, flags | OFlag::O_CLOEXEC, Mode::empty()))
}

/// Repeats a call while a signal interrupts it, as std does.
fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}

/// Opens a file below a directory, or creates it with this mode.
pub(crate) fn open_at<P: NixPath + ?Sized>(
    directory: impl AsFd,
    path: &P,
    flags: OFlag,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    fault::system_call("open")?;
    retry(|| fcntl::openat(&directory, path, flags | OFlag::O_CLOEXEC, mode))
}

/// Opens the file behind an open descriptor again, for reading.
pub(crate) fn reopen(file: impl AsFd) -> Result<OwnedFd, Errno> {
    open(itself(file).as_str(), OFlag::O_RDONLY)
}

/// Returns the path under `/proc/self/fd` that leads to exactly this open file.
pub(crate) fn itself(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

/// Opens a pipe: the end to read from, and the end to write to.
pub(crate) fn pipe() -> io::Result<(io::PipeReader, io::PipeWriter)> {
    fault::system_call("pipe")?;
    io::pipe()
}

/// Keeps a descriptor open across an exec.
pub(crate) fn leave_open(fd: impl AsFd) -> io::Result<()> {
    fcntl::fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// Reads the bytes that a pipe contains now, without waiting for a writer.
pub(crate) fn read_present(mut pipe: io::PipeReader) -> io::Result<Vec<u8>> {
    fcntl::fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut bytes = Vec::new();
    match pipe.read_to_end(&mut bytes) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(bytes),
    }
}

/// Takes over a pipe that the process inherited, and closes it on the next exec. Returns `None` if
/// the descriptor is not open, or is another file.
pub(crate) fn inherited(fd: RawFd, inode: libc::ino_t) -> Option<OwnedFd> {
    // SAFETY: F_GETFD only reads a flag; on a number that is not open it fails with EBADF.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
        return None;
    }
    // SAFETY: the descriptor is open, and borrowed for one look at its inode.
    let file = unsafe { BorrowedFd::borrow_raw(fd) };
    if fstat(file).ok()?.st_ino != inode {
        return None;
    }
    fcntl::fcntl(file, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    // SAFETY: the descriptor is open, and is the pipe that the parent left for the caller, once.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Reads the start of a file with a single call.
pub(crate) fn read_start(file: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    fault::system_call("read")?;
    uio::pread(file, buffer, 0)
}

/// Writes all of these bytes.
pub(crate) fn write(file: impl AsFd, bytes: &[u8]) -> Result<(), Errno> {
    fault::system_call("write")?;
    let mut rest = bytes;
    while !rest.is_empty() {
        match retry(|| unistd::write(&file, rest))? {
            0 => return Err(Errno::EIO),
            written => rest = rest.get(written..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Writes to an existing file.
pub(crate) fn overwrite(path: &str, bytes: &[u8]) -> Result<(), Errno> {
    write(open(path, OFlag::O_WRONLY)?, bytes)
}

/// Creates a directory and its parents.
pub(crate) fn create_directory(path: &str, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// Lists the processes of this process's PID namespace.
pub(crate) fn processes() -> io::Result<Vec<u32>> {
    fault::system_call("open")?;
    numbers(Path::new("/proc"))
}

/// Lists the entries of a directory that are numbers.
pub(crate) fn numbers(directory: &Path) -> io::Result<Vec<u32>> {
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    read_dir(directory)?.map(|entry| entry.map(number)).filter_map(Result::transpose).collect()
}

/// Returns whether a file is on the kernel's file system of namespaces.
pub(crate) fn is_namespace(found: Statfs) -> bool {
    found.filesystem_type() == NSFS_MAGIC
}

/// Returns the inode, which has 32 bits on 32-bit targets.
#[allow(clippy::useless_conversion)] // It isn't on these.
pub(crate) fn inode(found: &FileStat) -> u64 {
    found.st_ino.into()
}

/// Returns whether a path, or an open file, is a plain file.
pub(crate) fn is_plain(found: &FileStat) -> bool {
    found.st_mode & libc::S_IFMT == libc::S_IFREG
}

/// Returns the permissions of a file.
pub(crate) fn mode(found: &FileStat) -> Mode {
    Mode::from_bits_truncate(found.st_mode)
}

pub(crate) fn set_mode(file: impl AsFd, mode: Mode) -> Result<(), Errno> {
    fault::system_call("fchmod")?;
    retry(|| stat::fchmod(&file, mode))
}

/// Locks a file until it is closed: shared with others, or exclusively. Returns `false` if another
/// process holds the lock.
pub(crate) fn try_lock(file: impl AsFd, is_shared: bool) -> Result<bool, Errno> {
    fault::system_call("flock")?;
    let lock = if is_shared { libc::LOCK_SH } else { libc::LOCK_EX };
    // SAFETY: the call takes two numbers.
    match Errno::result(unsafe { libc::flock(file.as_fd().as_raw_fd(), lock | libc::LOCK_NB) }) {
        Err(Errno::EWOULDBLOCK) => Ok(false),
        locked => locked.map(|_| true),
    }
}

/// Gives an open file a name.
pub(crate) fn link(file: impl AsFd, directory: impl AsFd, name: &str) -> Result<(), Errno> {
    fault::system_call("linkat")?;
    let flags = LinkatFlags::AT_SYMLINK_FOLLOW;
    unistd::linkat(AT_FDCWD, itself(file).as_str(), directory, name, flags)
}

/// Removes the name of a file.
pub(crate) fn unlink(directory: impl AsFd, name: &str) -> Result<(), Errno> {
    fault::system_call("unlink")?;
    unistd::unlinkat(directory, name, UnlinkatFlags::NoRemoveDir)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn an_interrupted_call_is_repeated_and_a_refused_one_is_not() {
        let mut results =
            [Err(Errno::EINTR), Err(Errno::EINTR), Ok(7), Err(Errno::EACCES)].into_iter();
        let mut call = || retry(|| results.next().unwrap());
        assert_eq!((call(), call()), (Ok(7), Err(Errno::EACCES)));
    }

    #[test]
    fn a_pipe_is_read_while_a_writer_is_left() {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"text").unwrap();
        assert_eq!(read_present(reader).unwrap(), b"text");
        drop(writer);
    }
}
