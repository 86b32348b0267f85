//! The answer to one check.

use std::fmt;

use crate::error::Error;

/// The answer to a check. Every answer but a yes has a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Answer {
    verdict: Verdict,
    reason: String,
    remedy: String,
}

/// The outcome of a check. Prints `can`, `can't` or `unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// The process can do it.
    Yes,
    /// The process can't do it.
    No,
    /// This kernel lacks the feature.
    Unsupported,
    /// The check could not be tried.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Yes => "can",
            Self::No | Self::Unsupported => "can't",
            Self::Unknown => "unknown",
        })
    }
}

impl Answer {
    /// Returns the outcome of the check.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Returns whether the process can do it.
    pub fn is_yes(&self) -> bool {
        self.verdict == Verdict::Yes
    }

    /// Returns whether the process can't do it, for any reason.
    pub fn is_no(&self) -> bool {
        matches!(self.verdict, Verdict::No | Verdict::Unsupported)
    }

    /// Returns whether this kernel lacks the feature.
    pub fn is_unsupported(&self) -> bool {
        self.verdict == Verdict::Unsupported
    }

    /// Returns the reason for a no or an unknown.
    pub fn reason(&self) -> Option<&str> {
        Some(&*self.reason).filter(|text| !text.is_empty())
    }

    /// Returns the remedy for a no, if one is known.
    pub fn remedy(&self) -> Option<&str> {
        Some(&*self.remedy).filter(|text| !text.is_empty())
    }

    pub(super) fn new(
        verdict: Verdict,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { verdict, reason: reason.into(), remedy: remedy.into() }
    }

    pub(super) fn yes() -> Self {
        Self::new(Verdict::Yes, "", "")
    }

    pub(super) fn no(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Verdict::No, reason, remedy)
    }

    pub(super) fn unknown(reason: impl Into<String>) -> Self {
        Self::new(Verdict::Unknown, reason, "")
    }
}

/// Converts success to a yes, and an error to a no with its reason and hint.
impl From<Result<(), &Error>> for Answer {
    fn from(result: Result<(), &Error>) -> Self {
        let no = |error: &Error| Self::no(error.reason(), error.remedy().unwrap_or_default());
        result.map_or_else(no, |()| Self::yes())
    }
}
