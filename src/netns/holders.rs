//! The holders of a namespace: processes, threads, open files and mounts, from `/proc`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::handle::Netns;
use super::identity::NetnsId;
use crate::error::{Cause, Error};
use crate::sys::file;

/// A process that keeps a namespace alive, and the ways in which it does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// The name of the process's command, like `comm` in ps(1).
    pub command: String,
    /// The ways in which the process keeps the namespace alive; never empty.
    pub by: Vec<HeldBy>,
}

/// The way in which a process keeps a namespace alive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum HeldBy {
    /// The main thread of the process is in the namespace: the processes that `ip netns pids`
    /// lists.
    Process,
    /// Another thread of the process, by thread id, is in the namespace.
    Thread(u32),
    /// The process has this descriptor open for a file of the namespace.
    OpenFile(u32),
    /// The namespace is mounted at this path in the process's mount namespace. Listed for one
    /// process of each mount namespace.
    Mount(PathBuf),
}

impl Netns {
    /// Lists the processes that keep the namespace alive, sorted by process id. Unlike `ip netns
    /// pids`, also lists open files and mounts. The calling process is listed, because its handle
    /// is an open file.
    ///
    /// An ordinary user doesn't see the processes of other users. A process that keeps the
    /// namespace alive only through a socket is not listed.
    ///
    /// ```
    /// use netloom::{HeldBy, Namespace};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let holders = red.holders()?;
    /// assert_eq!(holders[0].pid, std::process::id());
    /// assert!(matches!(holders[0].by[0], HeldBy::OpenFile(_)));
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// An error if `/proc` can't be read, or the calling process lacks descriptors or memory.
    /// Processes of other users are left out without `CAP_SYS_PTRACE`.
    #[doc(alias("ip netns pids", "lsns", "lsof"))]
    pub fn holders(&self) -> Result<Vec<Holder>, Error> {
        holders(self.id()).map_err(|cause| cause.doing("look for holders of", self))
    }
}

fn holders(id: NetnsId) -> Result<Vec<Holder>, Cause> {
    let mut pids = file::processes()?;
    pids.sort_unstable();
    // The namespace's mount points, by mount namespace.
    let mut seen = BTreeMap::new();
    let mut holders = Vec::new();
    for pid in pids {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let mut by = threads(&process, pid, id)?;
        let own = looked(file::read_link(process.join("ns/mnt")))?.unwrap_or_default();
        let is_first = !seen.contains_key(&own);
        if is_first {
            seen.insert(own.clone(), mounts(&process, id)?);
        }
        let mounts: &[PathBuf] = seen.get(&own).map_or(&[], |mounts| mounts);
        by.extend(open_files(&process, id, mounts)?);
        if is_first {
            by.extend(mounts.iter().cloned().map(HeldBy::Mount));
        }
        if by.is_empty() {
            continue;
        }
        by.sort_unstable();
        let command = looked(file::read_to_string(process.join("comm")))?.unwrap_or_default();
        holders.push(Holder { pid, command: command.trim_end().to_owned(), by });
    }
    Ok(holders)
}

/// Maps an error to `None`: the process is gone, or the caller may not look into it. Fails only if
/// the caller lacks descriptors or memory.
fn looked<T>(result: Result<T, impl Into<Cause>>) -> Result<Option<T>, Cause> {
    match result.map_err(Into::into) {
        Err(cause) if cause.errno().is_some_and(|errno| LACKING.contains(&errno)) => Err(cause),
        seen => Ok(seen.ok()),
    }
}

/// The errnos that mean a lack of resources of the calling process.
const LACKING: [Errno; 3] = [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM];

fn is_it(path: &Path, id: NetnsId) -> Result<bool, Cause> {
    Ok(looked(file::stat(path))?.is_some_and(|found| NetnsId::from(found) == id))
}

fn threads(process: &Path, pid: u32, id: NetnsId) -> Result<Vec<HeldBy>, Cause> {
    let mut inside = Vec::new();
    for tid in looked(file::numbers(&process.join("task")))?.unwrap_or_default() {
        if is_it(&process.join(format!("task/{tid}/ns/net")), id)? {
            inside.push(if tid == pid { HeldBy::Process } else { HeldBy::Thread(tid) });
        }
    }
    Ok(inside)
}

/// Lists the descriptors that a process has open for a namespace. Skips files that cannot be a
/// namespace, because stat(2) hangs on an unreachable network file system.
fn open_files(process: &Path, id: NetnsId, mounts: &[PathBuf]) -> Result<Vec<HeldBy>, Cause> {
    let as_link = id.to_string();
    let mut files = Vec::new();
    for fd in looked(file::numbers(&process.join("fd")))?.unwrap_or_default() {
        let path = process.join(format!("fd/{fd}"));
        let may_be =
            |target: &PathBuf| target.as_os_str() == as_link.as_str() || mounts.contains(target);
        if looked(file::read_link(&path))?.is_some_and(|target| may_be(&target))
            && is_it(&path, id)?
        {
            files.push(HeldBy::OpenFile(fd));
        }
    }
    Ok(files)
}

/// Returns the mount points of a namespace from mountinfo (proc(5)). An example line is `36 35 0:4
/// net:[4026532177] /run/netns/red rw shared:20 - nsfs nsfs rw`. Paths are arbitrary bytes.
fn mounts(process: &Path, id: NetnsId) -> Result<Vec<PathBuf>, Cause> {
    let table = looked(file::read(process.join("mountinfo")))?.unwrap_or_default();
    let root = id.to_string();
    let point = |line: &[u8]| {
        let mut words = line.split(|byte| *byte == b' ').skip(3);
        let is_it = words.next()? == root.as_bytes();
        let point = words.next()?;
        let kind = words.skip_while(|word| *word != b"-").nth(1)?;
        (is_it && kind == b"nsfs").then(|| unescaped(point))
    };
    Ok(table.split(|byte| *byte == b'\n').filter_map(point).collect())
}

/// Decodes white space and backslashes, which mountinfo encodes as three octal digits.
fn unescaped(path: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|_| first == b'\\');
        let number =
            octal.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        plain.push(number.unwrap_or(first));
        rest = if number.is_some() { behind.get(3..).unwrap_or_default() } else { behind };
    }
    OsString::from_vec(plain).into()
}

/// Formats the holder as a line of a list.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:", self.pid, self.command)?;
        self.by
            .iter()
            .enumerate()
            .try_for_each(|(place, by)| write!(f, "{}{by}", if place == 0 { " " } else { ", " }))
    }
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("is in it"),
            Self::Thread(tid) => write!(f, "thread {tid} is in it"),
            Self::OpenFile(fd) => write!(f, "has it open as {fd}"),
            Self::Mount(path) => write!(f, "sees it mounted on {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_other_bytes_are_left() {
        let path = unescaped(b"/run/a\\040b\\134040\\xyz\xff\\01");
        assert_eq!(path.into_os_string().into_vec(), b"/run/a b\\040\\xyz\xff\\01");
    }
}
