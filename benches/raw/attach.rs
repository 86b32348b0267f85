//! The messages that attach one container to a bridge, in two datagrams.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use netloom::Netns;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::SockProtocol;

use crate::harness::{settle_after, timed};

use super::{
    ACK, CREATE, ECHO, Message, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE, RTM_SETLINK, exchange,
    open, open_in,
};

/// The container to attach.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) port: String,
    pub(crate) address: Ipv4Addr,
    /// True if the container's end generates an IPv6 address, the kernel's default.
    pub(crate) ipv6: bool,
    /// The port's index, or 0 to let the kernel choose.
    pub(crate) index: u32,
}

impl Plan {
    /// Returns the plan of the container with this number, on 10.0.0.0/16.
    pub(crate) fn number(n: u32) -> Self {
        let address = Ipv4Addr::from_bits(0x0a00_0100 + n);
        Self { port: format!("port{n}"), address, ipv6: false, index: 0 }
    }
}

/// The distribution of the messages over datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Two datagrams, one for each namespace.
    Two,
    /// A datagram for each message, each acknowledged.
    Alone,
    /// Two datagrams, and one that moves the peer from this namespace to the container.
    Moved,
}

/// The two datagrams of one attachment.
pub(crate) struct Attach {
    host: OwnedFd,
    home: File,
    /// The host's datagrams: one, or two if the peer is moved.
    here: Vec<Vec<u8>>,
    /// The byte offset, in the last datagram of `here`, at which `run` writes the descriptor of the
    /// container's namespace.
    namespace_at: usize,
    configure: Vec<Vec<u8>>,
}

impl Attach {
    /// Builds the messages for a bridge in `host`. In a new namespace `lo` is link 1 and the peer
    /// link 2.
    pub(crate) fn prepare(host: &Netns, bridge: u32, plan: &Plan) -> Self {
        Self::prepare_by(Way::Two, host, bridge, plan)
    }

    /// Builds the messages for another distribution over datagrams.
    pub(crate) fn prepare_by(way: Way, host: &Netns, bridge: u32, plan: &Plan) -> Self {
        let mut veth = Message::link(RTM_NEWLINK, CREATE | ECHO | ACK, plan.index, true);
        veth.string(3, &plan.port).attribute(10, &bridge.to_ne_bytes());
        // As netloom does, sets an address, so that the kernel generates none.
        veth.attribute(1, &hardware(2, plan.address));
        let mut namespace_at = 0;
        veth.nested(18, |info| {
            info.string(1, "veth");
            info.nested(2, |data| {
                data.nested(1, |peer| {
                    peer.bytes(&[0; 16]).string(3, "eth0");
                    peer.attribute(1, &hardware(6, plan.address));
                    if way != Way::Moved {
                        namespace_at = peer.0.len() + 4;
                        peer.attribute(28, &[0; 4]);
                    }
                });
            });
        });
        let mut here = vec![veth.finish()];
        if way == Way::Moved {
            let mut moved = Message::link(RTM_SETLINK, ACK, 0, false);
            moved.string(3, "eth0").attribute(49, &[2, 0, 0, 0]);
            namespace_at = moved.0.len() + 4;
            here.push(moved.attribute(28, &[0; 4]).finish());
        }
        let mut configure = Vec::new();
        if !plan.ipv6 {
            let mut none = Message::link(RTM_SETLINK, 0, 2, false);
            none.nested(26, |families| {
                families.nested(10, |inet6| {
                    inet6.attribute(8, &[1]);
                });
            });
            configure.push(none.finish());
        }
        let mut address = Message::new(RTM_NEWADDR, CREATE);
        address.bytes(&[2, 16, 0, 0, 2, 0, 0, 0]);
        let octets = plan.address.octets();
        address.attribute(2, &octets).attribute(1, &octets);
        configure.push(address.finish());
        for index in [1, 2] {
            configure.push(Message::link(RTM_SETLINK, 0, index, true).finish());
        }
        let mut route = Message::new(RTM_NEWROUTE, CREATE | ACK);
        route.bytes(&[2, 0, 0, 0, 254, 78, 0, 1, 0, 0, 0, 0]);
        route.attribute(15, &[254, 0, 0, 0]).attribute(5, &[10, 0, 0, 1]);
        route.attribute(4, &[2, 0, 0, 0]);
        configure.push(route.finish());
        let home = File::open("/proc/thread-self/ns/net").unwrap();
        let host = open_in(host);
        if way == Way::Alone {
            for one in &mut configure {
                one[6] |= u8::try_from(ACK).unwrap();
            }
        } else {
            configure = vec![configure.concat()];
        }
        Self { host, home, here, namespace_at, configure }
    }

    /// Attaches the container with seven system calls and an echo. The calling thread stays in the
    /// container.
    pub(crate) fn run(&mut self) -> Attached {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let container = File::open("/proc/thread-self/ns/net").unwrap();
        let socket = open(SockProtocol::NetlinkRoute);
        let number = container.as_raw_fd().to_ne_bytes();
        if let Some(last) = self.here.last_mut() {
            last[self.namespace_at..self.namespace_at + 4].copy_from_slice(&number);
        }
        self.here.iter().for_each(|datagram| exchange(&self.host, datagram));
        self.configure.iter().for_each(|datagram| exchange(&socket, datagram));
        Attached { _container: container, _socket: socket }
    }

    /// Runs one turn and removes everything it created.
    pub(crate) fn turn(&mut self, host: &Netns, plan: &Plan) -> Duration {
        let mut made = None;
        let time = timed(|| made = Some(self.run()));
        self.go_home();
        drop(made);
        settle_after(host, &plan.port);
        time
    }

    /// Returns the thread to its namespace, which is not measured.
    pub(crate) fn go_home(&self) {
        setns(&self.home, CloneFlags::CLONE_NEWNET).unwrap();
    }
}

/// Returns a locally administered hardware address.
fn hardware(first: u8, of: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = of.octets();
    [first, 0, a, b, c, d]
}

/// An attached container, deleted with this value.
pub(crate) struct Attached {
    _container: File,
    _socket: OwnedFd,
}
