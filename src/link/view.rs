//! A link as the kernel lists it, borrowed from the answer.

use std::borrow::Cow;

use super::index::LinkIndex;
use super::info::{LinkFlags, LinkInfo, OperationalState};
use super::kind::LinkKind;
use crate::error::Error;
use crate::mac::MacAddr;
use crate::netns::Netns;
use crate::wire::link::LinkView as Wire;

/// A link of a list, borrowed while the list is read: see [`Netns::fold_links`]. `LinkInfo::from`
/// copies it into a [`LinkInfo`], which has the same fields.
#[derive(Debug, Clone)]
pub struct LinkView<'a> {
    wire: Wire<'a>,
    name: Cow<'a, str>,
}

impl<'a> LinkView<'a> {
    pub(super) fn of(wire: Wire<'a>) -> Option<Self> {
        Some(Self { wire, name: wire.name()? })
    }

    /// Returns the index in its namespace.
    pub fn index(&self) -> LinkIndex {
        self.wire.index.into()
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the alternative names, which may be longer.
    pub fn alternative_names(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        self.wire.alternative_names()
    }

    /// Returns the kind. A physical link and the loopback link have none.
    pub fn kind(&self) -> Option<LinkKind> {
        self.wire.kind().map(|kind| LinkKind::from(&*kind))
    }

    /// Returns the flags.
    pub fn flags(&self) -> LinkFlags {
        LinkFlags::from_bits_retain(self.wire.flags)
    }

    /// Returns the ability to carry packets.
    pub fn state(&self) -> OperationalState {
        self.wire.operational_state().unwrap_or(0).into()
    }

    /// Returns the largest packet, in bytes, without the link-layer header.
    pub fn mtu(&self) -> u32 {
        self.wire.mtu().unwrap_or(0)
    }

    /// Returns the hardware address, if it has six bytes.
    pub fn mac(&self) -> Option<MacAddr> {
        self.wire.mac().map(MacAddr::from)
    }

    /// Returns the index of the bridge or bond that the link is a port of.
    pub fn master(&self) -> Option<LinkIndex> {
        self.wire.master().map(LinkIndex::from)
    }

    /// Returns the index of the peer (veth) or of the link below, as in [`LinkInfo::link`].
    pub fn link(&self) -> Option<LinkIndex> {
        self.wire.link().map(LinkIndex::from)
    }

    /// Returns the id of the namespace of [`link`](Self::link), if it is another one.
    pub fn link_namespace(&self) -> Option<i32> {
        self.wire.link_namespace()
    }

    /// Returns the group, by number. 0 is the default.
    pub fn group(&self) -> u32 {
        self.wire.group().unwrap_or(0)
    }

    /// Returns the comment.
    pub fn alias(&self) -> Option<Cow<'a, str>> {
        self.wire.alias()
    }
}

impl From<LinkView<'_>> for LinkInfo {
    fn from(view: LinkView<'_>) -> Self {
        Self {
            index: view.index(),
            name: view.name().to_owned(),
            alternative_names: view.alternative_names().map(Cow::into_owned).collect(),
            kind: view.kind(),
            flags: view.flags(),
            state: view.state(),
            mtu: view.mtu(),
            mac: view.mac(),
            master: view.master(),
            link: view.link(),
            link_namespace: view.link_namespace(),
            group: view.group(),
            alias: view.alias().map(Cow::into_owned),
        }
    }
}

impl Netns {
    /// Visits all links without storing them, so that memory stays flat for any number of links.
    /// [`links`](Self::links) returns them by value and in order.
    ///
    /// If the list changes during the read, it is read again, and the fold starts over with
    /// `start`. So the result is always that of one complete list.
    ///
    /// ```
    /// use netloom::{Bridge, Namespace};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let _bridge = Bridge::new("br0").create(&red)?;
    /// let is_bridge = |link: &netloom::LinkView<'_>| link.kind() == Some(netloom::LinkKind::Bridge);
    /// let bridges = red.fold_links(|| 0, |count, link| *count += u32::from(is_bridge(&link)))?;
    /// assert_eq!(bridges, 1);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `ErrorKind::Interrupted` if the list changed during all attempts to read it.
    #[doc(alias("ip link list", "RTM_GETLINK"))]
    pub fn fold_links<A>(
        &self,
        start: impl FnMut() -> A,
        mut visit: impl FnMut(&mut A, LinkView<'_>),
    ) -> Result<A, Error> {
        self.visit_links(start, |so_far, link| {
            if let Some(link) = LinkView::of(link) {
                visit(so_far, link);
            }
        })
    }
}
