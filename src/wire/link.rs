//! A link as the kernel lists it: `struct ifinfomsg` and its attributes.
//!
//! ```text
//!  0        1     2        4           8         12        16
//!  | family | pad | type   | index     | flags   | change  | attributes …
//!
//! IFLA_ADDRESS    1  bytes     IFLA_MTU       4  u32      IFLA_LINK       5  i32
//! IFLA_IFNAME     3  string    IFLA_MASTER   10  u32      IFLA_PROTINFO  12  nest (AF_BRIDGE)
//! IFLA_TXQLEN    13  u32
//! IFLA_OPERSTATE 16  u8        IFLA_LINKINFO 18  nest     IFLA_IFALIAS   20  string
//! IFLA_AF_SPEC   26  nest      IFLA_GROUP    27  u32      IFLA_LINK_NETNSID 37 i32
//! IFLA_PROP_LIST 52  nest      IFLA_ALT_IFNAME 53 string
//! ```
//!
//! Source: rtnetlink(7), `include/uapi/linux/if_link.h`, `net/core/rtnetlink.c`.

use std::borrow::Cow;

use super::attribute::{Attribute, Attributes, Writer};
use super::indexed::Indexed;
use super::message::Message;

pub(crate) const IFLA_ADDRESS: u16 = 1;
pub(crate) const IFLA_IFNAME: u16 = 3;
pub(crate) const IFLA_MTU: u16 = 4;
pub(crate) const IFLA_LINK: u16 = 5;
pub(crate) const IFLA_MASTER: u16 = 10;
pub(crate) const IFLA_PROTINFO: u16 = 12;
pub(crate) const IFLA_TXQLEN: u16 = 13;
const IFLA_OPERSTATE: u16 = 16;
pub(crate) const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
pub(crate) const IFLA_AF_SPEC: u16 = 26;
pub(crate) const IFLA_GROUP: u16 = 27;
pub(crate) const IFLA_NET_NS_FD: u16 = 28;
pub(crate) const IFLA_EXT_MASK: u16 = 29;
pub(crate) const IFLA_NUM_TX_QUEUES: u16 = 31;
pub(crate) const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;

pub(crate) const IFLA_INFO_KIND: u16 = 1;
pub(crate) const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;

pub(crate) const AF_UNSPEC: u8 = 0;
pub(crate) const AF_BRIDGE: u8 = 7;
/// The attribute of a family in `IFLA_AF_SPEC` has the family's number as its type.
pub(crate) const AF_INET: u16 = 2;
pub(crate) const AF_INET6: u16 = 10;
pub(crate) const IFLA_INET_CONF: u16 = 1;
pub(crate) const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
pub(crate) const IN6_ADDR_GEN_MODE_NONE: u8 = 1;

pub(crate) const IFF_UP: u32 = 1;
pub(crate) const IFF_PROMISC: u32 = 0x100;

/// The flag that asks for the VLANs of bridge ports, too.
pub(crate) const RTEXT_FILTER_BRVLAN: u32 = 1 << 1;
pub(crate) const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

/// A listed link, borrowed from the message. A getter returns `None` if its attribute is missing or
/// unreadable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkView<'a> {
    pub(crate) index: u32,
    pub(crate) flags: u32,
    attributes: Indexed<'a, { IFLA_PROP_LIST as usize + 1 }>,
}

/// Returns the `struct ifinfomsg` of a request that changes no flags.
pub(crate) fn header(family: u8, index: u32) -> [u8; 16] {
    header_with_flags(family, index, 0, 0)
}

/// Returns the `struct ifinfomsg` of a request that changes the flags in `mask`.
pub(crate) fn header_with_flags(family: u8, index: u32, flags: u32, mask: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[0] = family;
    for (at, number) in [(4, index), (8, flags), (12, mask)] {
        header[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    }
    header
}

/// The link that a request asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WhichLink<'a> {
    /// All links, in a request for a list.
    All,
    At(u32),
    /// The link with this main name, or alternative name if it is longer than 15 bytes.
    Named(&'a str),
}

impl WhichLink<'_> {
    /// Appends `struct ifinfomsg` and the attributes. Asks the kernel to leave out statistics,
    /// which are most of an answer.
    ///
    /// The attribute for that (`IFLA_EXT_MASK`) also avoids a kernel fault (6.18,
    /// `rtnl_dump_ifinfo`): without it, a list ends silently before a link with unusually many
    /// attributes.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        const LONGEST_NAME: usize = 15;
        let index = match self {
            Self::At(index) => index,
            Self::All | Self::Named(_) => 0,
        };
        out.extend_from_slice(&header(AF_UNSPEC, index));
        let mut attributes = Writer::new(out);
        if let Self::Named(name) = self {
            let kind = if name.len() > LONGEST_NAME { IFLA_ALT_IFNAME } else { IFLA_IFNAME };
            attributes.string(kind, name);
        }
        attributes.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    }
}

impl<'a> LinkView<'a> {
    pub(crate) fn read(message: Message<'a>) -> Option<Self> {
        let (header, attributes) = message.split::<16>()?;
        let [_, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, ..] = *header;
        Some(Self {
            index: u32::from_ne_bytes([i0, i1, i2, i3]),
            flags: u32::from_ne_bytes([f0, f1, f2, f3]),
            attributes: Indexed::new(attributes),
        })
    }

    pub(crate) fn name(self) -> Option<Cow<'a, str>> {
        self.attributes.get(IFLA_IFNAME).map(Attribute::text)
    }

    pub(crate) fn mac(self) -> Option<[u8; 6]> {
        self.attributes.get(IFLA_ADDRESS)?.value.try_into().ok()
    }

    pub(crate) fn mtu(self) -> Option<u32> {
        self.attributes.u32(IFLA_MTU)
    }

    /// Returns the index of a veth's peer, or of the lower link of a vlan or macvlan.
    pub(crate) fn link(self) -> Option<u32> {
        self.attributes.u32(IFLA_LINK)
    }

    /// Returns the id, in this namespace, of the namespace that [`link`](Self::link) is in.
    pub(crate) fn link_namespace(self) -> Option<i32> {
        self.attributes.u32(IFLA_LINK_NETNSID).map(u32::cast_signed)
    }

    pub(crate) fn master(self) -> Option<u32> {
        self.attributes.u32(IFLA_MASTER)
    }

    /// Returns the length of the transmit queue, in packets.
    pub(crate) fn tx_queue_length(self) -> Option<u32> {
        self.attributes.u32(IFLA_TXQLEN)
    }

    pub(crate) fn operational_state(self) -> Option<u8> {
        self.attributes.get(IFLA_OPERSTATE)?.u8()
    }

    pub(crate) fn alias(self) -> Option<Cow<'a, str>> {
        self.attributes.get(IFLA_IFALIAS).map(Attribute::text)
    }

    pub(crate) fn group(self) -> Option<u32> {
        self.attributes.u32(IFLA_GROUP)
    }

    pub(crate) fn alternative_names(self) -> impl Iterator<Item = Cow<'a, str>> {
        let list = self.attributes.get(IFLA_PROP_LIST).map(Attribute::nested).unwrap_or_default();
        list.iter().filter(|property| property.kind == IFLA_ALT_IFNAME).map(Attribute::text)
    }

    /// Returns the kind. Returns `None` for a physical link and for `lo`.
    pub(crate) fn kind(self) -> Option<Cow<'a, str>> {
        self.information()?.get(IFLA_INFO_KIND).map(Attribute::text)
    }

    /// Returns the options of this kind. `None` for a link of another kind.
    pub(crate) fn options(self, kind: &str) -> Option<Attributes<'a>> {
        let info = self.information()?;
        let is_kind = info.get(IFLA_INFO_KIND)?.text() == kind;
        info.get(IFLA_INFO_DATA).filter(|_| is_kind).map(Attribute::nested)
    }

    /// Returns the options of a bridge port, from an `AF_BRIDGE` list or from the answer for a
    /// single link.
    pub(crate) fn bridge_port(self) -> Option<Attributes<'a>> {
        if let Some(port) = self.attributes.get(IFLA_PROTINFO) {
            return Some(port.nested());
        }
        let info = self.information()?;
        let is_port = info.get(IFLA_INFO_SLAVE_KIND)?.string() == "bridge";
        info.get(IFLA_INFO_SLAVE_DATA).filter(|_| is_port).map(Attribute::nested)
    }

    /// Returns the IPv4 setting of the link with this number, such as 1 for
    /// `IPV4_DEVCONF_FORWARDING`.
    pub(crate) fn ipv4_setting(self, number: usize) -> Option<i32> {
        let families = self.attributes.get(IFLA_AF_SPEC)?.nested();
        let settings = families.at([AF_INET, IFLA_INET_CONF])?.value;
        // The first element of the array is setting 1.
        let at = number.checked_sub(1)?.checked_mul(4)?;
        let value = settings.get(at..)?.first_chunk()?;
        Some(i32::from_ne_bytes(*value))
    }

    fn information(self) -> Option<Attributes<'a>> {
        self.attributes.get(IFLA_LINKINFO).map(Attribute::nested)
    }
}

#[cfg(test)]
mod tests {
    use super::super::attribute::Writer;
    use super::*;

    fn bridge() -> Vec<u8> {
        let mut payload = vec![0, 0, 1, 0, 7, 0, 0, 0, 0x43, 0x10, 0, 0, 0, 0, 0, 0];
        let mut writer = Writer::new(&mut payload);
        writer.string(IFLA_IFNAME, "br0");
        writer.bytes(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]);
        writer.u32(IFLA_MTU, 1500);
        writer.nested(IFLA_LINKINFO, |info| info.string(IFLA_INFO_KIND, "bridge"));
        writer.nested(IFLA_PROP_LIST, |list| {
            list.string(IFLA_ALT_IFNAME, "uplink");
            list.string(IFLA_ALT_IFNAME, "a name longer than fifteen bytes");
        });
        writer.nested(IFLA_AF_SPEC, |families| {
            families.nested(AF_INET, |inet| inet.bytes(IFLA_INET_CONF, &[1, 0, 0, 0, 9, 0, 0, 0]));
        });
        payload
    }

    fn message(payload: &[u8]) -> Message<'_> {
        Message { kind: 16, flags: 0, sequence: 0, payload }
    }

    #[test]
    fn a_bridge_is_read() {
        let payload = bridge();
        let view = LinkView::read(message(&payload)).unwrap();
        assert_eq!((view.index, view.flags), (7, 0x1043));
        assert_eq!(view.name().as_deref(), Some("br0"));
        assert_eq!(view.mac(), Some([2, 0, 0, 0, 0, 1]));
        assert_eq!(view.mtu(), Some(1500));
        assert_eq!(view.kind().as_deref(), Some("bridge"));
        assert_eq!(
            view.alternative_names().collect::<Vec<_>>(),
            ["uplink", "a name longer than fifteen bytes"]
        );
        assert_eq!([1, 2, 3, 0].map(|n| view.ipv4_setting(n)), [Some(1), Some(9), None, None]);
        assert_eq!((view.master(), view.link(), view.group()), (None, None, None));
    }

    #[test]
    fn no_cut_makes_reading_fail() {
        let payload = bridge();
        for cut in 0..payload.len() {
            let Some(view) = LinkView::read(message(&payload[..cut])) else { continue };
            drop((view.name(), view.mac(), view.kind(), view.alternative_names().count()));
            let _ = view.ipv4_setting(2);
        }
    }
}
