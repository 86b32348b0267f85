//! The generation of a ruleset.

use super::request;
use crate::error::{Cause, Error};
use crate::netns::Netns;

/// A number that changes with every change to a namespace's ruleset, whoever makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "NFTA_GEN_ID")]
pub struct Generation(pub(crate) u32);

impl Netns {
    /// The generation of its ruleset, for
    /// [`Transaction::if_unchanged_since`](crate::nft::Transaction::if_unchanged_since).
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn nft_generation(&self) -> Result<Generation, Error> {
        request::generation(self)
    }
}

/// How often a ruleset is read that changes meanwhile.
const ATTEMPTS: u32 = 64;

/// What is read while nobody changes anything: once more where somebody did.
pub(crate) fn at_one_generation<T>(
    netns: &Netns,
    mut read: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut generation = request::generation(netns)?;
    for _ in 0..ATTEMPTS {
        let done = read();
        let now = request::generation(netns)?;
        match done {
            // What changed in between may be gone.
            Err(error) if error.is_not_found() && now != generation => {}
            Ok(_) if now != generation => {}
            result => return result,
        }
        generation = now;
    }
    Err(Cause::Interrupted(ATTEMPTS).doing("read", "the ruleset").in_namespace(netns))
}
