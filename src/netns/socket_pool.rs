//! Sockets of one kind, inside one namespace: as many as talk at once, and one where there can't be
//! more.

use std::os::fd::BorrowedFd;
use std::sync::{Condvar, PoisonError};

use super::enter::socket_inside;
use crate::error::Cause;
use crate::netlink::{DEADLINE, Protocol, Socket};
use crate::sys::process::PerProcess;

/// Idle sockets kept for the next exchange. More are opened when more threads talk at once.
const IDLE: usize = 8;

/// An exchange takes a socket out and puts it back, so that no lock is held while the kernel works.
///
/// A fork has sockets of its own: on one that both hold, each would read the other's answers.
#[derive(Debug)]
pub(super) struct Pool {
    protocol: Protocol,
    sockets: PerProcess<Sockets>,
    /// Signals that a socket has come back, or is lost.
    back: Condvar,
}

#[derive(Debug, Default)]
struct Sockets {
    idle: Vec<Socket>,
    /// The number of sockets checked out.
    out: usize,
    /// The number of threads that wait. Without any, a wake-up would be a system call for nothing.
    waiting: usize,
}

impl Pool {
    pub(super) fn new(protocol: Protocol, first: Option<Socket>) -> Self {
        let sockets = Sockets { idle: first.into_iter().collect(), ..Sockets::default() };
        Self { protocol, sockets: PerProcess::new(sockets), back: Condvar::new() }
    }

    /// Uses an idle socket, or a new one.
    pub(super) fn with<T>(
        &self,
        namespace: BorrowedFd<'_>,
        exchange: impl FnOnce(&mut Socket) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        let mut socket = self.take(namespace)?;
        let _out = Out(self);
        let result = exchange(&mut socket);
        let mut sockets = self.sockets.lock();
        if sockets.idle.len() < IDLE {
            sockets.idle.push(socket);
        }
        drop(sockets);
        result
    }

    /// Takes an idle socket, or opens one. If none can be opened, as without the privilege to enter
    /// or a free descriptor, the socket of another exchange is waited for.
    fn take(&self, namespace: BorrowedFd<'_>) -> Result<Socket, Cause> {
        if let Some(socket) = self.sockets.lock().take() {
            return Ok(socket);
        }
        match open(self.protocol, namespace) {
            Ok(socket) => {
                self.sockets.lock().out += 1;
                Ok(socket)
            }
            Err(cause) => self.wait().ok_or(cause),
        }
    }

    /// Waits for a socket. Returns `None` if no exchange has one, or if none is returned within an
    /// answer's deadline.
    fn wait(&self) -> Option<Socket> {
        let nothing = |sockets: &mut Sockets| sockets.idle.is_empty() && sockets.out > 0;
        let mut sockets = self.sockets.lock();
        sockets.waiting += 1;
        let waited = self.back.wait_timeout_while(sockets, DEADLINE, nothing);
        let (mut sockets, _) = waited.unwrap_or_else(PoisonError::into_inner);
        sockets.waiting -= 1;
        sockets.take()
    }
}

impl Sockets {
    fn take(&mut self) -> Option<Socket> {
        let socket = self.idle.pop()?;
        self.out += 1;
        Some(socket)
    }
}

/// The guard of a socket checked out of the pool. A panic in the exchange loses only that socket.
struct Out<'a>(&'a Pool);

impl Drop for Out<'_> {
    fn drop(&mut self) {
        let mut sockets = self.0.sockets.lock();
        sockets.out = sockets.out.saturating_sub(1);
        if sockets.waiting > 0 {
            // All threads: if no socket is left to wait for, each must give up.
            self.0.back.notify_all();
        }
    }
}

pub(super) fn open(protocol: Protocol, namespace: BorrowedFd<'_>) -> Result<Socket, Cause> {
    Socket::of(protocol, socket_inside(namespace, protocol.new_socket())?)
}
