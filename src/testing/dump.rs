//! Netlink dumps without netloom, because netloom is under test.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

/// A list request and the reader of its answers.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) name: &'static str,
    protocol: SockProtocol,
    request: u16,
    family: u8,
    /// The length of the fixed header before the attributes.
    header: usize,
    /// The attributes that identify the object. They form the key; the other attributes are its
    /// state.
    named: &'static [(u16, &'static str)],
    /// Counters and clocks, which differ without a change.
    volatile: &'static [u16],
}

const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
const RTM_GETNEIGH: u16 = 30;
const RTM_GETRULE: u16 = 34;
const RTM_GETQDISC: u16 = 38;
const RTM_GETNEXTHOP: u16 = 106;
const NFT_MSG_GETTABLE: u16 = 10 << 8 | 1;
const NFT_MSG_GETCHAIN: u16 = 10 << 8 | 4;
const NFT_MSG_GETRULE: u16 = 10 << 8 | 7;
const NFT_MSG_GETSET: u16 = 0x0a0a;
const NFT_MSG_GETOBJ: u16 = 0x0a13;

const fn route_list(
    name: &'static str,
    request: u16,
    header: usize,
    named: &'static [(u16, &'static str)],
    volatile: &'static [u16],
) -> List {
    let protocol = SockProtocol::NetlinkRoute;
    List { name, protocol, request, family: 0, header, named, volatile }
}

const fn nf_tables_list(
    name: &'static str,
    request: u16,
    named: &'static [(u16, &'static str)],
    volatile: &'static [u16],
) -> List {
    let protocol = SockProtocol::NetlinkNetFilter;
    List { protocol, ..route_list(name, request, 4, named, volatile) }
}

const NEIGHBOUR: &[(u16, &str)] = &[(1, "dst"), (2, "lladdr")];

const IN_TABLE: &[(u16, &str)] = &[(1, "name"), (3, "name"), (2, "handle")];

/// Links, addresses, routes, rules, neighbours, forwarding entries, nexthops, qdiscs, and tables
/// with their chains, rules and sets. A set's size is its state; its elements are not listed.
pub(crate) const LISTS: [List; 13] = [
    // Leave out statistics, AF_SPEC (sysctls and more counters), and the counts of carrier changes.
    route_list("link", RTM_GETLINK, 16, &[(3, "name")], &[7, 23, 26, 35, 47, 48]),
    route_list("address", RTM_GETADDR, 8, &[(1, "address"), (2, "local"), (3, "label")], &[6]),
    route_list(
        "route",
        RTM_GETROUTE,
        12,
        &[(1, "dst"), (5, "via"), (4, "oif"), (15, "table"), (6, "metric")],
        &[12],
    ),
    route_list("rule", RTM_GETRULE, 12, &[(6, "priority"), (15, "table"), (1, "to")], &[]),
    route_list("neighbour", RTM_GETNEIGH, 12, NEIGHBOUR, &[3, 4]),
    List {
        family: 7, // AF_BRIDGE
        ..route_list("forwarding entry", RTM_GETNEIGH, 12, NEIGHBOUR, &[3, 4])
    },
    route_list("nexthop", RTM_GETNEXTHOP, 8, &[(1, "id")], &[]),
    route_list("qdisc", RTM_GETQDISC, 20, &[(1, "kind")], &[3, 7]),
    nf_tables_list("nf_tables table", NFT_MSG_GETTABLE, &[(1, "name"), (4, "handle")], &[]),
    // Leave out the counters of a chain's policy.
    nf_tables_list("nf_tables chain", NFT_MSG_GETCHAIN, IN_TABLE, &[8]),
    // Leave out expressions, because they include counters.
    nf_tables_list(
        "nf_tables rule",
        NFT_MSG_GETRULE,
        &[(1, "name"), (2, "name"), (3, "handle")],
        &[4],
    ),
    nf_tables_list("nf_tables set", NFT_MSG_GETSET, &[(1, "name"), (2, "name")], &[]),
    // Leave out the data of objects, because they include counters.
    nf_tables_list(
        "nf_tables object",
        NFT_MSG_GETOBJ,
        &[(1, "name"), (2, "name"), (3, "kind")],
        &[4],
    ),
];

impl List {
    /// Lists the objects in this thread's network namespace: the identity of each, and its state in
    /// hex. The list is empty if the kernel does not support it.
    pub(crate) fn read(&self) -> BTreeMap<String, String> {
        let absent = match self.protocol {
            // EINVAL: the kernel has netfilter, but no nf_tables.
            SockProtocol::NetlinkNetFilter => [Errno::EPROTONOSUPPORT, Errno::EINVAL],
            _ => [Errno::EOPNOTSUPP; 2],
        };
        match self.messages() {
            Ok(messages) => messages.iter().filter_map(|message| self.entry(message)).collect(),
            Err(errno) if absent.contains(&errno) => BTreeMap::new(),
            Err(errno) => panic!("dump of every {}: {errno}", self.name),
        }
    }

    /// Lists only the state that changes by requests: no carrier, no timers, no addresses that IPv6
    /// generates.
    pub(crate) fn read_lasting(&self) -> BTreeMap<String, String> {
        // Keep the address, broadcast address, MTU, parent, master, group and queues.
        const SETTINGS: [u16; 8] = [1, 2, 4, 5, 10, 27, 31, 32];
        const IFF_UP: u32 = 1;
        if matches!(self.name, "neighbour" | "forwarding entry" | "qdisc") {
            return BTreeMap::new();
        }
        let entry = |message: &Vec<u8>| {
            let (key, _) = self.entry(message)?;
            let mut state = String::new();
            if self.request == RTM_GETLINK {
                let settings = attributes(&message[self.header..]).into_iter();
                state = format!(
                    "up {} {:02x?}",
                    u32_at(message, 8) & IFF_UP,
                    settings.filter(|(kind, _)| SETTINGS.contains(kind)).collect::<Vec<_>>()
                );
            }
            // The kernel updates its own routing table after an address changes, for IPv6 a moment
            // later.
            let kernels = self.request == RTM_GETROUTE && key.contains("table 255 ");
            let by_itself = kernels || ["fe80:", "ff00:"].iter().any(|part| key.contains(part));
            (!by_itself).then_some((key, state))
        };
        self.messages().unwrap_or_default().iter().filter_map(entry).collect()
    }

    fn entry(&self, message: &[u8]) -> Option<(String, String)> {
        let (header, rest) = message.split_at_checked(self.header)?;
        let (mut key, mut state) = (String::new(), format!("{header:02x?}"));
        if self.protocol == SockProtocol::NetlinkNetFilter {
            // Keep only the family: the rest counts changes.
            state = format!("{}", header[0]);
        }
        match self.request {
            // The kernel adds and removes its own entries, such as multicast on lo.
            RTM_GETNEIGH if header[8] & 0x40 != 0 => return None,
            // Keep only the link: the state of an entry changes by itself.
            RTM_GETNEIGH => state = format!("on {}", u32_at(header, 4)),
            RTM_GETLINK | RTM_GETADDR | RTM_GETQDISC => key = format!("{}", u32_at(header, 4)),
            RTM_GETROUTE | RTM_GETRULE => key = format!("/{}", header[1]),
            _ => {}
        }
        for (kind, value) in attributes(rest) {
            if self.volatile.contains(&kind) {
                continue;
            }
            match self.named.iter().find(|(named, _)| *named == kind) {
                Some((_, name)) => key.extend([" ", *name, " ", &readable(name, value)]),
                None => state.extend([format!(" {kind}={value:02x?}")]),
            }
        }
        Some((key.trim_start().to_owned(), state))
    }

    /// Returns the payloads of all messages of the dump.
    fn messages(&self) -> Result<Vec<Vec<u8>>, Errno> {
        const NLMSG_ERROR: u16 = 2;
        const NLMSG_DONE: u16 = 3;
        const REQUEST_DUMP: u16 = 0x301;
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, self.protocol)?;
        let mut request = u32::try_from(16 + self.header).unwrap().to_ne_bytes().to_vec();
        request.extend(self.request.to_ne_bytes());
        request.extend(REQUEST_DUMP.to_ne_bytes());
        request.extend([0; 8]); // sequence and port
        request.push(self.family);
        request.resize(16 + self.header, 0);
        send(std::os::fd::AsRawFd::as_raw_fd(&socket), &request, MsgFlags::empty())?;

        let mut payloads = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length =
                recv(std::os::fd::AsRawFd::as_raw_fd(&socket), &mut buffer, MsgFlags::empty())?;
            let mut rest = &buffer[..length];
            while rest.len() >= 16 {
                let length = usize::try_from(u32_at(rest, 0)).unwrap();
                let payload = &rest[16..length];
                match u16_at(rest, 4) {
                    NLMSG_DONE => return Ok(payloads),
                    NLMSG_ERROR => {
                        return Err(Errno::from_raw(-u32_at(payload, 0).cast_signed()));
                    }
                    _ => payloads.push(payload.to_vec()),
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

fn attributes(mut rest: &[u8]) -> Vec<(u16, &[u8])> {
    const TYPE: u16 = 0x3fff; // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
    let mut all = Vec::new();
    while rest.len() >= 4 {
        let length = usize::from(u16_at(rest, 0));
        let Some(value) = rest.get(4..length) else { break };
        all.push((u16_at(rest, 2) & TYPE, value));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

fn readable(name: &str, value: &[u8]) -> String {
    let text = value.strip_suffix(&[0]).unwrap_or(value);
    match (name, value) {
        ("name" | "label" | "kind", _) => String::from_utf8_lossy(text).into_owned(),
        ("dst" | "via" | "to" | "address" | "local", value) => {
            if let Ok(octets) = <[u8; 4]>::try_from(value) {
                Ipv4Addr::from(octets).to_string()
            } else if let Ok(octets) = <[u8; 16]>::try_from(value) {
                Ipv6Addr::from(octets).to_string()
            } else {
                format!("{value:02x?}")
            }
        }
        (_, value) => match <[u8; 4]>::try_from(value) {
            Ok(bytes) => u32::from_ne_bytes(bytes).to_string(),
            Err(_) => format!("{value:02x?}"),
        },
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
