//! The listening sockets of a namespace, from the kernel's socket tables.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::deadline::end_of_wait;
use super::handle::Netns;
use crate::error::{Cause, Error};
use crate::netlink::{Batch, Socket};
use crate::sys::thread;
use crate::wire::message::{NLM_F_DUMP, NLM_F_REQUEST};
use crate::wire::sock_diag::{AF_INET, AF_INET6, SocketView, append_listening};

/// A listening TCP socket: a line of `ss -ltn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Listener {
    /// The local address and port.
    pub address: SocketAddr,
    /// The user that owns the socket.
    pub uid: u32,
    /// The socket's inode, the number in `socket:[36035]`.
    pub inode: u32,
}

impl Netns {
    /// Lists the listening TCP sockets of the namespace, IPv4 and IPv6, as `ss -ltn`.
    ///
    /// ```
    /// use netloom::Namespace;
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let socket = red.tcp_listen("0.0.0.0:8080")?;
    /// let listening = red.listeners()?;
    /// assert_eq!(listening[0].address, socket.local_addr().unwrap());
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EPROTONOSUPPORT` or `ENOENT` if the kernel has no `sock_diag` (`CONFIG_INET_DIAG`).
    /// - `is_permission_denied()` without `CAP_SYS_ADMIN`, if the thread is in another namespace.
    ///
    /// Source: `sock_diag(7)`, ss(8).
    #[doc(alias("ss -ltn", "netstat", "NETLINK_SOCK_DIAG"))]
    pub fn listeners(&self) -> Result<Vec<Listener>, Error> {
        listening(self).map_err(|cause| cause.doing("list", "listening sockets").in_namespace(self))
    }

    /// Waits until a TCP socket listens on a port, at any address, and returns it. A client can
    /// call this before it connects. netloom reads the kernel's socket tables and connects to
    /// nothing.
    ///
    /// # Errors
    ///
    /// `is_timed_out()` if no socket listens within `deadline`; otherwise the errors of
    /// [`listeners`](Self::listeners).
    pub fn wait_listening(&self, port: u16, deadline: Duration) -> Result<Listener, Error> {
        let end = end_of_wait(Instant::now(), deadline);
        let wait = || {
            let mut pause = Duration::from_micros(500);
            loop {
                let listening = listening(self)?;
                if let Some(found) = listening.iter().find(|one| one.address.port() == port) {
                    return Ok(*found);
                }
                // The kernel sends no event when a socket starts to listen.
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Cause::TimedOut(deadline));
                }
                thread::sleep(pause.min(left));
                pause = (pause * 2).min(Duration::from_millis(10));
            }
        };
        wait().map_err(|cause| cause.doing("wait for a listener on port", port).in_namespace(self))
    }
}

fn listening(netns: &Netns) -> Result<Vec<Listener>, Cause> {
    netns.diagnosis(|socket| {
        let mut listeners = dump(socket, AF_INET)?;
        match dump(socket, AF_INET6) {
            // The kernel has no IPv6.
            Err(Cause::Kernel(refusal)) if refusal.errno == Errno::ENOENT => {}
            v6 => listeners.extend(v6?),
        }
        Ok(listeners)
    })
}

fn dump(socket: &mut Socket, family: u8) -> Result<Vec<Listener>, Cause> {
    let mut batch = Batch::default();
    batch.append(|out| append_listening(out, family, NLM_F_REQUEST | NLM_F_DUMP));
    socket.dump(&mut batch, |message| {
        let view = SocketView::read(message)?;
        let (uid, inode) = (view.uid()?, view.inode()?);
        Some(Listener { address: view.source()?, uid, inode })
    })
}
