//! The error of a transaction: the refused operations.

use nix::errno::Errno;
use thiserror::Error as ThisError;

use crate::error::Error;

/// A refused operation.
#[derive(Debug)]
pub struct Refused {
    /// The index of the operation, counted from 0 in the order of the calls.
    pub index: usize,
    /// The reason.
    pub error: Error,
}

/// The reason why a transaction was refused. None of its operations was applied.
///
/// The kernel continues after the first refusal, so operations that depend on a refused one are
/// refused too.
#[derive(Debug, ThisError)]
#[error("{}", self.text())]
pub struct TransactionError {
    pub(super) refused: Vec<Refused>,
    #[source]
    pub(super) whole: Option<Error>,
}

impl TransactionError {
    /// The refused operations in their order. The list is empty if the transaction was refused as a
    /// whole: no privilege, no buffer large enough, another generation.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Returns whether another program changed the ruleset since the expected generation.
    #[doc(alias = "ERESTART")]
    pub fn is_stale(&self) -> bool {
        self.whole.as_ref().is_some_and(|error| error.errno() == Some(Errno::ERESTART))
    }

    pub(super) fn whole(error: Error) -> Self {
        Self { refused: Vec::new(), whole: Some(error) }
    }

    fn text(&self) -> String {
        match (&self.whole, self.refused.as_slice()) {
            (Some(error), _) => error.to_string(),
            (None, []) => "refused".into(),
            (None, [one]) => format!("operation {}: {}", one.index, one.error),
            (None, [first, rest @ ..]) => {
                format!("operation {}: {} (and {} more)", first.index, first.error, rest.len())
            }
        }
    }
}

/// Returns the first refusal.
impl From<TransactionError> for Error {
    fn from(failure: TransactionError) -> Self {
        let first = failure.refused.into_iter().next().map(|refused| refused.error);
        failure.whole.or(first).unwrap_or_else(|| {
            Error::invalid("commit", "a transaction", "the kernel gave no reason")
        })
    }
}
