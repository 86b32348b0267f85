//! The answer to one check.

use crate::error::Error;

/// The answer to a check: yes, no, or unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The process can do it.
    Yes,
    /// The process can't do it.
    No {
        /// The reason.
        reason: String,
        /// The remedy, if one is known.
        remedy: Option<String>,
    },
    /// This kernel lacks the feature.
    Unsupported {
        /// The answer of the kernel.
        reason: String,
        /// The kernel, option or module that has the feature.
        remedy: String,
    },
    /// The check could not be tried.
    Unknown {
        /// The reason.
        reason: String,
    },
}

impl Answer {
    /// Returns whether the process can do it.
    pub fn is_yes(&self) -> bool {
        *self == Self::Yes
    }

    /// Returns whether the process can't do it, for any reason.
    pub fn is_no(&self) -> bool {
        matches!(self, Self::No { .. } | Self::Unsupported { .. })
    }

    /// Returns whether this kernel lacks the feature.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported { .. })
    }

    /// Returns the reason for a no or an unknown.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Yes => None,
            Self::No { reason, .. }
            | Self::Unsupported { reason, .. }
            | Self::Unknown { reason } => Some(reason),
        }
    }

    /// Returns the remedy for a no.
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

/// Turns success into yes, and an error into a no with its reason and hint.
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
