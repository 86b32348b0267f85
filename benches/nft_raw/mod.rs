//! `nf_tables` messages built beforehand and sent with bare system calls.
#![allow(dead_code)] // each bench uses its own part

use std::cell::RefCell;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use netloom::{Namespace, Netns, Owned};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
    sockopt,
};

pub(crate) fn fresh() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

thread_local! {
    /// The receive buffer, allocated once.
    static ANSWER: RefCell<Vec<u8>> = RefCell::new(vec![0; 4096]);
}

/// Messages built beforehand.
#[derive(Default)]
pub(crate) struct Replay(pub(crate) Vec<u8>);

pub(crate) const NFT: u16 = 10 << 8;
pub(crate) const ACK: u16 = 4;
pub(crate) const CREATE: u16 = 0x400;

impl Replay {
    pub(crate) fn batch(messages: impl FnOnce(&mut Self)) -> Self {
        let mut replay = Self::default();
        replay.message(16, 0, 10, |_| ());
        messages(&mut replay);
        replay.message(17, 0, 10, |_| ());
        replay
    }

    pub(crate) fn message(
        &mut self,
        kind: u16,
        flags: u16,
        resource: u16,
        fill: impl FnOnce(&mut Self),
    ) {
        let start = self.0.len();
        self.0.extend([0; 4]);
        self.0.extend(kind.to_ne_bytes());
        self.0.extend((flags | 1).to_ne_bytes());
        self.0.extend([0; 8]);
        let family = if resource == 0 { 2 } else { 0 };
        self.0.extend([family, 0]);
        self.0.extend(resource.to_be_bytes());
        fill(self);
        let length = u32::try_from(self.0.len() - start).unwrap();
        self.0[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.nested(kind, |inside| inside.0.extend(value));
    }

    pub(crate) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend(kind.to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.0.len() - start).unwrap();
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    pub(crate) fn run(&self, socket: &OwnedFd) {
        send(socket.as_raw_fd(), &self.0, MsgFlags::empty()).unwrap();
        ANSWER.with_borrow_mut(|answer| {
            let length = recv(socket.as_raw_fd(), answer, MsgFlags::empty()).unwrap();
            assert!(length >= 20 && answer[16..20] == [0; 4], "refused: {:?}", &answer[16..20]);
        });
    }
}

pub(crate) fn open(netns: &Netns) -> OwnedFd {
    let protocol = SockProtocol::NetlinkNetFilter;
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket =
        netns.run(|| socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)).unwrap();
    let socket = socket.unwrap();
    setsockopt(&socket, sockopt::SndBufForce, &(4 << 20)).unwrap();
    socket
}

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
