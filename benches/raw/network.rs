//! The messages that build and remove a small network: a bridge, two containers, forwarding,
//! masquerading.

use std::os::fd::OwnedFd;

use netloom::Netns;
use nix::sys::socket::SockProtocol;

use super::attach::{Attach, Attached, Plan};
use super::{
    ACK, CREATE, ECHO, Message, RTM_NEWADDR, RTM_NEWLINK, exchange, group_delete, open, open_in,
};

const BRIDGE: u32 = 500;
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

pub(crate) struct Network {
    host: OwnedFd,
    nft: OwnedFd,
    bridge: Vec<u8>,
    address: Vec<u8>,
    containers: Vec<Attach>,
    masquerade: Vec<u8>,
    remove_links: Vec<Vec<u8>>,
    remove_table: Vec<u8>,
}

impl Network {
    /// Builds the messages for the calling thread's namespace.
    pub(crate) fn prepare(host: &Netns) -> Self {
        let mut bridge = Message::link(RTM_NEWLINK, CREATE | ACK, BRIDGE, true);
        bridge.string(3, "br0").attribute(1, &[2, 0, 0, 0, 0, 1]).nested(18, |info| {
            info.string(1, "bridge");
        });
        let mut address = Message::new(RTM_NEWADDR, CREATE | ACK);
        address.bytes(&[2, 16, 0, 0]).bytes(&BRIDGE.to_ne_bytes());
        address.attribute(2, &[10, 0, 0, 1]).attribute(1, &[10, 0, 0, 1]);
        let plans = [1, 2].map(|n| Plan { index: BRIDGE + n, ipv6: true, ..Plan::number(n) });
        let indexes = [BRIDGE, BRIDGE + 1, BRIDGE + 2];
        Self {
            host: open_in(host),
            nft: open(SockProtocol::NetlinkNetFilter),
            bridge: bridge.finish(),
            address: address.finish(),
            containers: plans.iter().map(|plan| Attach::prepare(host, BRIDGE, plan)).collect(),
            masquerade: masquerade(),
            remove_links: group_delete(&indexes),
            remove_table: batch(vec![nft(2, ACK, |table| {
                table.string(1, "raw");
            })]),
        }
    }

    pub(crate) fn build(&mut self) -> Vec<Attached> {
        exchange(&self.host, &self.bridge);
        exchange(&self.host, &self.address);
        let attach = |container: &mut Attach| {
            let attached = container.run();
            container.go_home();
            attached
        };
        let attached = self.containers.iter_mut().map(attach).collect();
        std::fs::write(FORWARDING, "1").unwrap();
        exchange(&self.nft, &self.masquerade);
        attached
    }

    pub(crate) fn remove(&self, attached: Vec<Attached>) {
        exchange(&self.nft, &self.remove_table);
        std::fs::write(FORWARDING, "0").unwrap();
        for datagram in &self.remove_links {
            exchange(&self.host, datagram);
        }
        drop(attached);
    }
}

fn nft(kind: u16, flags: u16, fill: impl FnOnce(&mut Message)) -> Message {
    let mut message = Message::new(10 << 8 | kind, flags);
    message.bytes(&[1, 0, 0, 0]); // the family `inet`
    fill(&mut message);
    message
}

fn batch(operations: Vec<Message>) -> Vec<u8> {
    let mark = |kind| {
        let mut message = Message::new(kind, 0);
        message.bytes(&[0, 0, 0, 10]);
        message
    };
    let all = [mark(16)].into_iter().chain(operations).chain([mark(17)]);
    all.flat_map(|mut message| message.finish()).collect()
}

/// Builds `ip saddr 10.0.0.0/24 counter masquerade` in a table that is deleted with its socket, as
/// netloom sends it.
fn masquerade() -> Vec<u8> {
    let table = nft(0, 0x600, |table| {
        table.string(1, "raw").attribute(2, &2_u32.to_be_bytes());
    });
    let chain = nft(3, 0x400, |chain| {
        chain.string(1, "raw").string(3, "postrouting").string(7, "nat");
        chain.nested(4 | 0x8000, |hook| {
            hook.attribute(1, &4_u32.to_be_bytes()).attribute(2, &100_u32.to_be_bytes());
        });
    });
    let rule = nft(6, 0x400 | 0x800 | ACK | ECHO, |rule| {
        rule.string(1, "raw").string(2, "postrouting");
        rule.nested(4 | 0x8000, |list| {
            expression(list, "meta", |meta| {
                meta.attribute(2, &15_u32.to_be_bytes()).attribute(1, &1_u32.to_be_bytes());
            });
            compare(list, &[2]); // IPv4
            expression(list, "payload", |payload| {
                for (kind, value) in [(1, 1), (2, 1), (3, 12), (4, 3_u32)] {
                    payload.attribute(kind, &value.to_be_bytes());
                }
            });
            compare(list, &[10, 0, 0]);
            expression(list, "counter", |_| ());
            expression(list, "masq", |_| ());
        });
    });
    batch(vec![table, chain, rule])
}

/// Appends a comparison of the first register with this value.
fn compare(list: &mut Message, value: &[u8]) {
    expression(list, "cmp", |cmp| {
        cmp.attribute(1, &1_u32.to_be_bytes()).attribute(2, &0_u32.to_be_bytes());
        cmp.nested(3 | 0x8000, |data| {
            data.attribute(1, value);
        });
    });
}

fn expression(list: &mut Message, name: &str, fill: impl FnOnce(&mut Message)) {
    list.nested(1 | 0x8000, |element| {
        element.string(1, name).nested(2 | 0x8000, fill);
    });
}
