//! Owner tags: link groups that show whether the process that created a link still lives.
//!
//! The request that creates a link sets its group to the tag of the creating process. The lowest
//! bits of the tag are a number that the process reserves: it holds a [`Member`] socket whose port
//! has the same lowest bits. If no member has such a port, the process is dead. To be a member
//! takes `CAP_NET_ADMIN`. An ordinary user can't block a number by binding its ports, because 16
//! bits of a port are random.
//!
//! The middle bits of a tag identify the network namespace. A link moved to another namespace keeps
//! its tag, and no process there can find out whether its creator lives.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::member::{Member, members};
use super::socket::Socket;
use crate::error::Cause;
use crate::sys;
use crate::sys::random::random;

/// The upper bits of every tag. They differ from the groups that `unused_group` picks, which are
/// negative as `i32`.
const MARK: u32 = 0x6e00_0000;
/// The bits of a tag that identify the namespace.
const PLACE: u32 = 0x00ff_c000;
/// The bits of a tag with the number that the process reserves in the namespace.
const NUMBERS: u32 = 0x0000_3fff;

/// The upper bits of a member's port: above all process ids, below the ports that the kernel
/// chooses.
const PORT: u32 = 0x4000_0000;
/// The random bits of a member's port.
const FREE: u32 = 0x3fff_c000;

/// The multicast group of these members, as a bit.
const OWNERS: u32 = 1 << 31;

/// The maximum number of attempts to find a free number and port.
const ATTEMPTS: u32 = 64;

/// A reserved tag. It belongs to this process until the `Tag` is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Tag {
    number: u32,
    _holder: Member,
}

impl Tag {
    /// Reserves a free number. `open` opens a socket of the kind [`Member::SOCKET`] in the
    /// namespace of `diagnosis`.
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

/// The tags of the living processes in one namespace.
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

    /// Reports whether a link's group is the tag of a dead process. Returns `false` for a tag of
    /// another namespace.
    pub(crate) fn is_dead(&self, group: u32) -> bool {
        is_tag(group) && group & PLACE == self.place && !self.numbers.contains(&(group & NUMBERS))
    }
}

/// Lists the ports of the member sockets that reserve a number.
fn holders(diagnosis: &mut Socket) -> Result<Vec<u32>, Cause> {
    let members = members(diagnosis)?;
    Ok(members.iter().filter(|(_, groups)| groups & OWNERS != 0).map(|(port, _)| *port).collect())
}

/// Computes the bits of a tag that identify the namespace of a socket.
fn place_of(socket: BorrowedFd<'_>) -> Result<u32, Cause> {
    let cookie = sys::namespace_cookie(socket)?;
    // Cookies of namespaces created one after the other differ only in the lowest bits.
    let [a, b, c, d, ..] = cookie.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    Ok(u32::from_be_bytes([a, b, c, d]) & PLACE)
}

/// Reports whether a link's group is a tag.
pub(crate) fn is_tag(group: u32) -> bool {
    group & !(PLACE | NUMBERS) == MARK
}
