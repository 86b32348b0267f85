//! The listening sockets of a namespace, from the kernel's socket tables.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::deadline::end_of_wait;
use super::enter::inside;
use super::handle::Netns;
use crate::error::{Cause, Error};
use crate::fault;
use crate::netlink::{Batch, Socket};
use crate::sys::thread;
use crate::wire::message::{NLM_F_DUMP, NLM_F_REQUEST};
use crate::wire::sock_diag::{AF_INET, AF_INET6, SocketView, append_listening};

/// A TCP socket that listens, as a line of `ss -ltn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The TCP sockets that listen inside, IPv4 and IPv6, as `ss -ltn`.
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
    /// Where neither `sock_diag` (`CONFIG_INET_DIAG`) nor `/proc/net/tcp` can be read. In another
    /// namespace than the thread's it takes `CAP_SYS_ADMIN`. Source: `sock_diag(7)`, ss(8).
    #[doc(alias("ss -ltn", "netstat", "NETLINK_SOCK_DIAG"))]
    pub fn listeners(&self) -> Result<Vec<Listener>, Error> {
        listening(self).map_err(|cause| cause.doing("list", "listening sockets").in_namespace(self))
    }

    /// Waits until a TCP socket listens on a port, whichever its address, and returns it: what a
    /// client waits for before it connects. Asks the kernel's socket tables; nothing is connected
    /// to.
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
    let tables = netns.diagnosis(|socket| {
        let mut read = |family| match dump(socket, family) {
            // No IPv6, or no module for TCP.
            Err(Cause::Kernel(refusal)) if refusal.errno == Errno::ENOENT => Ok(None),
            list => list.map(Some),
        };
        Ok((read(AF_INET)?, read(AF_INET6)?))
    });
    match tables {
        // A kernel without sock_diag.
        Ok((None, None)) | Err(Cause::System(Errno::EPROTONOSUPPORT)) => from_proc(netns),
        Ok((v4, v6)) => Ok([v4, v6].into_iter().flatten().flatten().collect()),
        Err(cause) => Err(cause),
    }
}

fn from_proc(netns: &Netns) -> Result<Vec<Listener>, Cause> {
    inside(netns.fd(), || {
        fault::system_call("open")?;
        let v4 = fs::read_to_string("/proc/thread-self/net/tcp")?;
        let v6 = match fs::read_to_string("/proc/thread-self/net/tcp6") {
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            v6 => v6?,
        };
        Ok(v4.lines().chain(v6.lines()).filter_map(line).collect())
    })?
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

/// `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 36035 …`: an
/// address is in words of the machine's byte order (`net/ipv4/tcp_ipv4.c`).
fn line(line: &str) -> Option<Listener> {
    const LISTEN: &str = "0A";
    let mut words = line.split_whitespace().skip(1);
    let (address, port) = words.next()?.split_once(':')?;
    if words.nth(1)? != LISTEN {
        return None;
    }
    let word = |at: usize| {
        let hex = address.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(hex, 16).ok().map(u32::to_ne_bytes)
    };
    let ip = if address.len() == 8 {
        IpAddr::from(Ipv4Addr::from(word(0)?))
    } else {
        let mut octets = [0; 16];
        for (place, part) in octets.chunks_exact_mut(4).enumerate() {
            part.copy_from_slice(&word(place)?);
        }
        IpAddr::from(Ipv6Addr::from(octets))
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    let uid = words.nth(3)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    Some(Listener { address: SocketAddr::new(ip, port), uid, inode })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read() {
        let v4 = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 36035 1 0 100 0";
        let found = line(v4).unwrap();
        assert_eq!(found.address.to_string(), "127.0.0.1:8080");
        assert_eq!((found.uid, found.inode), (1000, 36035));
        let v6 = "   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 7 1";
        assert_eq!(line(v6).unwrap().address.to_string(), "[::1]:80");
        assert_eq!(line("  sl  local_address rem_address   st tx_queue"), None);
        assert_eq!(line(&v4.replace(" 0A ", " 01 ")), None);
        assert_eq!(line(""), None);
    }
}
