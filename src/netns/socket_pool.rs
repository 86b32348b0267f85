//! Sockets of one kind, inside one namespace: as many as talk at once, and one where there can't be more.

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
    /// One has come back, or is lost.
    back: Condvar,
}

#[derive(Debug, Default)]
struct Sockets {
    idle: Vec<Socket>,
    /// How many are with an exchange.
    out: usize,
    /// How many threads wait for one of those: to wake where nobody waits would be a system call for nothing.
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

    /// Where no other can be opened (who may not enter any more, or has no descriptor left), one that is out
    /// is waited for: it comes back as soon as the kernel has answered.
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

    /// None where none is out that could come back, or does not in the time an answer may take.
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

/// That a socket is out. A panic in the exchange loses that socket, nothing else.
struct Out<'a>(&'a Pool);

impl Drop for Out<'_> {
    fn drop(&mut self) {
        let mut sockets = self.0.sockets.lock();
        sockets.out = sockets.out.saturating_sub(1);
        if sockets.waiting > 0 {
            // All: where none has come back, and none is out any more, each has to give up.
            self.0.back.notify_all();
        }
    }
}

pub(super) fn open(protocol: Protocol, namespace: BorrowedFd<'_>) -> Result<Socket, Cause> {
    Socket::of(protocol, socket_inside(namespace, protocol.new_socket())?)
}
