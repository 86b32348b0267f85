//! The generation of a ruleset.

use super::request;
use crate::error::Error;
use crate::netns::Netns;

/// A number that changes with every change to a namespace's ruleset, whoever makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "NFTA_GEN_ID")]
pub struct Generation(pub(super) u32);

impl Netns {
    /// The generation of its ruleset, for
    /// [`Transaction::if_unchanged_since`](super::Transaction::if_unchanged_since).
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn nft_generation(&self) -> Result<Generation, Error> {
        request::generation(self)
    }
}
