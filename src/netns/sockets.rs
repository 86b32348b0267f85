//! The sockets of a namespace: opened inside once, used from anywhere.

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
    nf_tables: Mutex<Option<Socket>>,
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
        exchange: impl FnOnce(&mut Socket) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        let mut kept = lock(&self.nf_tables);
        let socket = match &mut *kept {
            Some(socket) => socket,
            none => none.insert(inside(namespace, || Socket::open(Protocol::Netfilter))??),
        };
        exchange(socket)
    }
}

/// A panic while a socket was out lost that socket, nothing else: no poison.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
