//! Links that queue incoming packets.

use super::{Kind, LinkKind};
use crate::error::Error;
use crate::link::create::NewLink;
use crate::link::handle::Link;
use crate::link::settings::{Settings, link_setters};
use crate::netns::Netns;
use crate::owned::Owned;

pub(super) const KIND: Kind = Kind::PLAIN;

/// An intermediate functional block to create: `tc` redirects packets to the link, which queues
/// them and then returns them to where they were redirected.
///
/// Replaces `ip link add name NAME type ifb`. Incoming packets have no queue of their own: redirect
/// packets to this link to shape them.
///
/// ```
/// use netloom::{Ifb, Namespace};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// let ifb = Ifb::new("ifb0").up().create(&host)?;
/// assert_eq!(ifb.info()?.kind, Some(netloom::LinkKind::Ifb));
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: `drivers/net/ifb.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Ifb {
    settings: Settings,
}

impl Ifb {
    /// Describes an ifb with this name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self { settings: Settings::new(name.as_ref()) }
    }

    // The ifb driver does not let anybody change the hardware address.
    link_setters!(mtu: "1,500", queues: "1");

    /// Creates the ifb.
    ///
    /// # Errors
    ///
    /// If a value can be known to be wrong, it is refused before any system call. A failure leaves
    /// nothing behind.
    /// - `is_already_exists()` if a link has the name.
    /// - `is_unsupported()` in a kernel without `CONFIG_IFB`.
    #[doc(alias("ip link add", "RTM_NEWLINK"))]
    pub fn create(&self, netns: &Netns) -> Result<Owned<Link>, Error> {
        NewLink::of("create ifb", &LinkKind::Ifb, &self.settings, netns).create()
    }
}

#[cfg(test)]
pub(super) fn example(netns: &Netns) -> Result<(), Error> {
    Ifb::new("ifb0").up().create(netns)?.delete().map_err(Error::from)
}
