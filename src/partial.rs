//! The error of an operation on many objects that failed for some of them.

use std::fmt;

use crate::error::Error;

/// The error of an operation on many objects that failed for some: one [`Error`] for each of them.
///
/// `?` turns it into the first of these errors.
#[derive(Debug, thiserror::Error)]
#[error("{} failed: {}", .errors.len(), Listed(.errors))]
pub struct PartialError {
    errors: Vec<Error>,
}

impl PartialError {
    /// Returns `Ok` if nothing failed.
    pub(crate) fn check(errors: Vec<Error>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self { errors }) }
    }

    /// Returns the error of each object that failed.
    pub fn errors(&self) -> &[Error] {
        &self.errors
    }

    /// Returns the error of each object that failed, by value.
    pub fn into_errors(self) -> Vec<Error> {
        self.errors
    }
}

/// Takes the first error.
impl From<PartialError> for Error {
    fn from(partial: PartialError) -> Self {
        let first = partial.errors.into_iter().next();
        first.unwrap_or_else(|| Self::invalid("delete", "objects", "no reason is known"))
    }
}

/// Errors in one line.
struct Listed<'a>(&'a [Error]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if place == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
