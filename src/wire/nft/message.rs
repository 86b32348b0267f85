//! The headers of messages, and the messages that begin and end a batch.
//!
//! ```text
//! nlmsghdr   length u32 | type u16 | flags u16 | sequence u32 | port u32     in the machine's order
//! nfgenmsg   family u8  | version u8 = 0 | resource be16
//! attributes
//!
//! NFNL_MSG_BATCH_BEGIN 16, NFNL_MSG_BATCH_END 17   resource = NFNL_SUBSYS_NFTABLES
//!   NFNL_BATCH_GENID  1  be32   refuse the batch if the ruleset has another generation
//! ```
//!
//! Source: include/uapi/linux/netfilter: `nfnetlink.h`, `nf_tables.h`.

use std::ops::Range;

use super::codec::{Field, wire_enum};
use crate::wire::attribute::{Attributes, Writer};
use crate::wire::message::NLM_F_REQUEST;

const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
const NFNL_BATCH_GENID: u16 = 1;
const NFNETLINK_V0: u8 = 0;
const NFGENMSG_LENGTH: usize = 4;

wire_enum! {
    /// The family of a table: which packets its chains see.
    #[doc(alias = "NFPROTO_INET")]
    pub Family: u32 {
        /// IPv4.
        Ip = 2 "ip",
        /// IPv6.
        Ip6 = 10 "ip6",
        /// IPv4 and IPv6.
        Inet = 1 "inet",
        /// ARP to and from this machine.
        Arp = 3 "arp",
        /// Frames that cross a bridge.
        Bridge = 7 "bridge",
        /// Frames at the ingress or egress of a link.
        Netdev = 5 "netdev",
    }
}

wire_enum! {
    #[doc(alias = "nf_tables_msg_types")]
    MessageType: u16 {
        NewTable = 0,
        GetTable = 1,
        DeleteTable = 2,
        NewChain = 3,
        GetChain = 4,
        DeleteChain = 5,
        NewRule = 6,
        GetRule = 7,
        DeleteRule = 8,
        NewSet = 9,
        GetSet = 10,
        DeleteSet = 11,
        NewElement = 12,
        GetElement = 13,
        DeleteElement = 14,
        NewGeneration = 15,
        GetGeneration = 16,
        NewObject = 18,
        GetObject = 19,
        DeleteObject = 20,
        GetObjectReset = 21,
        NewFlowtable = 22,
        GetFlowtable = 23,
        DeleteFlowtable = 24,
        GetRuleReset = 25,
    }
}

impl MessageType {
    /// Returns the message type for the netlink header.
    pub(crate) const fn nlmsg_type(self) -> u16 {
        NFNL_SUBSYS_NFTABLES << 8 | self as u16
    }

    pub(crate) fn from_nlmsg_type(kind: u16) -> Option<Self> {
        (kind >> 8 == NFNL_SUBSYS_NFTABLES).then(|| Self::from_number(kind & 0xff)).flatten()
    }
}

/// The error for an attribute over 65,535 bytes, or a message over 4 GiB. The message was not
/// appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Appends a message with `NLM_F_REQUEST`, and returns its range in `out`. A list without a family
/// includes all families.
pub(crate) fn append(
    out: &mut Vec<u8>,
    kind: MessageType,
    flags: u16,
    sequence: u32,
    family: impl Into<Option<Family>>,
    fill: impl FnOnce(&mut Writer<'_>),
) -> Result<Range<usize>, TooLong> {
    frame(out, (kind.nlmsg_type(), flags), sequence, (family.into(), 0), fill)
}

/// Appends the message that begins a batch. If a generation is given and the ruleset has changed
/// since, the kernel refuses the batch with `ERESTART`.
pub(crate) fn append_batch_begin(
    out: &mut Vec<u8>,
    sequence: u32,
    generation: Option<u32>,
) -> Result<Range<usize>, TooLong> {
    frame(out, (NFNL_MSG_BATCH_BEGIN, 0), sequence, BATCH, |attributes| {
        generation.write(attributes, NFNL_BATCH_GENID);
    })
}

/// Appends the message that ends a batch.
pub(crate) fn append_batch_end(out: &mut Vec<u8>, sequence: u32) -> Result<Range<usize>, TooLong> {
    frame(out, (NFNL_MSG_BATCH_END, 0), sequence, BATCH, |_| {})
}

/// The family and resource of the messages that begin and end a batch.
const BATCH: (Option<Family>, u16) = (None, NFNL_SUBSYS_NFTABLES);

fn frame(
    out: &mut Vec<u8>,
    (kind, flags): (u16, u16),
    sequence: u32,
    (family, resource): (Option<Family>, u16),
    fill: impl FnOnce(&mut Writer<'_>),
) -> Result<Range<usize>, TooLong> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
    out.extend_from_slice(&sequence.to_ne_bytes());
    out.extend_from_slice(&[0; 4]);
    let [.., family] = family.map_or(0, |family| family as u32).to_be_bytes();
    out.extend_from_slice(&[family, NFNETLINK_V0]);
    out.extend_from_slice(&resource.to_be_bytes());

    let mut attributes = Writer::new(out);
    fill(&mut attributes);
    let overflowed = attributes.overflowed();

    let length = u32::try_from(out.len() - start).ok().filter(|_| !overflowed);
    if let (Some(length), Some(field)) = (length, out.get_mut(start..start + 4)) {
        field.copy_from_slice(&length.to_ne_bytes());
        Ok(start..out.len())
    } else {
        out.truncate(start);
        Err(TooLong)
    }
}

/// A received message without its netlink header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: MessageType,
    /// The family; `None` if the message is about all families.
    pub(crate) family: Option<Family>,
    pub(crate) attributes: Attributes<'a>,
}

impl<'a> Message<'a> {
    /// Decodes a message. Returns `None` if its subsystem, type or family is unknown.
    pub(crate) fn decode(nlmsg_type: u16, payload: &'a [u8]) -> Option<Self> {
        let kind = MessageType::from_nlmsg_type(nlmsg_type)?;
        let (&[family, ..], attributes) = payload.split_first_chunk::<NFGENMSG_LENGTH>()?;
        let family = match family {
            0 => None,
            number => Some(Family::from_number(number.into())?),
        };
        Some(Self { kind, family, attributes: Attributes::new(attributes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::NLM_F_CREATE;
    use crate::wire::nft::testing::hex;

    #[test]
    fn a_batch_is_framed_as_nft_frames_it() {
        let mut out = Vec::new();
        assert_eq!(append_batch_begin(&mut out, 0, None), Ok(0..20));
        let table = append(&mut out, MessageType::NewTable, 0, 1, Family::Ip, |table| {
            table.string(1, "t");
            0_u32.write(table, 2);
        });
        assert_eq!(table, Ok(20..56));
        assert_eq!(append_batch_end(&mut out, 2), Ok(56..76));
        // unshare -n strace -e trace=sendmsg -e write=all nft add table ip t
        let sent = hex("14000000 10000100 00000000 00000000 0000000a
             24000000 000a0100 01000000 00000000 02000000 06000100 74000000 08000200 00000000
             14000000 11000100 02000000 00000000 0000000a");
        assert_eq!(out, sent);
    }

    #[test]
    fn a_batch_can_insist_on_a_generation() {
        let mut out = Vec::new();
        assert_eq!(append_batch_begin(&mut out, 5, Some(9)), Ok(0..28));
        assert_eq!(out[20..], hex("08000100 00000009"));
    }

    #[test]
    fn what_is_too_long_leaves_nothing_behind() {
        let mut out = vec![0; 4];
        let message = append(&mut out, MessageType::NewRule, 0, 1, Family::Ip, |rule| {
            rule.bytes(7, &vec![0; 65_536]);
        });
        assert_eq!(message, Err(TooLong));
        assert_eq!(out, [0; 4]);
    }

    #[test]
    fn what_is_appended_reads_back() {
        for &kind in MessageType::ALL {
            let mut out = Vec::new();
            append(&mut out, kind, NLM_F_CREATE, 7, Family::Netdev, |w| w.u8(1, 2)).unwrap();
            let nlmsg_type = u16::from_ne_bytes([out[4], out[5]]);
            let message = Message::decode(nlmsg_type, &out[16..]).unwrap();
            assert_eq!((message.kind, message.family), (kind, Some(Family::Netdev)));
            assert_eq!(message.attributes.lenient::<u8>(1), Some(2));
        }
    }

    #[test]
    fn a_short_or_foreign_message_is_none() {
        assert!(Message::decode(0x0a00, &[2, 0, 0]).is_none());
        assert!(Message::decode(0x0aff, &[2, 0, 0, 0]).is_none());
        assert!(Message::decode(0x0100, &[2, 0, 0, 0]).is_none());
        assert!(Message::decode(0x0a00, &[200, 0, 0, 0]).is_none());
        assert!(Message::decode(0x0a00, &[2, 0, 0, 0]).is_some());
    }
}
