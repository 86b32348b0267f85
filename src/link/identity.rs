//! What tells a link from another one that has got its index.
//!
//! The kernel gives new links indexes that no link had before, but a link that is moved in keeps its
//! own where that is free: after somebody deleted ours, its index may be a stranger's.

use std::borrow::Cow;

use crate::mac::MacAddr;
use crate::wire::link::LinkView;

/// What a link was seen with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) kind: Option<String>,
    pub(super) mac: Option<MacAddr>,
    /// Of a veth, its peer's index.
    pub(super) link: Option<u32>,
}

impl Identity {
    pub(super) fn of(view: LinkView<'_>) -> Self {
        let kind = view.kind().map(Cow::into_owned);
        Self { kind, mac: view.mac().map(MacAddr::from), link: view.link() }
    }

    /// Whether the link that is listed with this index is still the one that was seen as `name`: of the
    /// same kind, and with the same hardware address, or, where somebody changed that, the same name and
    /// the same peer.
    pub(super) fn is(&self, name: &str, listed: LinkView<'_>) -> bool {
        let same_address = self.mac.is_some() && self.mac == listed.mac().map(MacAddr::from);
        let same_place = || listed.name().as_deref() == Some(name) && self.link == listed.link();
        self.kind.as_deref() == listed.kind().as_deref() && (same_address || same_place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::message::LinkRequest;
    use crate::wire::message::Message;
    use netlink_packet_core::Emitable;
    use netlink_packet_route::link::InfoKind;

    /// Whether a link that was seen with one peer is taken for what is listed.
    fn is_taken(ours: &Identity, name: &str, listed: LinkRequest) -> bool {
        let message = listed.into_message();
        let mut payload = vec![0; message.buffer_len()];
        message.emit(&mut payload);
        let message = Message { kind: 16, flags: 0, sequence: 0, payload: &payload };
        ours.is(name, LinkView::read(message).unwrap())
    }

    #[test]
    fn a_link_is_known_by_its_address_or_by_name_and_peer() {
        let mac = |last| MacAddr::from([2, 0, 0, 0, 0, last]);
        let listed = |name: &str, last| LinkRequest::at(2).name(name).mac(mac(last));
        let ours = Identity { kind: None, mac: Some(mac(1)), link: None };
        let is = |listed: LinkRequest| is_taken(&ours, "eth0", listed);
        assert!(is(listed("eth0", 1)));
        assert!(is(listed("renamed", 1)));
        assert!(is(listed("eth0", 9)));
        assert!(!is(listed("eth1", 9)));
        assert!(!is_taken(&Identity { link: Some(7), ..ours.clone() }, "eth0", listed("eth0", 9)));
        assert!(!is(listed("eth0", 1).kind(InfoKind::Bridge, None)));
    }
}
