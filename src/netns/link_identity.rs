//! What tells a link from another one that has got its index.
//!
//! The kernel gives new links indexes that no link had before, but a link that is moved in keeps its
//! own where that is free: after somebody deleted ours, its index may be a stranger's.

use std::borrow::Cow;

use super::handle::Netns;
use crate::error::Cause;
use crate::mac::MacAddr;
use crate::netlink::{Batch, RequestType};
use crate::wire::link::{LinkView, WhichLink};

/// What a link was seen with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) kind: Option<String>,
    pub(crate) mac: Option<MacAddr>,
    /// Of a veth, its peer's index.
    pub(crate) link: Option<u32>,
}

impl Identity {
    pub(crate) fn of(view: LinkView<'_>) -> Self {
        let kind = view.kind().map(Cow::into_owned);
        Self { kind, mac: view.mac().map(MacAddr::from), link: view.link() }
    }

    /// Whether the link that is listed with this index is still the one that was seen as `name`: of the
    /// same kind, and with the same hardware address, or, where somebody changed that, the same name and
    /// the same peer.
    pub(crate) fn is(&self, name: &str, listed: LinkView<'_>) -> bool {
        let same_address = self.mac.is_some() && self.mac == listed.mac().map(MacAddr::from);
        let same_place = || listed.name().as_deref() == Some(name) && self.link == listed.link();
        self.kind.as_deref() == listed.kind().as_deref() && (same_address || same_place())
    }
}

/// A link as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    index: u32,
    name: String,
    identity: Identity,
}

impl Seen {
    pub(super) fn at(index: u32, netns: &Netns) -> Result<Self, Cause> {
        let read = |view: LinkView<'_>| {
            let name = view.name()?.into_owned();
            Some(Self { index, name, identity: Identity::of(view) })
        };
        Self::look(index, netns, read)
    }

    pub(super) fn is_there(&self, netns: &Netns) -> Result<bool, Cause> {
        Self::look(self.index, netns, |view| Some(self.identity.is(&self.name, view)))
    }

    fn look<T>(
        index: u32,
        netns: &Netns,
        read: impl FnMut(LinkView<'_>) -> Option<T>,
    ) -> Result<T, Cause> {
        netns.look_up_link(WhichLink::At(index), read)
    }
}

impl Netns {
    /// What is read of one link.
    pub(crate) fn look_up_link<T>(
        &self,
        which: WhichLink<'_>,
        mut read: impl FnMut(LinkView<'_>) -> Option<T>,
    ) -> Result<T, Cause> {
        let request = |batch: &mut Batch| {
            batch.request(RequestType::GetLink as u16, 0, |out| which.write(out))
        };
        let found =
            self.route(|socket| socket.get(request, |answer| read(LinkView::read(answer)?)))?;
        found.ok_or(Cause::Malformed("a link without a name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::Message;
    use netlink_packet_core::Emitable;
    use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};

    /// Whether a link that was seen with one peer is taken for what is listed.
    fn is_taken(ours: &Identity, name: &str, listed: &LinkMessage) -> bool {
        let mut payload = vec![0; listed.buffer_len()];
        listed.emit(&mut payload);
        let message = Message { kind: 16, flags: 0, sequence: 0, payload: &payload };
        ours.is(name, LinkView::read(message).unwrap())
    }

    fn listed(name: &str, mac: u8) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 2;
        message.attributes.push(LinkAttribute::IfName(name.into()));
        message.attributes.push(LinkAttribute::Address(vec![2, 0, 0, 0, 0, mac]));
        message
    }

    #[test]
    fn a_link_is_known_by_its_address_or_by_name_and_peer() {
        let ours =
            Identity { kind: None, mac: Some(MacAddr::from([2, 0, 0, 0, 0, 1])), link: None };
        let is = |listed: &LinkMessage| is_taken(&ours, "eth0", listed);
        assert!(is(&listed("eth0", 1)));
        assert!(is(&listed("renamed", 1)));
        assert!(is(&listed("eth0", 9)));
        assert!(!is(&listed("eth1", 9)));
        let of_a_peer = Identity { link: Some(7), ..ours.clone() };
        assert!(!is_taken(&of_a_peer, "eth0", &listed("eth0", 9)));
        let mut bridge = listed("eth0", 1);
        bridge.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
        assert!(!is(&bridge));
    }
}
