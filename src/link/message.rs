//! Rtnetlink link requests, built attribute by attribute.

use std::os::fd::AsRawFd;

use netlink_packet_core::{DefaultNla, NLA_F_NESTED};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, LinkAttribute, LinkExtentMask,
    LinkFlags, LinkInfo, LinkMessage,
};

use crate::mac::MacAddr;
use crate::netlink::RouteRequest;
use crate::netns::Netns;
use crate::wire::attribute::Writer;

/// A link request in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct LinkRequest(LinkMessage);

impl LinkRequest {
    /// For a link that is to be made.
    pub(crate) fn named(name: &str) -> Self {
        Self::default().name(name)
    }

    /// For the link with this index.
    pub(crate) fn at(index: u32) -> Self {
        let mut request = Self::default();
        request.0.header.index = index;
        request
    }

    fn with(mut self, attribute: LinkAttribute) -> Self {
        self.0.attributes.push(attribute);
        self
    }

    pub(crate) fn name(self, name: &str) -> Self {
        self.with(LinkAttribute::IfName(name.to_owned()))
    }

    pub(crate) fn up(mut self, up: bool) -> Self {
        self.0.header.flags.set(LinkFlags::Up, up);
        self.0.header.change_mask |= LinkFlags::Up;
        self
    }

    pub(crate) fn promiscuous(mut self, on: bool) -> Self {
        self.0.header.flags.set(LinkFlags::Promisc, on);
        self.0.header.change_mask |= LinkFlags::Promisc;
        self
    }

    pub(crate) fn mtu(self, mtu: u32) -> Self {
        self.with(LinkAttribute::Mtu(mtu))
    }

    pub(crate) fn mac(self, mac: MacAddr) -> Self {
        self.with(LinkAttribute::Address(mac.octets().to_vec()))
    }

    /// Enslaves it; 0 releases it.
    pub(crate) fn master(self, index: u32) -> Self {
        self.with(LinkAttribute::Controller(index))
    }

    pub(crate) fn group(self, group: u32) -> Self {
        self.with(LinkAttribute::Group(group))
    }

    pub(crate) fn queues(self, queues: u32) -> Self {
        self.with(LinkAttribute::NumTxQueues(queues)).with(LinkAttribute::NumRxQueues(queues))
    }

    /// Makes it in, or moves it to, this namespace, which must stay open until the request is sent.
    pub(crate) fn namespace(self, namespace: &Netns) -> Self {
        self.with(LinkAttribute::NetNsFd(namespace.fd().as_raw_fd()))
    }

    /// No IPv6 address made up by the kernel. Only for a link that exists and is down.
    pub(crate) fn no_ipv6_address(self) -> Self {
        let none = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        self.with(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![none])]))
    }

    /// Sets the per-device IPv4 setting with this number (`include/uapi/linux/ip.h`, `IPV4_DEVCONF_*`).
    pub(crate) fn ipv4_setting(self, number: u16, value: u32) -> Self {
        const AF_INET: u16 = 2;
        const IFLA_INET_CONF: u16 = 1;
        const IFLA_AF_SPEC: u16 = 26;
        let mut families = Vec::new();
        Writer::new(&mut families).nested(AF_INET, |inet| {
            inet.nested(IFLA_INET_CONF, |settings| settings.u32(number, value));
        });
        self.with(LinkAttribute::Other(DefaultNla::new(IFLA_AF_SPEC | NLA_F_NESTED, families)))
    }

    pub(crate) fn kind(self, kind: InfoKind, data: Option<InfoData>) -> Self {
        let mut info = vec![LinkInfo::Kind(kind)];
        info.extend(data.map(LinkInfo::Data));
        self.with(LinkAttribute::LinkInfo(info))
    }

    pub(crate) fn into_message(self) -> LinkMessage {
        self.0
    }

    pub(crate) fn create(self) -> RouteRequest {
        RouteRequest::NewLink(self.0)
    }

    pub(crate) fn change(self) -> RouteRequest {
        RouteRequest::SetLink(self.0)
    }

    pub(crate) fn delete(self) -> RouteRequest {
        RouteRequest::DelLink(self.0)
    }

    /// Without the statistics, which are most of an answer. They are left out of lists for another
    /// reason, too: where nothing is said of them, the kernel does not make room for a link larger than
    /// usual, and ends the list before it as if it were whole (6.18, `rtnl_dump_ifinfo`).
    pub(crate) fn get(self) -> RouteRequest {
        let without = LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]);
        RouteRequest::GetLink(self.with(without).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::link::LinkView;
    use crate::wire::message::Message;
    use netlink_packet_core::Emitable;

    #[test]
    fn what_is_asked_for_reads_back() {
        let request = LinkRequest::at(7).name("veth1").mtu(1400).master(3).up(true).group(9);
        let message = request.mac(MacAddr::from([2, 0, 0, 0, 0, 1])).change();
        let mut payload = vec![0; message.buffer_len()];
        message.emit(&mut payload);
        let message = Message { kind: 19, flags: 0, sequence: 0, payload: &payload };
        let view = LinkView::read(message).unwrap();
        assert_eq!((view.index, view.flags), (7, 1));
        assert_eq!(view.name().as_deref(), Some("veth1"));
        assert_eq!((view.mtu(), view.master(), view.group()), (Some(1400), Some(3), Some(9)));
        assert_eq!(view.mac(), Some([2, 0, 0, 0, 0, 1]));
    }

    /// `ip link set dev eth0 addrgenmode none`, and forwarding on one device.
    #[test]
    fn per_family_settings_are_nested_as_the_kernel_wants_them() {
        let bytes = |request: LinkRequest| {
            let message = request.change();
            let mut payload = vec![0; message.buffer_len()];
            message.emit(&mut payload);
            payload.split_off(16)
        };
        // The kernel's parser ignores whether a nest carries the nested flag.
        let without_flags = |mut bytes: Vec<u8>, at: &[usize]| {
            for at in at {
                bytes[at + 3] &= 0x7f;
            }
            bytes
        };
        let none = without_flags(bytes(LinkRequest::at(1).no_ipv6_address()), &[0, 4]);
        assert_eq!(none, [16, 0, 26, 0, 12, 0, 10, 0, 5, 0, 8, 0, 1, 0, 0, 0]);
        let on = without_flags(bytes(LinkRequest::at(1).ipv4_setting(1, 1)), &[0, 4, 8]);
        assert_eq!(on, [20, 0, 26, 0, 16, 0, 2, 0, 12, 0, 1, 0, 8, 0, 1, 0, 1, 0, 0, 0]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_asked_for_reads_back(
            index in 1u32..,
            name in "[a-zA-Z0-9_.-]{1,15}",
            mac in proptest::array::uniform6(0u8..),
            numbers in proptest::array::uniform3(0u32..),
            up in proptest::option::of(proptest::bool::ANY),
        ) {
            let [mtu, master, group] = numbers;
            let mut request = LinkRequest::at(index).name(&name).mac(mac.into());
            request = request.mtu(mtu).master(master).group(group);
            if let Some(up) = up {
                request = request.up(up);
            }
            let message = request.change();
            let mut payload = vec![0; message.buffer_len()];
            message.emit(&mut payload);
            let message = Message { kind: 19, flags: 0, sequence: 0, payload: &payload };
            let view = LinkView::read(message).unwrap();
            assert_eq!((view.index, view.name().as_deref()), (index, Some(&*name)));
            assert_eq!((view.mtu(), view.master(), view.group()), (Some(mtu), Some(master), Some(group)));
            assert_eq!((view.mac(), view.flags), (Some(mac), u32::from(up == Some(true))));
            // The mask says whether the flag is meant at all.
            assert_eq!(payload[12..16], u32::from(up.is_some()).to_ne_bytes());
        }
    }
}
