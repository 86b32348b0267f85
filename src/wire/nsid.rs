//! The number one network namespace has for another, as the kernel lists it: `struct rtgenmsg` and its
//! attributes.
//!
//! ```text
//!  0        1     4
//!  | family | pad | attributes …
//!
//! NETNSA_NSID   1  i32, -1: none     NETNSA_PID         2  u32     NETNSA_FD  3  u32
//! NETNSA_TARGET_NSID  4  i32         NETNSA_CURRENT_NSID  5  i32
//! ```
//!
//! Source: `include/uapi/linux/net_namespace.h`, `net/core/net_namespace.c`.

use super::attribute::Attributes;
use super::message::Message;

pub(crate) const NETNSA_NSID: u16 = 1;
pub(crate) const NETNSA_FD: u16 = 3;

/// `struct rtgenmsg` of a request, with its padding: of no family.
pub(crate) const RTGENMSG: [u8; 4] = [0; 4];

/// An answer about one namespace, borrowed from the message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NsidView<'a>(Attributes<'a>);

impl<'a> NsidView<'a> {
    pub(crate) fn read(message: Message<'a>) -> Option<Self> {
        let (_, attributes) = message.split::<1>()?;
        Some(Self(attributes))
    }

    /// The number; `None` where it has none.
    pub(crate) fn number(self) -> Option<u32> {
        let number = self.0.get(NETNSA_NSID)?.u32()?.cast_signed();
        u32::try_from(number).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &[u8]) -> Option<u32> {
        NsidView::read(Message { kind: 88, flags: 0, sequence: 0, payload })?.number()
    }

    #[test]
    fn a_number_and_none_are_told_apart() {
        assert_eq!(read(&[0, 0, 0, 0, 8, 0, 1, 0, 7, 0, 0, 0]), Some(7));
        assert_eq!(read(&[0, 0, 0, 0, 8, 0, 1, 0, 255, 255, 255, 255]), None);
        assert_eq!(read(&[0, 0, 0, 0]), None);
    }

    #[test]
    fn no_cut_makes_reading_fail() {
        let payload = [0, 0, 0, 0, 8, 0, 1, 0, 7, 0, 0, 0];
        for cut in 0..payload.len() {
            assert!(read(&payload[..cut]).is_none());
        }
    }
}
