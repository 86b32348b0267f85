//! Netlink messages: the header that every request and answer starts with.
//!
//! ```text
//!  0          4        6        8            12           16
//!  | length   | type   | flags  | sequence   | port       | payload …   aligned to 4
//! ```
//!
//! Source: netlink(7), include/uapi/linux/netlink.h.

use super::attribute::{Attributes, aligned};

/// The length of `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;

pub(crate) use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_APPEND, NLM_F_CAPPED, NLM_F_CREATE, NLM_F_DUMP,
    NLM_F_DUMP_INTR, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NLMSG_NOOP, NLMSG_OVERRUN,
};

/// A message, borrowed from its datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Splits the payload into its fixed header of `N` bytes and the attributes.
    pub(crate) fn split<const N: usize>(self) -> Option<(&'a [u8; N], Attributes<'a>)> {
        let (fixed, _) = self.payload.split_first_chunk::<N>()?;
        let attributes = self.payload.get(aligned(N)..).unwrap_or_default();
        Some((fixed, Attributes::new(attributes)))
    }
}

/// Iterates over the messages of one datagram, up to the first unreadable message.
pub(crate) fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages(datagram)
}

/// The bytes of a datagram that are not read yet.
#[derive(Debug, Clone)]
pub(crate) struct Messages<'a>(&'a [u8]);

impl Messages<'_> {
    /// Reports whether the whole datagram was read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    /// Reads the next message; `None` if the bytes are too few or contradict their own length.
    fn next(&mut self) -> Option<Message<'a>> {
        let (header, _) = self.0.split_first_chunk::<HEADER>()?;
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let message = Message {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            payload: self.0.get(HEADER..length)?,
        };
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two messages, the first with a payload of one byte.
    const DATAGRAM: &[u8] = &[
        17, 0, 0, 0, 16, 0, 2, 0, 9, 0, 0, 0, 1, 0, 0, 0, 42, 0, 0, 0, //
        16, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0,
    ];

    #[test]
    fn a_datagram_is_read_message_by_message() {
        let read: Vec<_> = messages(DATAGRAM).collect();
        assert_eq!(read[0], Message { kind: 16, flags: 2, sequence: 9, payload: &[42] });
        assert_eq!(read[1], Message { kind: NLMSG_DONE, flags: 0, sequence: 9, payload: &[] });
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn no_cut_and_no_length_makes_reading_fail() {
        for cut in 0..DATAGRAM.len() {
            let mut read = messages(&DATAGRAM[..cut]);
            assert!(read.by_ref().count() <= 1);
            assert_eq!(read.is_at_end(), matches!(cut, 0 | 17..=20), "{cut}");
        }
        for length in [0u8, 15, 200] {
            let mut broken = DATAGRAM.to_vec();
            broken[0] = length;
            assert_eq!(messages(&broken).count(), 0);
        }
    }
}
