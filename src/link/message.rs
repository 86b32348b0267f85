//! Rtnetlink link requests, built attribute by attribute.

use std::os::fd::AsRawFd;

use crate::mac::MacAddr;
use crate::netlink::{RequestType, RouteRequest};
use crate::netns::Netns;
use crate::wire::attribute::Writer;
use crate::wire::link::{
    AF_INET, AF_INET6, AF_UNSPEC, IFF_PROMISC, IFF_UP, IFLA_ADDRESS, IFLA_AF_SPEC, IFLA_EXT_MASK,
    IFLA_GROUP, IFLA_IFNAME, IFLA_INET_CONF, IFLA_INET6_ADDR_GEN_MODE, IFLA_INFO_DATA,
    IFLA_INFO_KIND, IFLA_LINK, IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU, IFLA_NET_NS_FD,
    IFLA_NUM_RX_QUEUES, IFLA_NUM_TX_QUEUES, IN6_ADDR_GEN_MODE_NONE, RTEXT_FILTER_SKIP_STATS,
    header,
};

/// A link request that is being built: `struct ifinfomsg` and attributes.
#[derive(Debug, Clone)]
pub(crate) struct LinkRequest(Vec<u8>);

impl Default for LinkRequest {
    fn default() -> Self {
        Self::at(0)
    }
}

impl LinkRequest {
    /// Starts a request for a link to create.
    pub(crate) fn named(name: &str) -> Self {
        Self::default().name(name)
    }

    /// Starts a request for the link with this index.
    pub(crate) fn at(index: u32) -> Self {
        Self(header(AF_UNSPEC, index).to_vec())
    }

    fn with(mut self, write: impl FnOnce(&mut Writer<'_>)) -> Self {
        let mut writer = Writer::new(&mut self.0);
        write(&mut writer);
        // Names are checked before, and all else has a fixed size.
        debug_assert!(!writer.overflowed());
        self
    }

    pub(crate) fn name(self, name: &str) -> Self {
        self.with(|out| out.string(IFLA_IFNAME, name))
    }

    pub(crate) fn up(self, up: bool) -> Self {
        self.flag(IFF_UP, up)
    }

    pub(crate) fn promiscuous(self, on: bool) -> Self {
        self.flag(IFF_PROMISC, on)
    }

    /// Sets a flag, and its bit in the mask of the flags to change.
    fn flag(mut self, flag: u32, on: bool) -> Self {
        if let Some(([.., flags], [mask, ..])) =
            self.0.as_chunks_mut::<4>().0.split_at_mut_checked(3)
        {
            let flagged = u32::from_ne_bytes(*flags) & !flag | if on { flag } else { 0 };
            *flags = flagged.to_ne_bytes();
            *mask = (u32::from_ne_bytes(*mask) | flag).to_ne_bytes();
        }
        self
    }

    pub(crate) fn mtu(self, mtu: u32) -> Self {
        self.with(|out| out.u32(IFLA_MTU, mtu))
    }

    pub(crate) fn mac(self, mac: MacAddr) -> Self {
        self.with(|out| out.bytes(IFLA_ADDRESS, &mac.octets()))
    }

    /// Sets the master; 0 releases the link.
    pub(crate) fn master(self, index: u32) -> Self {
        self.with(|out| out.u32(IFLA_MASTER, index))
    }

    /// Sets the link that this one is made on.
    pub(crate) fn link(self, index: u32) -> Self {
        self.with(|out| out.u32(IFLA_LINK, index))
    }

    pub(crate) fn group(self, group: u32) -> Self {
        self.with(|out| out.u32(IFLA_GROUP, group))
    }

    pub(crate) fn queues(self, queues: u32) -> Self {
        self.with(|out| {
            out.u32(IFLA_NUM_TX_QUEUES, queues);
            out.u32(IFLA_NUM_RX_QUEUES, queues);
        })
    }

    /// Names the namespace to create the link in, or to move it to. It must stay open until the request is
    /// sent.
    pub(crate) fn namespace(self, namespace: &Netns) -> Self {
        self.with(|out| out.bytes(IFLA_NET_NS_FD, &namespace.fd().as_raw_fd().to_ne_bytes()))
    }

    /// Turns the generation of IPv6 addresses off. Only for a link that exists and is down.
    pub(crate) fn no_ipv6_address(self) -> Self {
        self.of_family(AF_INET6, |inet6| {
            inet6.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
        })
    }

    /// Sets the per-device IPv4 setting with this number (`include/uapi/linux/ip.h`, `IPV4_DEVCONF_*`).
    pub(crate) fn ipv4_setting(self, number: u16, value: u32) -> Self {
        self.of_family(AF_INET, |inet| {
            inet.nested(IFLA_INET_CONF, |settings| settings.u32(number, value));
        })
    }

    fn of_family(self, family: u16, write: impl FnOnce(&mut Writer<'_>)) -> Self {
        self.with(|out| out.nested(IFLA_AF_SPEC, |families| families.nested(family, write)))
    }

    /// Sets the kind, with the options that a closure writes.
    pub(crate) fn kind(self, kind: &str, options: impl FnOnce(&mut Writer<'_>)) -> Self {
        self.with(|out| {
            out.nested(IFLA_LINKINFO, |info| {
                info.string(IFLA_INFO_KIND, kind);
                info.nested(IFLA_INFO_DATA, options);
            });
        })
    }

    /// Returns the bytes, as a part of another request.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn create(self) -> RouteRequest {
        RouteRequest::of(RequestType::NewLink, self.0)
    }

    pub(crate) fn change(self) -> RouteRequest {
        RouteRequest::of(RequestType::SetLink, self.0)
    }

    pub(crate) fn delete(self) -> RouteRequest {
        RouteRequest::of(RequestType::DelLink, self.0)
    }

    /// Asks for links without the statistics, which are most of an answer.
    ///
    /// Without this attribute the kernel makes no room in a list for a link that is larger than usual. It then
    /// ends the list before that link as if it were whole (6.18, `rtnl_dump_ifinfo`).
    pub(crate) fn get(self) -> RouteRequest {
        let without = self.with(|out| out.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS));
        RouteRequest::of(RequestType::GetLink, without.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::link::LinkView;
    use crate::wire::message::Message;

    #[test]
    fn a_request_reads_back() {
        let request = LinkRequest::at(7).name("veth1").mtu(1400).master(3).up(true).group(9);
        let request = request.mac(MacAddr::from([2, 0, 0, 0, 0, 1]));
        let message = Message { kind: 19, flags: 0, sequence: 0, payload: request.as_bytes() };
        let view = LinkView::read(message).unwrap();
        assert_eq!((view.index, view.flags), (7, 1));
        assert_eq!(view.name().as_deref(), Some("veth1"));
        assert_eq!((view.mtu(), view.master(), view.group()), (Some(1400), Some(3), Some(9)));
        assert_eq!(view.mac(), Some([2, 0, 0, 0, 0, 1]));
    }

    /// The bytes of `ip link set dev eth0 addrgenmode none`, and of forwarding on one device.
    #[test]
    fn per_family_settings_are_nested_as_the_kernel_wants_them() {
        let bytes = |request: LinkRequest| request.as_bytes()[16..].to_vec();
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

    /// netlink-packet-route reads the requests for a veth pair and a bridge.
    #[test]
    fn netlink_packet_route_reads_the_same() {
        use netlink_packet_core::Parseable;
        use netlink_packet_route::link::{
            InfoBridge, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo,
            LinkMessage,
        };
        let read = |request: &LinkRequest| LinkMessage::parse(request.as_bytes()).unwrap();
        let peer = LinkRequest::named("eth0").mac(MacAddr::from([2, 0, 0, 0, 0, 2])).queues(1);
        let pair = LinkRequest::named("veth1").up(true).promiscuous(false).master(3);
        let pair = pair.kind("veth", |options| options.bytes(1, peer.as_bytes()));
        let message = read(&pair);
        assert_eq!(message.header.flags, LinkFlags::Up);
        assert_eq!(message.header.change_mask, LinkFlags::Up | LinkFlags::Promisc);
        assert_eq!(
            message.attributes,
            [
                LinkAttribute::IfName("veth1".into()),
                LinkAttribute::Controller(3),
                LinkAttribute::LinkInfo(vec![
                    LinkInfo::Kind(InfoKind::Veth),
                    LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(read(&peer)))),
                ]),
            ]
        );
        assert_eq!(
            read(&peer).attributes,
            [
                LinkAttribute::IfName("eth0".into()),
                LinkAttribute::Address(vec![2, 0, 0, 0, 0, 2]),
                LinkAttribute::NumTxQueues(1),
                LinkAttribute::NumRxQueues(1),
            ]
        );
        let bridge = LinkRequest::at(7).kind("bridge", |options| options.u8(7, 1));
        let message = read(&bridge);
        assert_eq!(message.header.index, 7);
        let filtering = InfoData::Bridge(vec![InfoBridge::VlanFiltering(true)]);
        assert_eq!(
            message.attributes,
            [LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Bridge),
                LinkInfo::Data(filtering),
            ])]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_request_reads_back(
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
            let payload = request.as_bytes();
            let message = Message { kind: 19, flags: 0, sequence: 0, payload };
            let view = LinkView::read(message).unwrap();
            assert_eq!((view.index, view.name().as_deref()), (index, Some(&*name)));
            assert_eq!((view.mtu(), view.master(), view.group()), (Some(mtu), Some(master), Some(group)));
            assert_eq!((view.mac(), view.flags), (Some(mac), u32::from(up == Some(true))));
            // The mask has the flag if the request changes it.
            assert_eq!(payload[12..16], u32::from(up.is_some()).to_ne_bytes());
        }
    }
}
