//! The identity of a namespace: the device and inode of its file.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::error::Cause;
use crate::sys::file::{FileStat, fstat, inode};

/// The identity of a network namespace. Two handles with equal ids stand for one namespace.
///
/// Its parts are those of `stat -Lc '%d %i' /proc/self/ns/net`. Source: namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetnsId {
    device: u64,
    inode: u64,
}

impl NetnsId {
    /// The device of the kernel's namespace file system.
    pub fn device(self) -> u64 {
        self.device
    }

    /// The inode, the number in `net:[4026531840]`.
    pub fn inode(self) -> u64 {
        self.inode
    }

    pub(crate) fn of(fd: impl AsFd) -> Result<Self, Cause> {
        Ok(fstat(fd)?.into())
    }

    /// Returns the identity of an open file. If a filter refuses fstat(2), the identity is one that
    /// no namespace and no other open file has.
    pub(super) fn of_open(file: BorrowedFd<'_>) -> Self {
        let nobody = || Self { device: 0, inode: u64::from(file.as_raw_fd().unsigned_abs()) };
        Self::of(file).unwrap_or_else(|_| nobody())
    }
}

impl From<FileStat> for NetnsId {
    fn from(stat: FileStat) -> Self {
        Self { device: stat.st_dev, inode: inode(&stat) }
    }
}

/// Writes `net:[INODE]`, as in `/proc/PID/ns/net`.
impl fmt::Display for NetnsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net:[{}]", self.inode)
    }
}
