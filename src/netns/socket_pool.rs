//! A pool of sockets of one kind inside a namespace. It opens a socket for each concurrent
//! exchange, and shares one if no further socket can be opened.

use std::os::fd::BorrowedFd;
use std::sync::{Condvar, PoisonError};

use super::enter::socket_inside;
use crate::error::Cause;
use crate::netlink::{DEADLINE, Protocol, Socket};
use crate::sys::process::PerProcess;

/// The number of idle sockets that are kept. More are open while more threads use sockets at once.
const IDLE: usize = 8;

/// A pool of sockets. An exchange checks a socket out and returns it, so no lock is held while the
/// kernel works.
///
/// A fork opens its own sockets: on a shared socket, parent and child would read each other's
/// answers.
#[derive(Debug)]
pub(super) struct Pool {
    protocol: Protocol,
    sockets: PerProcess<Sockets>,
    /// Signals that a socket was returned or lost.
    back: Condvar,
}

#[derive(Debug, Default)]
struct Sockets {
    idle: Vec<Socket>,
    /// The number of sockets checked out.
    out: usize,
    /// The number of waiting threads. If there are none, the system call to wake threads is
    /// skipped.
    waiting: usize,
}

impl Pool {
    pub(super) fn new(protocol: Protocol, first: Option<Socket>) -> Self {
        let sockets = Sockets { idle: first.into_iter().collect(), ..Sockets::default() };
        Self { protocol, sockets: PerProcess::new(sockets), back: Condvar::new() }
    }

    /// Runs an exchange on an idle socket, or on a new one.
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

    /// Checks out an idle socket, or opens one. If none can be opened (no privilege to enter, no free
    /// descriptor), waits for the socket of another exchange.
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

    /// Waits for a socket. Returns `None` if none is checked out, or none is returned within the
    /// deadline of an answer.
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
            // Wake all threads: if no socket is left to wait for, each of them must fail.
            self.0.back.notify_all();
        }
    }
}

pub(super) fn open(protocol: Protocol, namespace: BorrowedFd<'_>) -> Result<Socket, Cause> {
    Socket::of(protocol, socket_inside(namespace, protocol.new_socket())?)
}
