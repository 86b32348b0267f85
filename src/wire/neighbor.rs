//! A neighbour or a bridge's forwarding entry: `struct ndmsg` and its attributes.
//!
//! ```text
//!  0        1     4           8       10      11     12
//!  | family | pad | index     | state | flags | type | attributes …
//!
//! NDA_DST 1 address    NDA_LLADDR 2 bytes    NDA_VLAN 5 u16    NDA_MASTER 9 u32
//! ```
//!
//! Source: rtnetlink(7), include/uapi/linux/neighbour.h.

use std::net::IpAddr;

use super::attribute::Attributes;
use super::message::Message;

/// The length of `struct ndmsg`.
pub(crate) const NDMSG: usize = 12;

const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;

/// A neighbour, borrowed from the message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NeighborView<'a> {
    pub(crate) index: u32,
    pub(crate) state: u16,
    pub(crate) flags: u8,
    attributes: Attributes<'a>,
}

impl<'a> NeighborView<'a> {
    pub(crate) fn read(message: Message<'a>) -> Option<Self> {
        let (header, attributes) = message.split::<12>()?;
        let [_, _, _, _, i0, i1, i2, i3, s0, s1, flags, _] = *header;
        let index = u32::from_ne_bytes([i0, i1, i2, i3]);
        Some(Self { index, state: u16::from_ne_bytes([s0, s1]), flags, attributes })
    }

    pub(crate) fn address(self) -> Option<IpAddr> {
        self.attributes.get(NDA_DST)?.ip()
    }

    pub(crate) fn mac(self) -> Option<[u8; 6]> {
        self.attributes.get(NDA_LLADDR)?.value.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::attribute::Writer;
    use super::*;

    #[test]
    fn a_neighbor_is_read_and_no_cut_makes_it_fail() {
        let mut payload = vec![2, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 1];
        let mut writer = Writer::new(&mut payload);
        writer.bytes(NDA_DST, &[10, 0, 0, 1]);
        writer.bytes(NDA_LLADDR, &[2, 0, 0, 0, 0, 1]);
        let message = |payload| Message { kind: 28, flags: 0, sequence: 0, payload };
        let view = NeighborView::read(message(&payload)).unwrap();
        assert_eq!((view.index, view.state), (5, 2));
        assert_eq!(view.address(), Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(view.mac(), Some([2, 0, 0, 0, 0, 1]));
        for cut in 0..payload.len() {
            let view = NeighborView::read(message(&payload[..cut]));
            let _ = view.map(|view| (view.address(), view.mac()));
        }
    }
}
