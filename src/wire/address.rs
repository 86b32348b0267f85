//! An address, as the kernel lists it: `struct ifaddrmsg` and its attributes.
//!
//! ```text
//!  0        1        2       3       4           8
//!  | family | prefix | flags | scope | index     | attributes …
//!
//! IFA_ADDRESS   1  4 or 16 bytes   the address, or the peer's where there is one
//! IFA_LOCAL     2  4 or 16 bytes   the address, where the other is the peer's
//! IFA_LABEL     3  string          IFA_BROADCAST 4  4 bytes
//! IFA_FLAGS     8  u32             all of the flags
//! IFA_PROTO    11  u8              who made it
//! ```
//!
//! Source: rtnetlink(7), `include/uapi/linux/if_addr.h`.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::attribute::{Attribute, Attributes};
use super::message::Message;

pub(crate) const IFA_ADDRESS: u16 = 1;
pub(crate) const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
pub(crate) const IFA_BROADCAST: u16 = 4;
pub(crate) const IFA_FLAGS: u16 = 8;
pub(crate) const IFA_PROTO: u16 = 11;

/// It is used without a look for duplicates.
pub(crate) const IFA_F_NODAD: u32 = 0x02;
/// Duplicates are being looked for.
pub(crate) const IFA_F_TENTATIVE: u32 = 0x40;
/// It was set for good.
pub(crate) const IFA_F_PERMANENT: u32 = 0x80;

/// `struct ifaddrmsg` of a request: about an address, or about all of both families. A link of 0 means all.
pub(crate) fn header(prefix: Option<IpNet>, link: u32) -> [u8; 8] {
    const AF_INET: u8 = 2;
    const AF_INET6: u8 = 10;
    let mut header = [0; 8];
    if let Some(prefix) = prefix {
        let family = if prefix.addr().is_ipv4() { AF_INET } else { AF_INET6 };
        [header[0], header[1]] = [family, prefix.prefix_len()];
    }
    header[4..].copy_from_slice(&link.to_ne_bytes());
    header
}

/// An address, borrowed from the message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddressView<'a> {
    pub(crate) prefix: u8,
    pub(crate) index: u32,
    short_flags: u8,
    attributes: Attributes<'a>,
}

impl<'a> AddressView<'a> {
    pub(crate) fn read(message: Message<'a>) -> Option<Self> {
        let (header, attributes) = message.split::<8>()?;
        let [_, prefix, short_flags, _, i0, i1, i2, i3] = *header;
        let index = u32::from_ne_bytes([i0, i1, i2, i3]);
        Some(Self { prefix, index, short_flags, attributes })
    }

    /// The address itself: `IFA_LOCAL` where there is one (IPv4 and point-to-point).
    pub(crate) fn local(self) -> Option<IpAddr> {
        self.attributes.get(IFA_LOCAL).or_else(|| self.attributes.get(IFA_ADDRESS))?.ip()
    }

    /// The other end of a point-to-point address.
    pub(crate) fn peer(self) -> Option<IpAddr> {
        let local = self.attributes.get(IFA_LOCAL)?.ip()?;
        self.attributes.get(IFA_ADDRESS)?.ip().filter(|address| *address != local)
    }

    pub(crate) fn broadcast(self) -> Option<Ipv4Addr> {
        self.attributes.get(IFA_BROADCAST)?.array::<4>().map(Ipv4Addr::from)
    }

    pub(crate) fn label(self) -> Option<String> {
        self.attributes.get(IFA_LABEL).map(Attribute::string)
    }

    pub(crate) fn protocol(self) -> Option<u8> {
        self.attributes.get(IFA_PROTO)?.u8()
    }

    pub(crate) fn flags(self) -> u32 {
        let long = self.attributes.get(IFA_FLAGS).and_then(Attribute::u32);
        long.unwrap_or_else(|| u32::from(self.short_flags))
    }
}

#[cfg(test)]
mod tests {
    use super::super::attribute::Writer;
    use super::*;

    fn payload() -> Vec<u8> {
        let mut payload = vec![2, 24, 0x80, 0, 3, 0, 0, 0];
        let mut writer = Writer::new(&mut payload);
        writer.bytes(IFA_ADDRESS, &[10, 0, 0, 2]);
        writer.bytes(IFA_LOCAL, &[10, 0, 0, 1]);
        writer.bytes(IFA_BROADCAST, &[10, 0, 0, 255]);
        writer.string(IFA_LABEL, "veth1");
        payload
    }

    fn message(payload: &[u8]) -> Message<'_> {
        Message { kind: 20, flags: 0, sequence: 0, payload }
    }

    #[test]
    fn a_point_to_point_address_is_read() {
        let payload = payload();
        let view = AddressView::read(message(&payload)).unwrap();
        assert_eq!((view.prefix, view.index, view.flags()), (24, 3, 0x80));
        assert_eq!(view.local(), Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(view.peer(), Some(IpAddr::from([10, 0, 0, 2])));
        assert_eq!(view.broadcast(), Some(Ipv4Addr::new(10, 0, 0, 255)));
        assert_eq!(view.label().as_deref(), Some("veth1"));
    }

    #[test]
    fn no_cut_makes_reading_fail() {
        let payload = payload();
        for cut in 0..payload.len() {
            let Some(view) = AddressView::read(message(&payload[..cut])) else { continue };
            drop((view.local(), view.peer(), view.broadcast(), view.flags(), view.label()));
        }
    }
}
