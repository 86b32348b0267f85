//! Acknowledgements, and the texts and attributes of extended acknowledgements.
//!
//! ```text
//! NLMSG_ERROR:  errno (i32, negative or 0) | header of the request | [its payload] | attributes
//! NLMSG_DONE:   errno (i32)                                                        | attributes
//!
//! NLMSGERR_ATTR_MSG        1  string   the kernel's text
//! NLMSGERR_ATTR_OFFS       2  u32      the offset of the refused attribute from the request's header
//! NLMSGERR_ATTR_POLICY     4  nest     the accepted range
//! NLMSGERR_ATTR_MISS_TYPE  5  u32      the type of a missing attribute
//! NLMSGERR_ATTR_MISS_NEST  6  u32      the offset of the nest without the attribute
//! ```
//!
//! Source: include/uapi/linux/netlink.h, Documentation/userspace-api/netlink/intro.rst.

use super::attribute::{Attribute, Attributes, aligned};
use super::message::{HEADER, Message, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_ERROR};

const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;
const NLMSGERR_ATTR_POLICY: u16 = 4;
const NLMSGERR_ATTR_MISS_TYPE: u16 = 5;
const NLMSGERR_ATTR_MISS_NEST: u16 = 6;

// The kernel's NL_POLICY_TYPE_ATTR_*.
const MIN_VALUE_S: u16 = 2;
const MAX_VALUE_S: u16 = 3;
const MIN_VALUE_U: u16 = 4;
const MAX_VALUE_U: u16 = 5;
const MIN_LENGTH: u16 = 6;
const MAX_LENGTH: u16 = 7;

/// An acknowledgement. `errno` is 0 for success.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) errno: i32,
    pub(crate) message: Option<String>,
    pub(crate) offset: Option<usize>,
    pub(crate) missing: Option<u16>,
    pub(crate) missing_from: Option<usize>,
    pub(crate) policy: Option<String>,
}

impl Ack {
    /// Reads an `NLMSG_ERROR` or `NLMSG_DONE` message. An empty `NLMSG_DONE` means success.
    pub(crate) fn read(message: Message<'_>) -> Option<Self> {
        let Some((errno, rest)) = message.payload.split_first_chunk::<4>() else {
            return (message.kind != NLMSG_ERROR).then(Self::default);
        };
        let errno = i32::from_ne_bytes(*errno).checked_neg()?;
        let tail =
            if message.kind == NLMSG_ERROR { behind_request(rest, message.flags)? } else { rest };
        let mut ack = Self { errno, ..Self::default() };
        if message.flags & NLM_F_ACK_TLVS != 0 {
            for attribute in Attributes::new(tail).iter() {
                ack.take(attribute);
            }
        }
        Some(ack)
    }

    fn take(&mut self, attribute: Attribute<'_>) {
        let number = || attribute.u32().and_then(|number| usize::try_from(number).ok());
        match attribute.kind {
            NLMSGERR_ATTR_MSG => self.message = Some(attribute.string()),
            NLMSGERR_ATTR_OFFS => self.offset = number(),
            NLMSGERR_ATTR_POLICY => self.policy = policy(attribute.nested()),
            NLMSGERR_ATTR_MISS_TYPE => {
                self.missing = attribute.u32().and_then(|kind| u16::try_from(kind).ok());
            }
            NLMSGERR_ATTR_MISS_NEST => self.missing_from = number(),
            _ => {}
        }
    }
}

/// Returns the bytes after the copy of the request. The copy has the request's header, and also its
/// payload unless the socket asked for capped copies.
fn behind_request(bytes: &[u8], flags: u16) -> Option<&[u8]> {
    let (header, _) = bytes.split_first_chunk::<HEADER>()?;
    let [l0, l1, l2, l3, ..] = *header;
    let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
    let copied = if flags & NLM_F_CAPPED != 0 { HEADER } else { length.clamp(HEADER, bytes.len()) };
    // If the copy is longer than the message, there are no attributes, but the errno is valid.
    Some(bytes.get(aligned(copied)..).unwrap_or_default())
}

/// Formats the range of accepted values.
fn policy(attributes: Attributes<'_>) -> Option<String> {
    let number = |kind| {
        let attribute: Attribute<'_> = attributes.get(kind)?;
        attribute.array().map(u64::from_ne_bytes).or_else(|| attribute.u32().map(u64::from))
    };
    let unsigned = |kind| number(kind).map(|number| number.to_string());
    let signed = |kind| number(kind).map(|number| number.cast_signed().to_string());
    let range = |what: &str, low: Option<String>, high: Option<String>| match (low, high) {
        (Some(low), Some(high)) => Some(format!("{what} {low} to {high}")),
        (Some(low), None) => Some(format!("{what} from {low}")),
        (None, Some(high)) => Some(format!("{what} up to {high}")),
        (None, None) => None,
    };
    range("values", unsigned(MIN_VALUE_U), unsigned(MAX_VALUE_U))
        .or_else(|| range("values", signed(MIN_VALUE_S), signed(MAX_VALUE_S)))
        .or_else(|| range("lengths", unsigned(MIN_LENGTH), unsigned(MAX_LENGTH)))
}

#[cfg(test)]
mod tests {
    use super::super::attribute::Writer;
    use super::super::message::NLMSG_DONE;
    use super::*;

    fn ack(errno: i32, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut payload = (-errno).to_ne_bytes().to_vec();
        payload.extend_from_slice(&[36, 0, 0, 0]); // the request was 36 bytes long …
        payload.extend_from_slice(&[0; 12]); // … and only its header is copied
        fill(&mut Writer::new(&mut payload));
        payload
    }

    fn message(payload: &[u8]) -> Message<'_> {
        let flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
        Message { kind: NLMSG_ERROR, flags, sequence: 1, payload }
    }

    #[test]
    fn the_kernels_words_are_read() {
        let payload = ack(22, |writer| {
            writer.string(NLMSGERR_ATTR_MSG, "mtu greater than device maximum");
            writer.u32(NLMSGERR_ATTR_OFFS, 32);
            writer.u32(NLMSGERR_ATTR_MISS_TYPE, 5);
            writer.nested(NLMSGERR_ATTR_POLICY, |policy| {
                policy.bytes(MIN_VALUE_U, &0u64.to_ne_bytes());
                policy.bytes(MAX_VALUE_U, &65535u64.to_ne_bytes());
            });
        });
        let expected = Ack {
            errno: 22,
            message: Some("mtu greater than device maximum".into()),
            offset: Some(32),
            missing: Some(5),
            missing_from: None,
            policy: Some("values 0 to 65535".into()),
        };
        assert_eq!(Ack::read(message(&payload)), Some(expected));
    }

    #[test]
    fn success_and_the_end_of_a_dump_are_errno_zero() {
        assert_eq!(Ack::read(message(&ack(0, |_| {}))), Some(Ack::default()));
        for payload in [&[][..], &[0, 0, 0, 0]] {
            let done = Message { kind: NLMSG_DONE, flags: 0, sequence: 1, payload };
            assert_eq!(Ack::read(done), Some(Ack::default()));
        }
    }

    #[test]
    fn no_cut_makes_reading_fail() {
        let payload = ack(22, |writer| writer.string(NLMSGERR_ATTR_MSG, "no"));
        for cut in 0..payload.len() {
            drop(Ack::read(message(&payload[..cut])));
        }
        assert_eq!(Ack::read(message(&payload[..10])), None);
        let whole = Message { flags: NLM_F_ACK_TLVS, ..message(&payload) };
        assert_eq!(Ack::read(whole).map(|ack| ack.errno), Some(22));
    }
}
