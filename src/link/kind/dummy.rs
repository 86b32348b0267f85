//! Links that drop everything.

use super::{Kind, LinkKind};
use crate::error::Error;
use crate::link::create::NewLink;
use crate::link::handle::Link;
use crate::link::settings::{Settings, link_setters};
use crate::netns::Netns;
use crate::owned::Owned;

pub(super) const KIND: Kind = Kind::PLAIN;

/// A dummy link to create: it drops what is sent to it, and carries addresses that depend on no
/// hardware.
///
/// Replaces `ip link add name NAME type dummy`.
///
/// ```no_run
/// use netloom::{Dummy, Netns};
///
/// let host = Netns::current()?;
/// let service = Dummy::new("service0").address("10.96.0.10/32").up().create(&host)?;
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: `drivers/net/dummy.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Dummy {
    settings: Settings,
}

impl Dummy {
    /// Describes a dummy link with this name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self { settings: Settings::new(name.as_ref()) }
    }

    link_setters!(mac: "a random one", mtu: "1,500", queues: "1");

    /// Creates the link.
    ///
    /// # Errors
    ///
    /// A value that can be known wrong is refused before any system call. Nothing is left after a
    /// failure.
    /// - `is_already_exists()` if a link has the name.
    /// - `is_unsupported()` in a kernel without the module `dummy`.
    #[doc(alias("ip link add", "RTM_NEWLINK"))]
    pub fn create(&self, netns: &Netns) -> Result<Owned<Link>, Error> {
        NewLink::of("create dummy", &LinkKind::Dummy, &self.settings, netns).create()
    }
}

#[cfg(test)]
pub(super) fn example(netns: &Netns) -> Result<(), Error> {
    Dummy::new("dummy0").up().create(netns)?.delete().map_err(Error::from)
}
