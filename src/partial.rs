//! The error of an operation on many objects that failed for some of them.

use std::fmt;

use crate::error::Error;

/// The error of an operation on many objects that failed for some of them. It has one [`Error`] for
/// each failed object, and the owner of the others if the operation creates objects.
///
/// The operator `?` turns it into the first of these errors, and thereby deletes the created
/// objects.
#[derive(Debug)]
pub struct PartialError<O = ()> {
    errors: Vec<Error>,
    places: Vec<usize>,
    owned: O,
}

impl PartialError {
    /// Returns `Ok` if nothing failed.
    pub(crate) fn check(errors: Vec<Error>) -> Result<(), Self> {
        let nothing_failed = errors.is_empty();
        if nothing_failed { Ok(()) } else { Err(Self { errors, places: Vec::new(), owned: () }) }
    }
}

impl<O> PartialError<O> {
    /// Returns the owner if nothing failed. The number of each failure is the position of its
    /// object.
    pub(crate) fn unless_created(failures: Vec<(usize, Error)>, owned: O) -> Result<O, Self> {
        if failures.is_empty() {
            return Ok(owned);
        }
        let (places, errors) = failures.into_iter().unzip();
        Err(Self { errors, places, owned })
    }

    /// Converts the owner of the objects that were created.
    pub(crate) fn map_owned<P>(self, convert: impl FnOnce(O) -> P) -> PartialError<P> {
        let Self { errors, places, owned } = self;
        PartialError { errors, places, owned: convert(owned) }
    }

    /// Lends the owner of the objects that were created.
    pub(crate) fn owned(&self) -> &O {
        &self.owned
    }

    /// Returns one error for each object that failed.
    pub fn errors(&self) -> &[Error] {
        &self.errors
    }

    /// Converts into one error for each object that failed.
    pub fn into_errors(self) -> Vec<Error> {
        self.errors
    }

    /// Returns the position of each failed object, in the order of [`errors`](Self::errors). Empty
    /// if the objects have no order.
    pub fn places(&self) -> &[usize] {
        &self.places
    }

    /// Returns the owner of the objects that were created.
    pub fn into_owned(self) -> O {
        self.owned
    }
}

/// Returns the first error, and drops the owner.
impl<O> From<PartialError<O>> for Error {
    fn from(partial: PartialError<O>) -> Self {
        let first = partial.errors.into_iter().next();
        first.unwrap_or_else(|| Self::invalid("change", "objects", "no reason is known"))
    }
}

/// Writes the first errors, in one line.
impl<O> fmt::Display for PartialError<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        write!(f, "{} failed", self.errors.len())?;
        for (at, error) in self.errors.iter().take(SHOWN).enumerate() {
            f.write_str(if at == 0 { ": " } else { "; " })?;
            if let Some(place) = self.places.get(at) {
                write!(f, "number {place}, ")?;
            }
            error.fmt(f)?;
        }
        f.write_str(if self.errors.len() > SHOWN { "; …" } else { "" })
    }
}

impl<O: fmt::Debug> std::error::Error for PartialError<O> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.errors.first().map(|error| error as _)
    }
}
