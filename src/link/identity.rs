//! What tells a link from another one that has got its index.
//!
//! The kernel gives new links indexes that no link had before, but a link that is moved in keeps its
//! own where that is free: after somebody deleted ours, its index may be a stranger's.

use super::info::LinkInfo;
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
        Self { kind: view.kind(), mac: view.mac().map(MacAddr::from), link: view.link() }
    }

    /// Whether the link that is listed with this index is still the one that was seen as `name`: of the
    /// same kind, and with the same hardware address, or, where somebody changed that, the same name and
    /// the same peer.
    pub(super) fn is(&self, name: &str, listed: &LinkInfo) -> bool {
        let same_address = self.mac.is_some() && self.mac == listed.mac;
        let same_place = name == listed.name && self.link == listed.link;
        self.kind == listed.kind && (same_address || same_place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::message::LinkRequest;
    use crate::wire::message::Message;
    use netlink_packet_core::Emitable;

    fn listed(name: &str, mac: u8) -> LinkInfo {
        let mac = MacAddr::from([2, 0, 0, 0, 0, mac]);
        let message = LinkRequest::at(2).name(name).mac(mac).into_message();
        let mut payload = vec![0; message.buffer_len()];
        message.emit(&mut payload);
        let message = Message { kind: 16, flags: 0, sequence: 0, payload: &payload };
        LinkInfo::read(LinkView::read(message).unwrap()).unwrap()
    }

    #[test]
    fn a_link_is_known_by_its_address_or_by_name_and_peer() {
        let seen = listed("eth0", 1);
        let ours = Identity { kind: None, mac: seen.mac, link: None };
        assert!(ours.is("eth0", &seen));
        assert!(ours.is("eth0", &listed("renamed", 1)));
        assert!(ours.is("eth0", &listed("eth0", 9)));
        assert!(!ours.is("eth0", &listed("eth1", 9)));
        let other_peer = LinkInfo { link: Some(7), ..listed("eth0", 9) };
        assert!(!ours.is("eth0", &other_peer));
        let other_kind = LinkInfo { kind: Some("bridge".into()), ..seen };
        assert!(!ours.is("eth0", &other_kind));
    }
}
