//! A link as the kernel lists it, borrowed from the answer it came in.

use std::borrow::Cow;

use super::index::LinkIndex;
use super::info::{LinkFlags, LinkInfo, OperationalState};
use super::message::LinkRequest;
use crate::error::Error;
use crate::mac::MacAddr;
use crate::netns::Netns;
use crate::wire::link::LinkView as Wire;

/// A link of a list, lent while it is read: see [`Netns::fold_links`]. It says what a [`LinkInfo`] says,
/// which is made of it by `LinkInfo::from`.
#[derive(Debug, Clone)]
pub struct LinkView<'a> {
    wire: Wire<'a>,
    name: Cow<'a, str>,
}

impl<'a> LinkView<'a> {
    pub(super) fn of(wire: Wire<'a>) -> Option<Self> {
        Some(Self { wire, name: wire.name()? })
    }

    /// Its index in its namespace.
    pub fn index(&self) -> LinkIndex {
        self.wire.index.into()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its other names, which may be longer.
    pub fn alternative_names(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        self.wire.alternative_names()
    }

    /// `veth`, `bridge`, …; a physical link and the loopback link have none.
    pub fn kind(&self) -> Option<Cow<'a, str>> {
        self.wire.kind()
    }

    /// Its flags.
    pub fn flags(&self) -> LinkFlags {
        LinkFlags::from_bits_retain(self.wire.flags)
    }

    /// Whether it can carry packets.
    pub fn state(&self) -> OperationalState {
        self.wire.operational_state().unwrap_or(0).into()
    }

    /// The largest packet, in bytes, without the link-layer header.
    pub fn mtu(&self) -> u32 {
        self.wire.mtu().unwrap_or(0)
    }

    /// Its hardware address, where that has six bytes.
    pub fn mac(&self) -> Option<MacAddr> {
        self.wire.mac().map(MacAddr::from)
    }

    /// The index of the bridge or bond it is a port of.
    pub fn master(&self) -> Option<LinkIndex> {
        self.wire.master().map(LinkIndex::from)
    }

    /// The index of its peer (veth) or of the link below it, as in [`LinkInfo::link`].
    pub fn link(&self) -> Option<LinkIndex> {
        self.wire.link().map(LinkIndex::from)
    }

    /// The id of the namespace that [`link`](Self::link) is in, if it is another one.
    pub fn link_namespace(&self) -> Option<i32> {
        self.wire.link_namespace()
    }

    /// The group it is in, by number; 0 is the default.
    pub fn group(&self) -> u32 {
        self.wire.group().unwrap_or(0)
    }

    /// A comment on it.
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
            kind: view.kind().map(Cow::into_owned),
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
    /// Goes through all links without keeping them: memory stays flat however many they are. As
    /// [`links`](Self::links), which returns them by value and in order.
    ///
    /// A list that changes while it is read is read again, and the fold begins anew with `start`, so that
    /// what is returned was made of one whole list.
    ///
    /// ```
    /// use netloom::{Bridge, Namespace};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let _bridge = Bridge::new("br0").create(&red)?;
    /// let is_bridge = |link: &netloom::LinkView<'_>| link.kind().as_deref() == Some("bridge");
    /// let bridges = red.fold_links(|| 0, |count, link| *count += u32::from(is_bridge(&link)))?;
    /// assert_eq!(bridges, 1);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where the list changed each time it was read.
    #[doc(alias("ip link list", "RTM_GETLINK"))]
    pub fn fold_links<A>(
        &self,
        start: impl FnMut() -> A,
        mut visit: impl FnMut(&mut A, LinkView<'_>),
    ) -> Result<A, Error> {
        let all = LinkRequest::default().get();
        self.fold("links", &all, start, |so_far, message| {
            if let Some(link) = Wire::read(message).and_then(LinkView::of) {
                visit(so_far, link);
            }
        })
    }
}
