//! The VLANs of a bridge or of a port, as the kernel lists them: `struct br_vlan_msg` and its
//! attributes. netlink-packet-route has no `RTM_*VLAN`.
//!
//! ```text
//!  0        1     4       8
//!  | family | pad | index | attributes …
//!
//! BRIDGE_VLANDB_ENTRY 1  nest, repeated:
//!     BRIDGE_VLANDB_ENTRY_INFO   1  flags (u16) and number (u16), the first of a range
//!     BRIDGE_VLANDB_ENTRY_RANGE  2  u16, the last of a range
//! ```
//!
//! Source: `include/uapi/linux/if_bridge.h`, `net/bridge/br_vlan.c`.

use std::ops::RangeInclusive;

use netlink_packet_route::link::BridgeVlanInfoFlags;

use super::attribute::Attribute;
use super::message::Message;

pub(crate) const RTM_GETVLAN: u16 = 114;

const BRIDGE_VLANDB_ENTRY: u16 = 1;
const BRIDGE_VLANDB_ENTRY_INFO: u16 = 1;
const BRIDGE_VLANDB_ENTRY_RANGE: u16 = 2;

/// A range of VLANs with the same flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VlanRange {
    pub(crate) ids: RangeInclusive<u16>,
    pub(crate) flags: BridgeVlanInfoFlags,
}

/// Returns the request for the VLANs of one link, without the message header.
pub(crate) fn of_link(index: u32) -> [u8; 8] {
    const AF_BRIDGE: u8 = 7;
    let [i0, i1, i2, i3] = index.to_ne_bytes();
    [AF_BRIDGE, 0, 0, 0, i0, i1, i2, i3]
}

/// Reads the ranges of one message, in the order of their numbers.
pub(crate) fn ranges(message: Message<'_>) -> impl Iterator<Item = VlanRange> {
    let attributes = message.split::<8>().map(|(_, attributes)| attributes).unwrap_or_default();
    let entries = attributes.iter().filter(|one| one.kind == BRIDGE_VLANDB_ENTRY);
    entries.filter_map(range)
}

fn range(entry: Attribute<'_>) -> Option<VlanRange> {
    let entry = entry.nested();
    let [f0, f1, i0, i1] = entry.get(BRIDGE_VLANDB_ENTRY_INFO)?.array()?;
    let first = u16::from_ne_bytes([i0, i1]);
    let last = entry.get(BRIDGE_VLANDB_ENTRY_RANGE).and_then(Attribute::u16).unwrap_or(first);
    let flags = BridgeVlanInfoFlags::from_bits_retain(u16::from_ne_bytes([f0, f1]));
    Some(VlanRange { ids: first..=last, flags })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &[u8]) -> Vec<VlanRange> {
        ranges(Message { kind: 112, flags: 0, sequence: 0, payload }).collect()
    }

    /// VLAN 1 (PVID, untagged) and 20 to 29, as Linux 6.12 lists them, including the state of each.
    fn payload() -> Vec<u8> {
        let ne = u16::to_ne_bytes;
        let mut payload = of_link(5).to_vec();
        let one = [&[20, 0, 1, 128, 8, 0, 1, 0][..], &ne(6), &ne(1), &[5, 0, 3, 0, 3, 0, 0, 0]];
        payload.extend(one.concat());
        let [flags, first, last] = [0, 20, 29].map(ne);
        let range = [&[28, 0, 1, 128, 8, 0, 1, 0][..], &flags, &first, &[6, 0, 2, 0], &last];
        payload.extend(range.concat());
        payload.extend([0, 0, 5, 0, 3, 0, 3, 0, 0, 0]);
        payload
    }

    #[test]
    fn numbers_and_ranges_are_read_with_their_flags() {
        let read = read(&payload());
        let one = VlanRange {
            ids: 1..=1,
            flags: BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged,
        };
        assert_eq!(read, [one, VlanRange { ids: 20..=29, flags: BridgeVlanInfoFlags::empty() }]);
        assert_eq!(of_link(5)[4..], 5_u32.to_ne_bytes());
    }

    #[test]
    fn no_cut_makes_reading_fail() {
        let payload = payload();
        for cut in 0..payload.len() {
            assert!(read(&payload[..cut]).len() < 2, "{cut}");
        }
    }
}
