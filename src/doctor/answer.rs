//! The answer to one question.

use crate::error::Error;

/// Whether something can be done here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// It was done, or nothing is in its way.
    Yes,
    /// It was refused, or something is in its way.
    No {
        /// Why.
        reason: String,
        /// What to do about it, where that is known.
        remedy: Option<String>,
    },
    /// This kernel does not have it.
    Unsupported {
        /// What the kernel said.
        reason: String,
        /// Which kernel, option or module has it.
        remedy: String,
    },
    /// It could not be tried.
    Unknown {
        /// Why.
        reason: String,
    },
}

impl Answer {
    /// Whether it can be done.
    pub fn is_yes(&self) -> bool {
        *self == Self::Yes
    }

    /// Whether it can't be done, for whatever reason.
    pub fn is_no(&self) -> bool {
        matches!(self, Self::No { .. } | Self::Unsupported { .. })
    }

    /// Whether it is this kernel that does not have it.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported { .. })
    }

    /// Why not, or why that is not known.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Yes => None,
            Self::No { reason, .. }
            | Self::Unsupported { reason, .. }
            | Self::Unknown { reason } => Some(reason),
        }
    }

    /// What to do about a no.
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::No { remedy, .. } => remedy.as_deref(),
            Self::Unsupported { remedy, .. } => Some(remedy),
            Self::Yes | Self::Unknown { .. } => None,
        }
    }

    pub(super) fn no(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::No { reason: reason.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn unsupported(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Unsupported { reason: reason.into(), remedy: remedy.into() }
    }

    pub(super) fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown { reason: reason.into() }
    }

    pub(super) fn mark(&self) -> char {
        match self {
            Self::Yes => '✓',
            Self::No { .. } | Self::Unsupported { .. } => '✗',
            Self::Unknown { .. } => '?',
        }
    }
}

/// Yes where it could be done; else with the error's reason and its hint.
impl From<Result<(), &Error>> for Answer {
    fn from(result: Result<(), &Error>) -> Self {
        match result {
            Ok(()) => Self::Yes,
            Err(error) => {
                Self::No { reason: error.reason(), remedy: error.remedy().map(str::to_owned) }
            }
        }
    }
}
