//! Checks of tags, and the error for a table of another program.

use nix::errno::Errno;

use crate::error::{Cause, Error};
use crate::nft::Step;

/// Refuses strings that can't be a tag.
pub(super) fn check_tag(tag: &str) -> Result<(), &'static str> {
    match tag {
        "" => Err("a tag can't be empty"),
        _ if tag.len() > 127 => Err("a tag has 127 bytes at most, because a comment stores it"),
        _ if tag.contains(|c: char| c == '"' || c.is_control()) => {
            Err("a tag can't contain quotes or control characters: nft could not list it")
        }
        _ => Ok(()),
    }
}

/// Returns the error if another program's table has a name that netloom uses.
pub(super) fn foreign(name: &str, (action, shown): Step<'_>) -> Error {
    let hint = format!("a table `{name}` exists that netloom did not make");
    Cause::from(Errno::EEXIST).doing(action, shown).hint(hint)
}
