//! Listening sockets, as the kernel lists them: `struct inet_diag_req_v2` and
//! `struct inet_diag_msg`.
//!
//! ```text
//! request                                  answer
//!  0  family                                0  family
//!  1  protocol                              1  state, timer, retransmits
//!  2  extensions, pad                       4  socket id
//!  4  states, u32: a bit each              52  expires, receive queue, send queue
//!  8  socket id                            64  uid, u32
//! 56                                       68  inode, u32
//!                                          72
//! socket id: source port be16, destination port be16, source 16 bytes, destination 16 bytes,
//!            interface u32, cookie 8 bytes
//! ```
//!
//! Source: `sock_diag(7)`, `include/uapi/linux/inet_diag.h`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::message::{HEADER, Message};

/// The type of requests and of answers (`SOCK_DIAG_BY_FAMILY`).
const BY_FAMILY: u16 = 20;
pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u32 = 10;
const REQUEST: usize = 56;
const ANSWER: usize = 72;

/// Appends a request for all listening TCP sockets of a family, with its header. The batch fills in
/// the length and the sequence number.
pub(crate) fn append_listening(out: &mut Vec<u8>, family: u8, flags: u16) {
    let start = out.len();
    out.resize(start + HEADER + REQUEST, 0);
    out[start + 4..start + 6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    out[start + 6..start + 8].copy_from_slice(&flags.to_ne_bytes());
    out[start + HEADER] = family;
    out[start + HEADER + 1] = IPPROTO_TCP;
    let states = (1_u32 << TCP_LISTEN).to_ne_bytes();
    out[start + HEADER + 4..start + HEADER + 8].copy_from_slice(&states);
}

/// A listed socket, borrowed from the message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SocketView<'a>(&'a [u8; ANSWER]);

impl<'a> SocketView<'a> {
    pub(crate) fn read(message: Message<'a>) -> Option<Self> {
        if message.kind != BY_FAMILY {
            return None;
        }
        message.payload.first_chunk().map(Self)
    }

    /// Returns the address that the socket listens on.
    pub(crate) fn source(self) -> Option<SocketAddr> {
        let port = u16::from_be_bytes(self.array(4)?);
        let address = match self.0[0] {
            AF_INET => IpAddr::from(Ipv4Addr::from(self.array::<4>(8)?)),
            AF_INET6 => IpAddr::from(Ipv6Addr::from(self.array::<16>(8)?)),
            _ => return None,
        };
        Some(SocketAddr::new(address, port))
    }

    pub(crate) fn uid(self) -> Option<u32> {
        self.array(64).map(u32::from_ne_bytes)
    }

    pub(crate) fn inode(self) -> Option<u32> {
        self.array(68).map(u32::from_ne_bytes)
    }

    fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..)?.first_chunk().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_asks_for_what_listens() {
        let mut out = Vec::new();
        append_listening(&mut out, AF_INET6, 0x300);
        assert_eq!(out.len(), 72);
        assert_eq!(out[4..8], [20, 0, 0, 3]);
        assert_eq!(out[16..24], [10, 6, 0, 0, 0, 4, 0, 0]);
    }

    #[test]
    fn an_answer_is_read_and_no_cut_makes_reading_fail() {
        let mut payload = [0; ANSWER];
        payload[0] = AF_INET;
        payload[4..6].copy_from_slice(&[0x1f, 0x90]);
        payload[8..12].copy_from_slice(&[127, 0, 0, 1]);
        payload[64] = 7;
        payload[68] = 9;
        let message = |payload| Message { kind: 20, flags: 0, sequence: 0, payload };
        let view = SocketView::read(message(&payload)).unwrap();
        assert_eq!(view.source(), Some(SocketAddr::from(([127, 0, 0, 1], 8080))));
        assert_eq!((view.uid(), view.inode()), (Some(7), Some(9)));
        for cut in 0..ANSWER {
            assert!(SocketView::read(message(&payload[..cut])).is_none());
        }
    }
}
