//! Owner tags: numbers that distinguish a dead process's links from a living one's.
//!
//! A link carries the tag of its creator as its group, from the request that creates it. The
//! creator holds a [`Member`] socket with the number in its port. If no member has the number, the
//! creator is dead. Holding a number takes `CAP_NET_ADMIN`. Ordinary users can't exhaust the ports
//! of a number: 16 bits of the port are free.
//!
//! A part of the tag names the network namespace. A link moved to another namespace keeps its tag,
//! and no process there can find out whether its creator lives.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::member::{Member, members};
use super::socket::Socket;
use crate::error::Cause;
use crate::sys;
use crate::sys::random::random;

/// The upper bits of a tag: netloom's own. Processes have lower port numbers, made-up ones are
/// negative.
const MARK: u32 = 0x6e00_0000;
/// The bits below, for the namespace.
const PLACE: u32 = 0x00ff_c000;
/// The lowest bits, for the process's handle of the namespace.
const NUMBERS: u32 = 0x0000_3fff;

/// The upper bits of a holder's port: above all process ids, below the ports that the kernel
/// chooses.
const PORT: u32 = 0x4000_0000;
/// The bits of a holder's port that may be anything.
const FREE: u32 = 0x3fff_c000;

/// The multicast group of the holders, as a bit.
const OWNERS: u32 = 1 << 31;

/// The limit of numbers and ports to try.
const ATTEMPTS: u32 = 64;

/// A number that belongs to this process until the `Tag` is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Tag {
    number: u32,
    _holder: Member,
}

impl Tag {
    /// Reserves a free number. `open` opens a [`Member::SOCKET`] in the namespace of `diagnosis`.
    pub(crate) fn hold(
        open: impl Fn() -> Result<OwnedFd, Cause>,
        diagnosis: &mut Socket,
    ) -> Result<Self, Cause> {
        for _ in 0..ATTEMPTS {
            let number = u32::from_ne_bytes(random()) & NUMBERS;
            let port = PORT | u32::from_ne_bytes(random()) & FREE | number;
            if holders(diagnosis)?.iter().any(|other| other & NUMBERS == number) {
                continue;
            }
            let socket = open()?;
            let place = place_of(socket.as_fd())?;
            let holder = match Member::bind(socket, port, OWNERS) {
                Err(cause) if cause.errno() == Some(Errno::EADDRINUSE) => continue,
                holder => holder?,
            };
            // Another process may have chosen the same number at the same time.
            let is_same = |other: &u32| other & NUMBERS == number && *other != port;
            if !holders(diagnosis)?.iter().any(is_same) {
                return Ok(Self { number: MARK | place | number, _holder: holder });
            }
        }
        Err(Errno::EADDRINUSE.into())
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }
}

/// The tags of the processes that are alive in one namespace.
#[derive(Debug)]
pub(crate) struct LiveTags {
    place: u32,
    numbers: BTreeSet<u32>,
}

impl LiveTags {
    /// Lists the tags of the namespace that both sockets are in.
    pub(crate) fn list(socket: BorrowedFd<'_>, diagnosis: &mut Socket) -> Result<Self, Cause> {
        let numbers = holders(diagnosis)?.iter().map(|port| port & NUMBERS).collect();
        Ok(Self { place: place_of(socket)?, numbers })
    }

    /// Reports whether a link's group is the tag of a process that is dead. A tag of another
    /// namespace is not known to be dead.
    pub(crate) fn is_dead(&self, group: u32) -> bool {
        is_tag(group) && group & PLACE == self.place && !self.numbers.contains(&(group & NUMBERS))
    }
}

/// Lists the ports of the holders.
fn holders(diagnosis: &mut Socket) -> Result<Vec<u32>, Cause> {
    let members = members(diagnosis)?;
    Ok(members.iter().filter(|(_, groups)| groups & OWNERS != 0).map(|(port, _)| *port).collect())
}

/// Computes the part of a tag that names the namespace of a socket.
fn place_of(socket: BorrowedFd<'_>) -> Result<u32, Cause> {
    let cookie = sys::namespace_cookie(socket)?;
    // Cookies of namespaces made one after the other differ in the lowest bits only.
    let [a, b, c, d, ..] = cookie.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    Ok(u32::from_be_bytes([a, b, c, d]) & PLACE)
}

/// Reports whether a link's group is a tag.
pub(crate) fn is_tag(group: u32) -> bool {
    group & !(PLACE | NUMBERS) == MARK
}
