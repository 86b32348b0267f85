//! Why a transaction was refused, and which of its operations.

use std::fmt;

use nix::errno::Errno;

use crate::error::Error;

/// An operation that was refused.
#[derive(Debug)]
pub struct Refused {
    /// Which it was, in the order of the calls, from 0 on.
    pub index: usize,
    /// Why, in the kernel's words where it has any.
    pub error: Error,
}

/// Why a transaction was refused: nothing of it was done.
///
/// The kernel goes on after the first refusal, so what depends on a refused operation is refused as well.
#[derive(Debug)]
pub struct TransactionError {
    pub(super) refused: Vec<Refused>,
    pub(super) whole: Option<Error>,
}

impl TransactionError {
    /// The refused operations, in their order. Empty where all was refused as one: no privilege, no buffer
    /// large enough, another generation.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Whether somebody changed the ruleset since the expected generation.
    #[doc(alias = "ERESTART")]
    pub fn is_stale(&self) -> bool {
        self.whole.as_ref().is_some_and(|error| error.errno() == Some(Errno::ERESTART))
    }

    pub(super) fn whole(error: Error) -> Self {
        Self { refused: Vec::new(), whole: Some(error) }
    }
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.whole, self.refused.as_slice()) {
            (Some(error), _) => write!(f, "{error}"),
            (None, []) => f.write_str("refused"),
            (None, [first, rest @ ..]) => {
                write!(f, "operation {}: {}", first.index, first.error)?;
                if rest.is_empty() { Ok(()) } else { write!(f, " (and {} more)", rest.len()) }
            }
        }
    }
}

impl std::error::Error for TransactionError {}

/// The first refusal.
impl From<TransactionError> for Error {
    fn from(failure: TransactionError) -> Self {
        let first = failure.refused.into_iter().next().map(|refused| refused.error);
        failure.whole.or(first).unwrap_or_else(|| {
            Error::invalid("commit", "a transaction", "it was refused without a reason")
        })
    }
}
