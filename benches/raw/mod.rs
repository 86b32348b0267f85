//! Messages built beforehand and sent with bare system calls: the least time that any program could
//! need.
#![allow(dead_code)] // each bench uses its own part

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use netloom::Netns;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
    sockopt,
};

pub(crate) mod attach;
pub(crate) mod network;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const ECHO: u16 = 8;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x600; // with NLM_F_EXCL
const UP: [u8; 4] = [1, 0, 0, 0];
const GROUP: u32 = 77;

pub(crate) fn open(protocol: SockProtocol) -> OwnedFd {
    socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).unwrap()
}

/// Opens a socket in a namespace.
pub(crate) fn open_in(netns: &Netns) -> OwnedFd {
    netns.run(|| open(SockProtocol::NetlinkRoute)).unwrap()
}

thread_local! {
    /// The receive buffer, allocated once: zeroing it takes as long as a small answer.
    static ANSWER: RefCell<Vec<u8>> = RefCell::new(vec![0; 16 * 1024]);
}

/// Receives the next answer, and passes it to `look`.
fn receive<T>(socket: &OwnedFd, look: impl FnOnce(&[u8]) -> T) -> T {
    ANSWER.with_borrow_mut(|answer| {
        let length = recv(socket.as_raw_fd(), answer, MsgFlags::empty()).unwrap();
        look(&answer[..length])
    })
}

/// Sends a datagram and reads until its last message is acknowledged.
pub(crate) fn exchange(socket: &OwnedFd, datagram: &[u8]) {
    const NLMSG_ERROR: u8 = 2;
    send(socket.as_raw_fd(), datagram, MsgFlags::empty()).unwrap();
    let is_acknowledgement = |answer: &[u8]| {
        let is_one = answer.len() >= 20 && answer[4] == NLMSG_ERROR;
        assert!(!is_one || answer[16..20] == [0; 4], "refused: {answer:?}");
        is_one
    };
    while !receive(socket, is_acknowledgement) {}
}

/// A message under construction.
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 16];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | REQUEST).to_ne_bytes());
        Self(bytes)
    }

    /// Starts a link request: index, flags, change mask.
    fn link(kind: u16, flags: u16, index: u32, up: bool) -> Self {
        let mut message = Self::new(kind, flags);
        let up = if up { UP } else { [0; 4] };
        message.bytes(&[0; 4]).bytes(&index.to_ne_bytes()).bytes(&up).bytes(&up);
        message
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.nested(kind, |inside| {
            inside.bytes(value);
        })
    }

    pub(crate) fn string(&mut self, kind: u16, text: &str) -> &mut Self {
        self.attribute(kind, &[text.as_bytes(), &[0]].concat())
    }

    pub(crate) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.0.len();
        self.bytes(&[0, 0]).bytes(&kind.to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.0.len() - start).unwrap();
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap();
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0.clone()
    }
}

/// Joins messages to datagrams of a hundred requests. The last request of each is acknowledged.
fn in_hundreds(mut messages: Vec<Message>) -> Vec<Vec<u8>> {
    let datagram = |chunk: &mut [Message]| {
        chunk.last_mut().unwrap().0[6] |= u8::try_from(ACK).unwrap();
        chunk.iter_mut().flat_map(Message::finish).collect()
    };
    messages.chunks_mut(100).map(datagram).collect()
}

/// Builds the requests that put links into a group and delete the group.
pub(crate) fn group_delete(indexes: &[u32]) -> Vec<Vec<u8>> {
    let grouped = indexes.iter().map(|index| {
        let mut message = Message::link(RTM_SETLINK, 0, *index, false);
        message.attribute(27, &GROUP.to_ne_bytes());
        message
    });
    let mut datagrams = in_hundreds(grouped.collect());
    let mut delete = Message::link(RTM_DELLINK, ACK, 0, false);
    datagrams.push(delete.attribute(27, &GROUP.to_ne_bytes()).finish());
    datagrams
}

/// Builds the requests for IPv4 host routes through a gateway.
pub(crate) fn ipv4_routes(routes: impl Iterator<Item = (Ipv4Addr, Ipv4Addr)>) -> Vec<Vec<u8>> {
    let message = |(to, via): (Ipv4Addr, Ipv4Addr)| {
        let mut route = Message::new(RTM_NEWROUTE, CREATE);
        route.bytes(&[2, 32, 0, 0, 254, 78, 0, 1, 0, 0, 0, 0]).attribute(15, &[254, 0, 0, 0]);
        route.attribute(1, &to.octets()).attribute(5, &via.octets());
        route
    };
    in_hundreds(routes.map(message).collect())
}

/// Builds the requests for IPv6 host routes through a gateway and a link.
pub(crate) fn ipv6_routes(
    routes: impl Iterator<Item = (std::net::Ipv6Addr, std::net::Ipv6Addr)>,
    link: u32,
) -> Vec<Vec<u8>> {
    let message = |(to, via): (std::net::Ipv6Addr, std::net::Ipv6Addr)| {
        let mut route = Message::new(RTM_NEWROUTE, CREATE);
        route.bytes(&[10, 128, 0, 0, 254, 78, 0, 1, 0, 0, 0, 0]).attribute(15, &[254, 0, 0, 0]);
        route.attribute(1, &to.octets()).attribute(5, &via.octets());
        route.attribute(4, &link.to_ne_bytes()).attribute(6, &1024_u32.to_ne_bytes());
        route
    };
    in_hundreds(routes.map(message).collect())
}

/// Builds the request for one link by its name, without statistics.
pub(crate) fn link_by_name(name: &str) -> Vec<u8> {
    let mut get = Message::link(RTM_GETLINK, 0, 0, false);
    get.string(3, name).attribute(29, &[8, 0, 0, 0]).finish()
}

/// Sends a request and receives its only answer.
pub(crate) fn get(socket: &OwnedFd, request: &[u8]) {
    send(socket.as_raw_fd(), request, MsgFlags::empty()).unwrap();
    receive(socket, |answer| assert!(answer.len() > 16 && answer[4] == 16));
}

/// Returns the same request, with an acknowledgement after the answer.
pub(crate) fn acknowledged(request: &[u8]) -> Vec<u8> {
    let mut request = request.to_owned();
    request[6] |= u8::try_from(ACK).unwrap();
    request
}

/// Sends the request like [`get`], with an acknowledgement.
pub(crate) fn get_acknowledged(socket: &OwnedFd, request: &[u8]) {
    get(socket, request);
    receive(socket, |answer| assert!(answer.len() >= 20));
}

pub(crate) fn all_links() -> Vec<u8> {
    let mut all = Message::link(RTM_GETLINK, DUMP, 0, false);
    all.attribute(29, &[8, 0, 0, 0]).finish()
}

pub(crate) fn all_routes() -> Vec<u8> {
    Message::new(RTM_GETROUTE, DUMP).bytes(&[0; 12]).finish()
}

/// Receives a list and visits each attribute's type and value. Returns the number of messages, and
/// a sum that keeps the compiler from omitting the visits.
pub(crate) fn walk(socket: &OwnedFd, request: &[u8], header: usize) -> (usize, u64) {
    const NLMSG_DONE: u16 = 3;
    let mut buffer = vec![0; 32 * 1024];
    let (mut count, mut sum) = (0, 0);
    let number = |bytes: &[u8]| usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
    send(socket.as_raw_fd(), request, MsgFlags::empty()).unwrap();
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
        let mut left = &buffer[..length];
        while left.len() >= 16 {
            let length = u32::from_ne_bytes([left[0], left[1], left[2], left[3]]) as usize;
            if u16::from_ne_bytes([left[4], left[5]]) == NLMSG_DONE {
                return (count, sum);
            }
            let mut attributes = &left[header.min(length)..length];
            while attributes.len() >= 4 {
                let length = number(attributes).clamp(4, attributes.len());
                sum += u64::from(attributes[2]) + u64::from(attributes[length - 1]);
                attributes = &attributes[length.next_multiple_of(4).min(attributes.len())..];
            }
            count += 1;
            left = &left[length.next_multiple_of(4).min(left.len())..];
        }
    }
}

/// Enlarges the send buffer for a datagram of this many bytes.
pub(crate) fn make_room(socket: &OwnedFd, bytes: usize) {
    setsockopt(socket, sockopt::SndBuf, &bytes).unwrap();
}
