//! The sockets of a namespace: opened inside once, used from anywhere.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::enter::inside;
use crate::error::Cause;
use crate::netlink::{Protocol, Socket};

/// Idle rtnetlink sockets kept for the next exchange. More are opened when more threads talk at once.
const IDLE: usize = 8;

/// The sockets that talk to one namespace.
///
/// An exchange takes an rtnetlink socket out and puts it back, so that no lock is held while the kernel
/// works. The `nf_tables` socket is one, opened at its first use: most namespaces never need it.
#[derive(Debug)]
pub(super) struct Sockets {
    route: Mutex<Vec<Socket>>,
    nf_tables: Mutex<Option<NfTables>>,
}

/// The `nf_tables` socket, and what lives and dies with it.
#[derive(Debug)]
pub(crate) struct NfTables {
    /// The owner of our tables: a table with the owner flag goes when it closes.
    pub(crate) socket: Socket,
    /// The rules of our NAT table, by number: the first brings it, the last takes it along.
    pub(crate) nat_rules: BTreeSet<u64>,
}

impl Sockets {
    /// Opens the first socket in the calling thread's namespace.
    pub(super) fn open_here() -> Result<Self, Cause> {
        let route = Socket::open(Protocol::Route)?;
        Ok(Self { route: Mutex::new(vec![route]), nf_tables: Mutex::new(None) })
    }

    pub(super) fn route<T>(
        &self,
        namespace: BorrowedFd<'_>,
        exchange: impl FnOnce(&mut Socket) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        let idle = lock(&self.route).pop();
        let mut socket = match idle {
            Some(socket) => socket,
            None => inside(namespace, || Socket::open(Protocol::Route))??,
        };
        let result = exchange(&mut socket);
        let mut idle = lock(&self.route);
        if idle.len() < IDLE {
            idle.push(socket);
        }
        result
    }

    pub(super) fn nf_tables<T>(
        &self,
        namespace: BorrowedFd<'_>,
        exchange: impl FnOnce(&mut NfTables) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        let mut kept = lock(&self.nf_tables);
        let nf_tables = match &mut *kept {
            Some(nf_tables) => nf_tables,
            none => {
                let socket = inside(namespace, || Socket::open(Protocol::Netfilter))??;
                none.insert(NfTables { socket, nat_rules: BTreeSet::new() })
            }
        };
        exchange(nf_tables)
    }
}

/// A panic while a socket was out lost that socket, nothing else: no poison.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
