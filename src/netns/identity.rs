//! The identity of a namespace: the device and inode of its file.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Cause;
use crate::sys::file::{FileStat, fstat, inode};

/// The identity of a network namespace. Two handles with equal ids refer to the same namespace.
///
/// The parts are those of `stat -Lc '%d %i' /proc/self/ns/net`. Source: namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetnsId {
    device: u64,
    inode: u64,
}

impl NetnsId {
    /// Returns the device of the kernel's namespace file system.
    pub fn device(self) -> u64 {
        self.device
    }

    /// Returns the inode: the number in `net:[4026531840]`.
    pub fn inode(self) -> u64 {
        self.inode
    }

    pub(crate) fn of(fd: impl AsFd) -> Result<Self, Cause> {
        Ok(fstat(fd)?.into())
    }

    /// Returns the identity of an open file. If a seccomp filter refuses fstat(2), returns an
    /// identity that differs from every other one.
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

/// An identity that is read at the first use. It uses no lock, because a fork could copy a held
/// lock.
#[derive(Debug, Default)]
pub(super) struct LazyId {
    /// The device; 0 before the first use, because no device has that number.
    device: AtomicU64,
    inode: AtomicU64,
}

impl LazyId {
    pub(super) fn get(&self, look_up: impl FnOnce() -> NetnsId) -> NetnsId {
        match self.device.load(Ordering::Acquire) {
            0 => {
                let id = look_up();
                self.inode.store(id.inode, Ordering::Relaxed);
                self.device.store(id.device, Ordering::Release);
                id
            }
            device => NetnsId { device, inode: self.inode.load(Ordering::Relaxed) },
        }
    }
}

impl From<NetnsId> for LazyId {
    fn from(id: NetnsId) -> Self {
        Self { device: id.device.into(), inode: id.inode.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_looked_up_once() {
        let id = NetnsId { device: 4, inode: 7 };
        let lazy = LazyId::default();
        assert_eq!(lazy.get(|| id), id);
        assert_eq!(lazy.get(|| NetnsId { device: 5, inode: 8 }), id);
        assert_eq!(LazyId::from(id).get(|| NetnsId { device: 5, inode: 8 }), id);
    }
}
