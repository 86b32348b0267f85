//! Changes to persistent tables: each is decided at a generation of the ruleset, and decided again if
//! another program changed the ruleset first.

use std::fmt;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::error::{Cause, Error};
use crate::nft::is_outdated;

/// The time during which a change is decided again. One of the competing programs succeeds each time.
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

/// The reason why a table can't be used.
pub(super) enum NotOurs {
    Foreign(String),
}

impl NotOurs {
    pub(super) fn explain(self, action: &'static str, shown: &dyn fmt::Display) -> Error {
        match self {
            Self::Foreign(name) => Cause::from(Errno::EEXIST)
                .doing(action, shown)
                .hint(format!("a table `{name}` is there that netloom did not make")),
        }
    }
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
