//! Messages built beforehand and sent with bare system calls: what anybody could reach at best.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use netloom::Netns;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

/// The near end's name.
pub(crate) const PORT: &str = "port";

const RTM_NEWLINK: u16 = 16;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const ECHO: u16 = 8;
const CREATE: u16 = 0x600; // with NLM_F_EXCL
const UP: [u8; 4] = [1, 0, 0, 0];

/// The two datagrams of one attachment.
pub(crate) struct Attach {
    host: OwnedFd,
    home: File,
    veth: Vec<u8>,
    /// Where in it the container's descriptor goes.
    namespace_at: usize,
    configure: Vec<u8>,
}

impl Attach {
    /// Builds them for a bridge in `host`. In a fresh namespace `lo` is link 1 and the peer link 2.
    pub(crate) fn prepare(host: &Netns, bridge: u32) -> Self {
        let mut veth = Message::new(RTM_NEWLINK, CREATE | ECHO | ACK);
        veth.bytes(&[0; 8]).bytes(&UP).bytes(&UP).string(3, PORT);
        veth.attribute(10, &bridge.to_ne_bytes());
        let mut namespace_at = 0;
        veth.nested(18, |info| {
            info.string(1, "veth");
            info.nested(2, |data| {
                data.nested(1, |peer| {
                    peer.bytes(&[0; 16]).string(3, "eth0");
                    namespace_at = peer.0.len() + 4;
                    peer.attribute(28, &[0; 4]);
                });
            });
        });
        let mut configure = Vec::new();
        let mut address = Message::new(RTM_NEWADDR, CREATE);
        address.bytes(&[2, 16, 0, 0, 2, 0, 0, 0]);
        address.attribute(2, &[10, 0, 0, 2]).attribute(1, &[10, 0, 0, 2]);
        configure.extend(address.finish());
        for index in [1, 2] {
            let mut up = Message::new(RTM_SETLINK, 0);
            up.bytes(&[0; 4]).bytes(&[index, 0, 0, 0]).bytes(&UP).bytes(&UP);
            configure.extend(up.finish());
        }
        let mut route = Message::new(RTM_NEWROUTE, CREATE | ACK);
        route.bytes(&[2, 0, 0, 0, 254, 78, 0, 1, 0, 0, 0, 0]);
        route.attribute(15, &[254, 0, 0, 0]).attribute(5, &[10, 0, 0, 1]);
        route.attribute(4, &[2, 0, 0, 0]);
        configure.extend(route.finish());
        let home = File::open("/proc/thread-self/ns/net").unwrap();
        let host = host.run(open).unwrap();
        Self { host, home, veth: veth.finish(), namespace_at, configure }
    }

    /// Seven system calls, on the calling thread, which stays in the container.
    pub(crate) fn run(&mut self) -> Attached {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let container = File::open("/proc/thread-self/ns/net").unwrap();
        let socket = open();
        let number = container.as_raw_fd().to_ne_bytes();
        self.veth[self.namespace_at..self.namespace_at + 4].copy_from_slice(&number);
        exchange(&self.host, &self.veth);
        exchange(&socket, &self.configure);
        let home = self.home.try_clone().unwrap();
        Attached { home, _container: container, _socket: socket }
    }
}

/// An attached container; it goes, and the thread goes home, when this does.
pub(crate) struct Attached {
    home: File,
    _container: File,
    _socket: OwnedFd,
}

impl Drop for Attached {
    fn drop(&mut self) {
        setns(&self.home, CloneFlags::CLONE_NEWNET).unwrap();
    }
}

fn open() -> OwnedFd {
    let protocol = SockProtocol::NetlinkRoute;
    socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).unwrap()
}

/// Sends a datagram and reads until its last message is acknowledged.
fn exchange(socket: &OwnedFd, datagram: &[u8]) {
    const NLMSG_ERROR: u8 = 2;
    let mut answer = [0; 16384];
    send(socket.as_raw_fd(), datagram, MsgFlags::empty()).unwrap();
    loop {
        let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
        if length >= 20 && answer[4] == NLMSG_ERROR {
            assert_eq!(answer[16..20], [0; 4], "refused: {:?}", &answer[..length]);
            return;
        }
    }
}

/// A message in the making.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 16];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | REQUEST).to_ne_bytes());
        Self(bytes)
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.nested(kind, |inside| {
            inside.bytes(value);
        })
    }

    fn string(&mut self, kind: u16, text: &str) -> &mut Self {
        self.attribute(kind, &[text.as_bytes(), &[0]].concat())
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.0.len();
        self.bytes(&[0, 0]).bytes(&kind.to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.0.len() - start).unwrap();
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn finish(&mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap();
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0.clone()
    }
}
