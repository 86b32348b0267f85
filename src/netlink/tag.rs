//! What tells a dead process's links and names from a living one's: a number that only the living hold.
//!
//! A handle's tag in a namespace is the port number of a netlink socket that it keeps open there. The
//! kernel gives a number to one socket only, and takes it back when the process dies, however it dies.
//! A link carries the tag as its group from birth, in the very request that makes it; a namespace's
//! name as the group of the namespace's own `lo`. Where nobody holds the number, the maker is dead: no
//! process number is involved that could be another's by now, nor one that another container counts
//! differently, nor a clock.

use std::hash::{BuildHasher, RandomState};

use netlink_sys::protocols::NETLINK_USERSOCK;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;

use crate::error::Cause;
use crate::fault;

/// The upper bits of a tag: netloom's own. Processes have lower port numbers, made-up ones are negative.
const MARK: u32 = 0x6e6c_0000;
const NUMBERS: u32 = 0xffff;

/// How often a number is tried: of 65,536 some may be taken.
const ATTEMPTS: u32 = 64;

/// A number held in the namespace it was opened in, until it is dropped or the process dies.
#[derive(Debug)]
pub(crate) struct Tag {
    number: u32,
    _holder: Socket,
}

impl Tag {
    /// Holds a number that nobody holds, in the calling thread's namespace.
    pub(crate) fn open_here() -> Result<Self, Cause> {
        let random = RandomState::new();
        for attempt in 0..ATTEMPTS {
            let [low, high, ..] = random.hash_one(attempt).to_ne_bytes();
            let number = MARK | u32::from(u16::from_ne_bytes([low, high]));
            if let Some(tag) = Self::take_here(number)? {
                return Ok(tag);
            }
        }
        Err(Errno::EADDRINUSE.into())
    }

    /// Holds this number; none where somebody else does.
    pub(crate) fn take_here(number: u32) -> Result<Option<Self>, Cause> {
        fault::system_call("socket")?;
        let mut holder = Socket::new(NETLINK_USERSOCK)?;
        match holder.bind(&SocketAddr::new(number, 0)) {
            Ok(()) => Ok(Some(Self { number, _holder: holder })),
            Err(error) if error.raw_os_error() == Some(Errno::EADDRINUSE as i32) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }
}

/// Whether a link's group is a tag.
pub(crate) fn is_tag(group: u32) -> bool {
    group & !NUMBERS == MARK
}
