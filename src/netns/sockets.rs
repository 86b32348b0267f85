//! The sockets of a namespace: opened once inside, and used from anywhere.

use std::any::Any;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicBool;

use super::socket_pool::{self, Pool};
use crate::error::Cause;
use crate::netlink::{Protocol, Socket, Tag};
use crate::sys::process::PerProcess;

/// The sockets of a namespace.
///
/// There is one `nf_tables` socket. It is opened at the first use, because most namespaces never
/// need it. Reads and connection tracking have other netfilter sockets, so that a long list does
/// not block a change.
///
/// A forked process opens its own sockets, each kind at its first use.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) namespace: OwnedFd,
    /// The pools, by protocol.
    pools: [Pool; 3],
    nf_tables: PerProcess<Option<NfTables>>,
    /// This process's tag for links in the namespace, if it has taken one.
    pub(super) tag: PerProcess<Option<Tag>>,
    /// The mutexes of this process's threads, one for each of netloom's own locks.
    pub(super) turns: [PerProcess<()>; 3],
    /// True if this process created the namespace, and the namespace ends with this process.
    pub(super) is_private: AtomicBool,
}

/// The `nf_tables` socket, and values that must live as long as the socket.
#[derive(Debug)]
pub(crate) struct NfTables {
    /// The owner of netloom's tables. The kernel deletes a table with the owner flag when its
    /// socket closes.
    pub(crate) socket: Socket,
    /// Values of upper layers that live as long as the socket. There is one value of each type.
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
    /// Creates the set of sockets, with one rtnetlink socket.
    pub(super) fn new(namespace: OwnedFd, route: Socket, is_private: bool) -> Self {
        Self {
            namespace,
            pools: [
                Pool::new(Protocol::Route, Some(route)),
                Pool::new(Protocol::Netfilter, None),
                Pool::new(Protocol::SocketDiagnosis, None),
            ],
            nf_tables: PerProcess::new(None),
            tag: PerProcess::new(None),
            turns: [(); 3].map(PerProcess::new),
            is_private: is_private.into(),
        }
    }

    /// Runs an exchange on an idle socket of this kind, or on a new one.
    pub(super) fn with<T>(
        &self,
        protocol: Protocol,
        exchange: impl FnOnce(&mut Socket) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        self.pools[protocol as usize].with(self.namespace.as_fd(), exchange)
    }

    pub(super) fn nf_tables<T>(
        &self,
        exchange: impl FnOnce(&mut NfTables) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        let mut kept = self.nf_tables.lock();
        let nf_tables = match &mut *kept {
            Some(nf_tables) => nf_tables,
            none => {
                let socket = socket_pool::open(Protocol::Netfilter, self.namespace.as_fd())?;
                none.insert(NfTables { socket, kept: Vec::new() })
            }
        };
        exchange(nf_tables)
    }
}
