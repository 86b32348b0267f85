//! The name of a namespace in messages.

use std::fmt;
use std::path::PathBuf;

use crate::text::Escaped;

/// The way in which a handle was opened. It determines the name in messages, and what deletion
/// means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Label {
    Anonymous,
    Named(String),
    Path(PathBuf),
    Pid(u32),
    Current,
}

/// Formats a name in backticks.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", Escaped(self.0))
    }
}
