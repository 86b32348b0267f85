//! Changes of tables that nobody owns: each is made at the generation it was decided on, and decided
//! again where somebody was faster. So a table is known to be ours when it is changed, and to be empty when
//! it goes.

use std::fmt;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::error::{Cause, Error};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::{is_outdated, read};
use crate::wire::nft::message::Family;
use crate::wire::nft::userdata::UserData;

/// How long a change is decided again: of those who are at it, one gets through each time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Refuses strings that can't be a tag.
pub(super) fn check_tag(tag: &str) -> Result<(), &'static str> {
    match tag {
        "" => Err("a tag can't be empty"),
        _ if tag.len() > 127 => Err("a tag has 127 bytes at most, as the comment it is kept in"),
        _ if tag.contains(|c: char| c == '"' || c.is_control()) => {
            Err("a tag can't contain quotes or control characters: nft could not list it")
        }
        _ => Ok(()),
    }
}

/// Why a table can't be used.
pub(super) enum NotOurs {
    Foreign(String),
    Unknown(Cause),
}

impl NotOurs {
    pub(super) fn explain(self, action: &'static str, shown: &dyn fmt::Display) -> Error {
        match self {
            Self::Foreign(name) => Cause::from(Errno::EEXIST)
                .doing(action, shown)
                .hint(format!("a table `{name}` is there that netloom did not make")),
            Self::Unknown(cause) => cause.doing(action, shown),
        }
    }
}

/// The number of a persistent table, where it is there and ours, by the mark that is its comment.
pub(super) fn ours(
    socket: &mut Socket,
    family: Family,
    name: &str,
    mark: &str,
) -> Result<Option<u64>, NotOurs> {
    let Some(table) = read::table(socket, family, name).map_err(NotOurs::Unknown)? else {
        return Ok(None);
    };
    let is_marked = table.userdata.as_ref().and_then(UserData::as_comment) == Some(mark);
    if is_marked { Ok(table.handle) } else { Err(NotOurs::Foreign(name.to_owned())) }
}

/// Reads the generation and runs `change` with it. Retries if the ruleset changed in between.
pub(super) fn repeat<T>(
    socket: &mut Socket,
    (action, shown): (&'static str, &dyn fmt::Display),
    mut change: impl FnMut(&mut Socket, u32) -> Result<T, Error>,
) -> Result<T, Error> {
    again((action, shown), || {
        let generation = read::generation(socket).map_err(|cause| cause.doing(action, shown))?;
        change(socket, generation)
    })
}

/// Runs `change` again while it fails because another program changed the ruleset first.
pub(super) fn again<T>(
    (action, shown): (&'static str, &dyn fmt::Display),
    mut change: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut start = None;
    let mut tries = 0;
    loop {
        match change() {
            Err(error) if is_outdated(&error) => tries += 1,
            done => return done,
        }
        // Most changes need one attempt.
        if start.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return Err(Cause::Interrupted(tries).doing(action, shown));
        }
    }
}

pub(super) fn with_socket<T>(
    netns: &Netns,
    shown: &dyn fmt::Display,
    work: impl FnOnce(&mut Socket) -> Result<T, Error>,
) -> Result<T, Error> {
    netns
        .netfilter(|socket| Ok(work(socket)))
        .map_err(|cause| cause.doing("open nf_tables for", shown))
        .flatten()
        .map_err(|error| error.in_namespace(netns))
}
