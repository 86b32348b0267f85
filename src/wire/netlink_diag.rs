//! Netlink sockets as the kernel lists them: `struct netlink_diag_req` and `struct
//! netlink_diag_msg`.
//!
//! ```text
//! request                                  answer
//!  0  family: AF_NETLINK                    0  family, type, protocol, state
//!  1  protocol                              4  port, u32
//!  2  pad                                   8  destination port, destination group
//!  4  inode, u32                           16  inode, u32
//!  8  what to show, u32: a bit each        20  cookie
//! 12  cookie                               28  attributes
//! 20                                           NETLINK_DIAG_GROUPS 1: the multicast groups, a bit each
//! ```
//!
//! Source: `sock_diag(7)`, `include/uapi/linux/netlink_diag.h`.

use super::attribute::Attributes;
use super::message::{HEADER, Message};

/// The type of requests and of answers (`SOCK_DIAG_BY_FAMILY`).
const BY_FAMILY: u16 = 20;
const AF_NETLINK: u8 = 16;
const NDIAG_SHOW_GROUPS: u8 = 2;
const NETLINK_DIAG_GROUPS: u16 = 1;
const REQUEST: usize = 20;
const ANSWER: usize = 28;

/// Appends a request for all sockets of a netlink protocol, with its header. The batch fills in the
/// length and the sequence number.
pub(crate) fn append_sockets(out: &mut Vec<u8>, protocol: u8, flags: u16) {
    let start = out.len();
    out.resize(start + HEADER + REQUEST, 0);
    out[start + 4..start + 6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    out[start + 6..start + 8].copy_from_slice(&flags.to_ne_bytes());
    out[start + HEADER..start + HEADER + 2].copy_from_slice(&[AF_NETLINK, protocol]);
    let show = u32::from(NDIAG_SHOW_GROUPS).to_ne_bytes();
    out[start + HEADER + 8..start + HEADER + 12].copy_from_slice(&show);
}

/// Reads a socket's port and its first 32 multicast groups, a bit each.
pub(crate) fn read_socket(message: Message<'_>) -> Option<(u32, u32)> {
    let (socket, attributes) = message.payload.split_first_chunk::<ANSWER>()?;
    if message.kind != BY_FAMILY || socket[0] != AF_NETLINK {
        return None;
    }
    let number = |bytes: &[u8]| Some(u32::from_ne_bytes(*bytes.first_chunk()?));
    let port = number(&socket[4..])?;
    let groups = Attributes::new(attributes).get(NETLINK_DIAG_GROUPS);
    Some((port, groups.and_then(|groups| number(groups.value)).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_asks_for_groups() {
        let mut out = Vec::new();
        append_sockets(&mut out, 2, 0x300);
        assert_eq!(out.len(), 36);
        assert_eq!(out[4..8], [20, 0, 0, 3]);
        assert_eq!(out[16..28], [16, 2, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
    }

    #[test]
    fn an_answer_is_read_and_a_cut_one_is_none() {
        let mut payload = vec![0; ANSWER];
        payload[0] = AF_NETLINK;
        payload[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        payload.extend([8, 0, 1, 0, 5, 0, 0, 0x80]);
        let read = |payload| read_socket(Message { kind: 20, flags: 0, sequence: 0, payload });
        assert_eq!(read(&payload), Some((7, u32::from_ne_bytes([5, 0, 0, 0x80]))));
        assert_eq!(read(&payload[..ANSWER]), Some((7, 0)));
        for cut in 0..ANSWER {
            assert_eq!(read(&payload[..cut]), None);
        }
    }
}
