//! What tells a dead process's links from a living one's: a number that only the living hold.
//!
//! A handle's tag in a namespace is the port number of a netlink socket that it keeps open there. The
//! kernel gives a number to one socket only, and takes it back when the process dies, however it dies.
//! A link carries the tag as its group from birth, in the very request that makes it. Where nobody holds
//! the number, the maker is dead: no process number is involved that could be another's by now, nor one
//! that another container counts differently, nor a clock.
//!
//! A part of the number says which namespace it is held in: a link that somebody moved carries it along to
//! where nobody holds it, and its maker may live all the same.

use std::hash::{BuildHasher, RandomState};
use std::os::fd::AsFd;

use netlink_sys::protocols::NETLINK_USERSOCK;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;

use crate::error::Cause;
use crate::{fault, sys};

/// The upper bits of a tag: netloom's own. Processes have lower port numbers, made-up ones are negative.
const MARK: u32 = 0x6e00_0000;
/// Those below: of the namespace.
const PLACE: u32 = 0x00ff_c000;
/// The rest is a number.
const NUMBERS: u32 = 0x0000_3fff;

/// So many handles of a namespace may be held at once.
const MOST: u32 = NUMBERS + 1;

/// A number held in the namespace it was opened in, until it is dropped or the process dies.
#[derive(Debug)]
pub(crate) struct Tag {
    number: u32,
    _holder: Socket,
}

impl Tag {
    /// Holds a number that nobody holds, in the calling thread's namespace.
    pub(crate) fn open_here() -> Result<Self, Cause> {
        let mut holder = socket()?;
        let place = MARK | place_of(&holder)?;
        let [a, b, c, d, ..] = RandomState::new().hash_one(place).to_ne_bytes();
        let first = u32::from_ne_bytes([a, b, c, d]);
        for attempt in 0..MOST {
            let number = place | first.wrapping_add(attempt) & NUMBERS;
            if binds(&mut holder, number)? {
                return Ok(Self { number, _holder: holder });
            }
        }
        Err(Errno::EADDRINUSE.into())
    }

    /// Holds this number; none where somebody else does, or where it is of another namespace: then nobody
    /// can tell.
    pub(crate) fn take_here(number: u32) -> Result<Option<Self>, Cause> {
        let mut holder = socket()?;
        if number & PLACE != place_of(&holder)? || !binds(&mut holder, number)? {
            return Ok(None);
        }
        Ok(Some(Self { number, _holder: holder }))
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }
}

fn socket() -> Result<Socket, Cause> {
    fault::system_call("socket")?;
    Ok(Socket::new(NETLINK_USERSOCK)?)
}

/// Which namespace a socket is in, as far as a tag says it.
fn place_of(socket: &Socket) -> Result<u32, Cause> {
    let cookie = sys::namespace_cookie(socket.as_fd())?;
    // Those of namespaces made one after the other are alike in all but the lowest bits.
    let [a, b, c, d, ..] = cookie.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    Ok(u32::from_be_bytes([a, b, c, d]) & PLACE)
}

/// Binds it to a number; `false` where somebody else holds that.
fn binds(holder: &mut Socket, number: u32) -> Result<bool, Cause> {
    match holder.bind(&SocketAddr::new(number, 0)) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(Errno::EADDRINUSE as i32) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether a link's group is a tag.
pub(crate) fn is_tag(group: u32) -> bool {
    group & !(PLACE | NUMBERS) == MARK
}
