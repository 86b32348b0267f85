//! One container attached to a bridge, as two datagrams.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use netloom::Netns;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::SockProtocol;

use super::{
    ACK, CREATE, ECHO, Message, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE, RTM_SETLINK, exchange,
    open, open_in,
};

/// What is attached.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) port: String,
    pub(crate) address: Ipv4Addr,
    /// Whether its end makes itself an IPv6 address, as the kernel has it.
    pub(crate) ipv6: bool,
    /// The port's index; 0: the kernel's choice.
    pub(crate) index: u32,
}

impl Plan {
    /// The container of this number, on 10.0.0.0/16.
    pub(crate) fn number(n: u32) -> Self {
        let address = Ipv4Addr::from_bits(0x0a00_0100 + n);
        Self { port: format!("port{n}"), address, ipv6: false, index: 0 }
    }
}

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
    pub(crate) fn prepare(host: &Netns, bridge: u32, plan: &Plan) -> Self {
        let mut veth = Message::link(RTM_NEWLINK, CREATE | ECHO | ACK, plan.index, true);
        veth.string(3, &plan.port).attribute(10, &bridge.to_ne_bytes());
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
        if !plan.ipv6 {
            let mut none = Message::link(RTM_SETLINK, 0, 2, false);
            none.nested(26, |families| {
                families.nested(10, |inet6| {
                    inet6.attribute(8, &[1]);
                });
            });
            configure.extend(none.finish());
        }
        let mut address = Message::new(RTM_NEWADDR, CREATE);
        address.bytes(&[2, 16, 0, 0, 2, 0, 0, 0]);
        let octets = plan.address.octets();
        address.attribute(2, &octets).attribute(1, &octets);
        configure.extend(address.finish());
        for index in [1, 2] {
            configure.extend(Message::link(RTM_SETLINK, 0, index, true).finish());
        }
        let mut route = Message::new(RTM_NEWROUTE, CREATE | ACK);
        route.bytes(&[2, 0, 0, 0, 254, 78, 0, 1, 0, 0, 0, 0]);
        route.attribute(15, &[254, 0, 0, 0]).attribute(5, &[10, 0, 0, 1]);
        route.attribute(4, &[2, 0, 0, 0]);
        configure.extend(route.finish());
        let home = File::open("/proc/thread-self/ns/net").unwrap();
        let host = open_in(host);
        Self { host, home, veth: veth.finish(), namespace_at, configure }
    }

    /// Seven system calls and an echo, on the calling thread, which stays in the container.
    pub(crate) fn run(&mut self) -> Attached {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let container = File::open("/proc/thread-self/ns/net").unwrap();
        let socket = open(SockProtocol::NetlinkRoute);
        let number = container.as_raw_fd().to_ne_bytes();
        self.veth[self.namespace_at..self.namespace_at + 4].copy_from_slice(&number);
        exchange(&self.host, &self.veth);
        exchange(&socket, &self.configure);
        Attached { _container: container, _socket: socket }
    }

    /// Takes the thread home: not part of the work.
    pub(crate) fn go_home(&self) {
        setns(&self.home, CloneFlags::CLONE_NEWNET).unwrap();
    }
}

/// An attached container; it goes with this.
pub(crate) struct Attached {
    _container: File,
    _socket: OwnedFd,
}
