//! The parts of link requests: changes of a link, and nested attributes.

use crate::netlink::{Batch, RequestType};
use crate::wire::attribute::Writer;
use crate::wire::link::{
    AF_INET, AF_INET6, AF_UNSPEC, IFLA_AF_SPEC, IFLA_INET_CONF, IFLA_INET6_ADDR_GEN_MODE,
    IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINKINFO, IN6_ADDR_GEN_MODE_NONE, header,
    header_with_flags,
};

/// Returns a function that writes a request to change attributes of a link, by index.
pub(super) fn change(
    index: u32,
    attributes: impl FnOnce(&mut Writer<'_>),
) -> impl FnOnce(&mut Batch) -> usize {
    move |batch| batch.push(RequestType::SetLink, 0, &header(AF_UNSPEC, index), attributes)
}

/// Returns a function that writes a request to change a flag of a link, by index.
pub(super) fn change_flag(index: u32, flag: u32, on: bool) -> impl FnOnce(&mut Batch) -> usize {
    let flags = if on { flag } else { 0 };
    let header = header_with_flags(AF_UNSPEC, index, flags, flag);
    move |batch| batch.push(RequestType::SetLink, 0, &header, |_| ())
}

/// Returns a function that writes a request to delete a link, by index.
pub(super) fn delete(index: u32) -> impl FnOnce(&mut Batch) -> usize {
    move |batch| batch.push(RequestType::DelLink, 0, &header(AF_UNSPEC, index), |_| ())
}

/// Writes `IFLA_LINKINFO`: the kind, and the options that the closure writes.
pub(crate) fn write_kind(link: &mut Writer<'_>, kind: &str, options: impl FnOnce(&mut Writer<'_>)) {
    link.nested(IFLA_LINKINFO, |info| {
        info.string(IFLA_INFO_KIND, kind);
        info.nested(IFLA_INFO_DATA, options);
    });
}

/// Turns the generation of IPv6 addresses off. The request that creates or sets up a link ignores
/// this attribute: the link has to exist and be down.
pub(super) fn no_ipv6_address(link: &mut Writer<'_>) {
    link.nested(IFLA_AF_SPEC, |families| {
        families.nested(AF_INET6, |inet6| {
            inet6.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
        });
    });
}

/// Writes a per-device IPv4 setting by its number (`IPV4_DEVCONF_*` in `include/uapi/linux/ip.h`).
pub(super) fn ipv4_setting(link: &mut Writer<'_>, number: u16, value: u32) {
    link.nested(IFLA_AF_SPEC, |families| {
        families.nested(AF_INET, |inet| {
            inet.nested(IFLA_INET_CONF, |settings| settings.u32(number, value));
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::link::{IFF_PROMISC, IFF_UP, IFLA_GROUP, IFLA_MASTER, IFLA_MTU, LinkView};
    use crate::wire::message::{Message, messages};

    /// Returns the payload of the one request that `write` appends.
    fn written(write: impl FnOnce(&mut Batch) -> usize) -> Vec<u8> {
        let mut batch = Batch::default();
        write(&mut batch);
        let message = messages(batch.bytes()).next().unwrap();
        assert_eq!(message.kind, 19);
        message.payload.to_vec()
    }

    fn view(payload: &[u8]) -> LinkView<'_> {
        LinkView::read(Message { kind: 19, flags: 0, sequence: 0, payload }).unwrap()
    }

    #[test]
    fn a_change_reads_back() {
        let payload = written(change(7, |link| {
            link.u32(IFLA_MTU, 1400);
            link.u32(IFLA_MASTER, 3);
            link.u32(IFLA_GROUP, 9);
        }));
        let link = view(&payload);
        assert_eq!((link.index, link.flags), (7, 0));
        assert_eq!((link.mtu(), link.master(), link.group()), (Some(1400), Some(3), Some(9)));
        // The change mask of `struct ifinfomsg` is zero: no flag changes.
        assert_eq!(payload[12..16], [0; 4]);
    }

    #[test]
    fn a_flag_is_set_in_the_mask_alone_when_it_is_turned_off() {
        for (flag, on) in
            [(IFF_UP, true), (IFF_UP, false), (IFF_PROMISC, true), (IFF_PROMISC, false)]
        {
            let payload = written(change_flag(7, flag, on));
            assert_eq!(
                (view(&payload).index, view(&payload).flags),
                (7, if on { flag } else { 0 })
            );
            assert_eq!(payload[12..], flag.to_ne_bytes());
        }
    }

    /// Compares with the bytes of `ip link set dev eth0 addrgenmode none`, and of forwarding on one
    /// device.
    #[test]
    fn per_family_settings_are_nested_as_the_kernel_wants_them() {
        let bytes = |write: &dyn Fn(&mut Writer<'_>)| written(change(1, write))[16..].to_vec();
        // Clears the nested flag of attributes, which the kernel's parser ignores.
        let without_flags = |mut bytes: Vec<u8>, at: &[usize]| {
            for at in at {
                bytes[at + 3] &= 0x7f;
            }
            bytes
        };
        let none = without_flags(bytes(&no_ipv6_address), &[0, 4]);
        assert_eq!(none, [16, 0, 26, 0, 12, 0, 10, 0, 5, 0, 8, 0, 1, 0, 0, 0]);
        let on = without_flags(bytes(&|link| ipv4_setting(link, 1, 1)), &[0, 4, 8]);
        assert_eq!(on, [20, 0, 26, 0, 16, 0, 2, 0, 12, 0, 1, 0, 8, 0, 1, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn netlink_packet_route_reads_the_same() {
        use netlink_packet_core::Parseable;
        use netlink_packet_route::link::{
            InfoBridge, InfoData, InfoKind, LinkAttribute, LinkInfo, LinkMessage,
        };
        let bridge = written(change(7, |link| {
            write_kind(link, "bridge", |options| options.u8(7, 1));
        }));
        let message = LinkMessage::parse(bridge.as_slice()).unwrap();
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
}
