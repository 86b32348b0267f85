//! The sockets of a namespace: opened inside once, used from anywhere.

use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};

use super::enter::socket_inside;
use super::socket_pool::{self, Pool};
use crate::error::Cause;
use crate::netlink::{LiveTags, Member, Protocol, Socket, Tag, is_unavailable, members};
use crate::sys::process::PerProcess;

/// The sockets of a namespace.
///
/// There is one `nf_tables` socket, opened at its first use: most namespaces never need it. Reads
/// and connection tracking have other netfilter sockets, so a long list never blocks a change.
///
/// A forked process opens its own sockets, each kind at its first use.
#[derive(Debug)]
pub(super) struct Sockets {
    /// The pools, by protocol.
    pools: [Pool; 3],
    nf_tables: PerProcess<Option<NfTables>>,
    tag: PerProcess<Option<Tag>>,
    /// The turns of threads at netloom's own locks, by lock.
    turns: [PerProcess<()>; 3],
    /// True if this process created the namespace, and the namespace ends with this process.
    is_private: AtomicBool,
}

/// The `nf_tables` socket, and the values that live as long as it.
#[derive(Debug)]
pub(crate) struct NfTables {
    /// The owner of netloom's tables. The kernel deletes a table with the owner flag when its
    /// socket closes.
    pub(crate) socket: Socket,
    /// Values of the layers above that live as long as the socket: one of each type, and few types.
    kept: Vec<Box<dyn Any + Send>>,
}

impl NfTables {
    /// Returns the socket, and the value of this type. Creates the default value at the first call.
    pub(crate) fn with<T: Any + Send + Default>(&mut self) -> Result<(&mut Socket, &mut T), Cause> {
        let at = self.kept.iter().position(|kept| kept.is::<T>()).unwrap_or_else(|| {
            self.kept.push(Box::<T>::default());
            self.kept.len() - 1
        });
        let kept = self.kept.get_mut(at).and_then(|kept| kept.downcast_mut());
        Ok((&mut self.socket, kept.ok_or(Cause::Malformed("a value of another type is kept"))?))
    }
}

impl Sockets {
    /// Returns the sockets of a namespace that other processes may know, with the first one.
    pub(super) fn of_existing(route: Socket) -> Self {
        Self { is_private: false.into(), ..Self::private(route) }
    }

    /// Returns the sockets of a namespace that was just created, with the first one. The namespace
    /// ends with this process, unless it gets a name.
    pub(super) fn private(route: Socket) -> Self {
        Self {
            pools: [
                Pool::new(Protocol::Route, Some(route)),
                Pool::new(Protocol::Netfilter, None),
                Pool::new(Protocol::SocketDiagnosis, None),
            ],
            nf_tables: PerProcess::new(None),
            tag: PerProcess::new(None),
            turns: [(); 3].map(PerProcess::new),
            is_private: true.into(),
        }
    }

    pub(super) fn is_private(&self) -> bool {
        self.is_private.load(Ordering::Relaxed)
    }

    /// Marks the namespace as one that may outlive this process.
    pub(super) fn outlive_us(&self) {
        self.is_private.store(false, Ordering::Relaxed);
    }

    /// Returns this process's tag in the namespace, which is taken at the first call. None where
    /// there can be none: without `CAP_NET_ADMIN`, or on a kernel without `netlink_diag`.
    pub(super) fn tag(&self, namespace: BorrowedFd<'_>) -> Result<Option<u32>, Cause> {
        let mut held = self.tag.lock();
        if held.is_none() {
            *held = match self.new_tag(namespace) {
                Err(cause) if is_unavailable(&cause) => {
                    log::debug!("links get no owner tag: {cause}");
                    None
                }
                tag => Some(tag?),
            };
        }
        Ok(held.as_ref().map(Tag::number))
    }

    /// Waits until no other thread of this process is at the lock.
    pub(super) fn turn(&self, lock: usize) -> MutexGuard<'_, ()> {
        self.turns[lock].lock()
    }

    /// Takes a tag that no process has.
    pub(super) fn new_tag(&self, namespace: BorrowedFd<'_>) -> Result<Tag, Cause> {
        let open = || socket_inside(namespace, Member::SOCKET);
        self.with(Protocol::SocketDiagnosis, namespace, |diagnosis| Tag::hold(open, diagnosis))
    }

    /// Lists the tags of the processes that are alive in the namespace.
    pub(super) fn live_tags(&self, namespace: BorrowedFd<'_>) -> Result<LiveTags, Cause> {
        let socket = socket_inside(namespace, Member::SOCKET)?;
        self.with(Protocol::SocketDiagnosis, namespace, |diagnosis| {
            LiveTags::list(socket.as_fd(), diagnosis)
        })
    }

    /// Lists the members of the groups that locks and tags use: port and groups.
    pub(super) fn members(&self, namespace: BorrowedFd<'_>) -> Result<Vec<(u32, u32)>, Cause> {
        self.with(Protocol::SocketDiagnosis, namespace, members)
    }

    /// Returns the tag's number, if the tag is taken already.
    pub(super) fn tag_number(&self) -> Option<u32> {
        self.tag.lock().as_ref().map(Tag::number)
    }

    /// Uses an idle socket of this kind, or a new one.
    pub(super) fn with<T>(
        &self,
        protocol: Protocol,
        namespace: BorrowedFd<'_>,
        exchange: impl FnOnce(&mut Socket) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        self.pools[protocol as usize].with(namespace, exchange)
    }

    pub(super) fn nf_tables<T>(
        &self,
        namespace: BorrowedFd<'_>,
        exchange: impl FnOnce(&mut NfTables) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        let mut kept = self.nf_tables.lock();
        let nf_tables = match &mut *kept {
            Some(nf_tables) => nf_tables,
            none => {
                let socket = socket_pool::open(Protocol::Netfilter, namespace)?;
                none.insert(NfTables { socket, kept: Vec::new() })
            }
        };
        exchange(nf_tables)
    }
}
