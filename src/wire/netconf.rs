//! A link's settings of one family, as the kernel lists them: `struct netconfmsg` and its attributes.
//!
//! ```text
//!  0        1     4
//!  | family | pad | attributes …
//!
//! NETCONFA_IFINDEX 1  i32, -1: all, -2: default     NETCONFA_FORWARDING 2  i32
//! ```
//!
//! Source: `include/uapi/linux/netconf.h`, `net/ipv4/devinet.c`, `net/ipv6/addrconf.c`.

use super::attribute::Attribute;
use super::message::Message;

pub(crate) const RTM_GETNETCONF: u16 = 82;

const NETCONFA_IFINDEX: u16 = 1;
const NETCONFA_FORWARDING: u16 = 2;

/// The links that settings are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    All,
    Default,
    Link(u32),
}

/// Reads the links of a message and their `forwarding`.
pub(crate) fn forwarding(message: Message<'_>) -> Option<(Of, i32)> {
    let (_, attributes) = message.split::<1>()?;
    let number = |kind| attributes.get(kind).and_then(Attribute::u32).map(u32::cast_signed);
    let of = match number(NETCONFA_IFINDEX)? {
        -1 => Of::All,
        -2 => Of::Default,
        index => Of::Link(u32::try_from(index).ok()?),
    };
    Some((of, number(NETCONFA_FORWARDING)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &[u8]) -> Option<(Of, i32)> {
        forwarding(Message { kind: 80, flags: 0, sequence: 0, payload })
    }

    fn payload(index: i32) -> Vec<u8> {
        let [index, on] = [index, 1].map(i32::to_ne_bytes);
        [&[2, 0, 0, 0, 8, 0, 1, 0][..], &index, &[8, 0, 2, 0], &on].concat()
    }

    #[test]
    fn a_link_and_what_stands_for_all_are_told_apart() {
        assert_eq!(read(&payload(3)), Some((Of::Link(3), 1)));
        assert_eq!(read(&payload(-1)), Some((Of::All, 1)));
        assert_eq!(read(&payload(-2)), Some((Of::Default, 1)));
        assert_eq!(read(&payload(-3)), None);
    }

    #[test]
    fn no_cut_makes_reading_fail() {
        let payload = payload(3);
        for cut in 0..payload.len() {
            assert_eq!(read(&payload[..cut]), None);
        }
    }

    proptest::proptest! {
        /// An answer whose bytes are changed says a number for somebody, or nothing.
        #[test]
        fn any_bytes_are_read_or_say_nothing(
            index: i32,
            value: i32,
            changes: Vec<(usize, u8)>,
            others: Vec<u8>,
        ) {
            let mut payload = payload(index);
            let at = payload.len() - 4;
            payload[at..].copy_from_slice(&value.to_ne_bytes());
            let of = match index {
                -1 => Some(Of::All),
                -2 => Some(Of::Default),
                index => u32::try_from(index).ok().map(Of::Link),
            };
            assert_eq!(read(&payload), of.map(|of| (of, value)));
            for (at, byte) in changes {
                let at = at % payload.len();
                payload[at] = byte;
                let _ = read(&payload);
            }
            payload.extend(&others);
            let _ = (read(&payload), read(&others));
        }
    }
}
