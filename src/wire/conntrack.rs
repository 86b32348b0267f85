//! Connection tracking entries: the list of entries, the request for it, and the request to delete
//! an entry.
//!
//! ```text
//!  0        1         2          4
//!  | family | version | resource | attributes …            struct nfgenmsg
//!
//! CTA_TUPLE_ORIG       1  nest   CTA_TUPLE_REPLY 2  nest
//!   CTA_TUPLE_IP         1  nest   CTA_IP_V4_SRC 1, CTA_IP_V4_DST 2, CTA_IP_V6_SRC 3, CTA_IP_V6_DST 4
//!   CTA_TUPLE_PROTO      2  nest   CTA_PROTO_NUM 1 u8, CTA_PROTO_SRC_PORT 2 be16, CTA_PROTO_DST_PORT 3 be16
//!     CTA_PROTO_ICMP_ID 4 be16, CTA_PROTO_ICMP_TYPE 5 u8, CTA_PROTO_ICMP_CODE 6 u8; of ICMPv6 7, 8, 9
//! CTA_STATUS           3  be32   CTA_TIMEOUT 7  be32, seconds
//! CTA_PROTOINFO        4  nest   CTA_PROTOINFO_TCP 1 nest, in it CTA_PROTOINFO_TCP_STATE 1 u8
//! CTA_MARK             8  be32   CTA_MARK_MASK 21  be32, in a request
//! CTA_COUNTERS_ORIG    9  nest   CTA_COUNTERS_REPLY 10  nest; with net.netfilter.nf_conntrack_acct
//!   CTA_COUNTERS_PACKETS 1  be64   CTA_COUNTERS_BYTES 2  be64
//! CTA_ID              12  be32   CTA_ZONE 18  be16
//! CTA_FILTER          25  nest   in a request, since Linux 5.8: which fields of the tuples to compare
//!   CTA_FILTER_ORIG_FLAGS 1  u32 CTA_FILTER_REPLY_FLAGS 2  u32   in host byte order
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nfnetlink_conntrack.h`.

use std::net::IpAddr;

use super::attribute::{Attribute, Attributes, NLA_F_NESTED, Writer};
use super::message::Message;
use crate::wire::message::{NLM_F_DUMP, NLM_F_REQUEST};

const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const IPCTNL_MSG_CT_NEW: u16 = 0;
const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;
const IPCTNL_MSG_CT_GET_STATS: u16 = 5;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_TIMEOUT: u16 = 7;
const CTA_MARK: u16 = 8;
const CTA_COUNTERS_ORIG: u16 = 9;
const CTA_COUNTERS_REPLY: u16 = 10;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_MARK_MASK: u16 = 21;
const CTA_FILTER: u16 = 25;
/// The number of connections, in an answer to `IPCTNL_MSG_CT_GET_STATS`.
const CTA_STATS_GLOBAL_ENTRIES: u16 = 1;

const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_PROTO_ICMP_ID: u16 = 4;
const CTA_PROTO_ICMPV6_ID: u16 = 7;
const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_PROTOINFO_TCP_STATE: u16 = 1;
const CTA_COUNTERS_PACKETS: u16 = 1;
const CTA_COUNTERS_BYTES: u16 = 2;

const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
const CTA_FILTER_F_CTA_IP_SRC: u32 = 1;
const CTA_FILTER_F_CTA_IP_DST: u32 = 1 << 1;
const CTA_FILTER_F_CTA_PROTO_NUM: u32 = 1 << 3;
const CTA_FILTER_F_CTA_PROTO_SRC_PORT: u32 = 1 << 4;
const CTA_FILTER_F_CTA_PROTO_DST_PORT: u32 = 1 << 5;

/// The numbers of the families of entries (`AF_INET`, `AF_INET6`).
pub(crate) const IPV4: u8 = 2;
pub(crate) const IPV6: u8 = 10;
/// The family of a request for entries of all families.
pub(crate) const ANY: u8 = 0;

/// The addresses and ports of one direction of a connection. Any of them may be absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tuple {
    pub(crate) source: Option<IpAddr>,
    pub(crate) destination: Option<IpAddr>,
    pub(crate) protocol: Option<u8>,
    pub(crate) source_port: Option<u16>,
    pub(crate) destination_port: Option<u16>,
    /// The type, code and identifier of an ICMP query.
    pub(crate) icmp: Option<(u8, u8, u16)>,
}

impl Tuple {
    fn read(tuple: Attributes<'_>) -> Self {
        let ip = |kind| tuple.at([CTA_TUPLE_IP, kind]).and_then(Attribute::ip);
        let byte = |kind| tuple.at([CTA_TUPLE_PROTO, kind]).and_then(Attribute::u8);
        let port = |kind| tuple.at([CTA_TUPLE_PROTO, kind]).and_then(Attribute::u16_be);
        let icmp = |id| Some((byte(id + 1)?, byte(id + 2)?, port(id)?));
        Self {
            source: ip(CTA_IP_V4_SRC).or_else(|| ip(CTA_IP_V6_SRC)),
            destination: ip(CTA_IP_V4_DST).or_else(|| ip(CTA_IP_V6_DST)),
            protocol: byte(CTA_PROTO_NUM),
            source_port: port(CTA_PROTO_SRC_PORT),
            destination_port: port(CTA_PROTO_DST_PORT),
            icmp: icmp(CTA_PROTO_ICMP_ID).or_else(|| icmp(CTA_PROTO_ICMPV6_ID)),
        }
    }

    /// Reports whether all fields that are set in `self` are equal in `whole`.
    pub(crate) fn is_part_of(&self, whole: &Self) -> bool {
        fn holds<T: PartialEq + Copy>(part: Option<T>, whole: Option<T>) -> bool {
            part.is_none() || part == whole
        }
        holds(self.source, whole.source)
            && holds(self.destination, whole.destination)
            && holds(self.protocol, whole.protocol)
            && holds(self.source_port, whole.source_port)
            && holds(self.destination_port, whole.destination_port)
    }

    /// Returns the flags of the fields that the kernel can filter by: IPv4 addresses, and ports if
    /// the protocol is set, too. A filter by an IPv6 address is useless: the kernel leaves out
    /// exactly the matching entries (`ctnetlink_filter_match_tuple`, seen on 6.18).
    fn flags(&self) -> u32 {
        let flag = |is: bool, flag| if is { flag } else { 0 };
        let is_v4 = |address: Option<IpAddr>| address.is_some_and(|address| address.is_ipv4());
        let ports = self.protocol.is_some();
        flag(is_v4(self.source), CTA_FILTER_F_CTA_IP_SRC)
            | flag(is_v4(self.destination), CTA_FILTER_F_CTA_IP_DST)
            | flag(ports, CTA_FILTER_F_CTA_PROTO_NUM)
            | flag(ports && self.source_port.is_some(), CTA_FILTER_F_CTA_PROTO_SRC_PORT)
            | flag(ports && self.destination_port.is_some(), CTA_FILTER_F_CTA_PROTO_DST_PORT)
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        let address = |out: &mut Writer<'_>, (v4, v6), address: Option<IpAddr>| {
            if let Some(address) = address {
                out.ip(if address.is_ipv4() { v4 } else { v6 }, address);
            }
        };
        out.nested(kind, |tuple| {
            if self.source.is_some() || self.destination.is_some() {
                tuple.nested(CTA_TUPLE_IP, |ip| {
                    address(ip, (CTA_IP_V4_SRC, CTA_IP_V6_SRC), self.source);
                    address(ip, (CTA_IP_V4_DST, CTA_IP_V6_DST), self.destination);
                });
            }
            let Some(number) = self.protocol else { return };
            tuple.nested(CTA_TUPLE_PROTO, |protocol| {
                protocol.u8(CTA_PROTO_NUM, number);
                if let Some(port) = self.source_port {
                    protocol.u16_be(CTA_PROTO_SRC_PORT, port);
                }
                if let Some(port) = self.destination_port {
                    protocol.u16_be(CTA_PROTO_DST_PORT, port);
                }
            });
        });
    }
}

/// A listed entry, with the attributes that identify it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) original: Tuple,
    pub(crate) reply: Tuple,
    pub(crate) status: u32,
    /// The seconds until the entry expires; `None` if the entry is being deleted.
    pub(crate) timeout: Option<u32>,
    pub(crate) tcp_state: Option<u8>,
    pub(crate) mark: u32,
    pub(crate) zone: u16,
    /// The packets and bytes of the original and the reply direction.
    pub(crate) counters: [Option<(u64, u64)>; 2],
    family: u8,
    attributes: Attributes<'a>,
}

impl<'a> Entry<'a> {
    pub(crate) fn read(message: Message<'a>) -> Option<Self> {
        let is_new = message.kind == NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;
        if is_new { Self::of(message) } else { None }
    }

    /// Reads the entry of a notification, and reports whether the kernel deleted the entry.
    pub(crate) fn read_notification(message: Message<'a>) -> Option<(Self, bool)> {
        let is_deleted = message.kind == NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
        let entry = if is_deleted { Self::of(message) } else { Self::read(message) };
        Some((entry?, is_deleted))
    }

    fn of(message: Message<'a>) -> Option<Self> {
        let (&[family, ..], attributes) = message.split::<4>()?;
        let tuple = |kind| Some(Tuple::read(attributes.get(kind)?.nested()));
        let number = |kind| attributes.get(kind).and_then(Attribute::u32_be);
        let state = attributes.at([CTA_PROTOINFO, CTA_PROTOINFO_TCP, CTA_PROTOINFO_TCP_STATE]);
        let count = |direction, kind| attributes.at([direction, kind])?.u64_be();
        let counter = |direction| {
            Some((count(direction, CTA_COUNTERS_PACKETS)?, count(direction, CTA_COUNTERS_BYTES)?))
        };
        Some(Self {
            original: tuple(CTA_TUPLE_ORIG)?,
            reply: tuple(CTA_TUPLE_REPLY).unwrap_or_default(),
            status: number(CTA_STATUS).unwrap_or(0),
            timeout: number(CTA_TIMEOUT),
            tcp_state: state.and_then(Attribute::u8),
            mark: number(CTA_MARK).unwrap_or(0),
            zone: attributes.get(CTA_ZONE).and_then(Attribute::u16_be).unwrap_or(0),
            counters: [CTA_COUNTERS_ORIG, CTA_COUNTERS_REPLY].map(counter),
            family,
            attributes,
        })
    }

    /// Appends the request to delete exactly this entry, identified by its tuple, zone and id. An
    /// entry that replaced it has another id and is not deleted.
    pub(crate) fn append_delete(self, out: &mut Vec<u8>) {
        frame(out, IPCTNL_MSG_CT_DELETE, 0, self.family, |request| {
            for kind in [CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE] {
                if let Some(attribute) = self.attributes.get(kind) {
                    let nested = if kind == CTA_TUPLE_ORIG { NLA_F_NESTED } else { 0 };
                    request.bytes(kind | nested, attribute.value);
                }
            }
        });
    }
}

/// The filter of a list of entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) original: Tuple,
    pub(crate) reply: Tuple,
    /// The mark, and the mask of the bits to compare.
    pub(crate) mark: Option<(u32, u32)>,
}

/// Appends the request for a list. The kernel filters by addresses and protocols only within one
/// family, and never by zone.
pub(crate) fn append_list(out: &mut Vec<u8>, family: u8, filter: &Filter) {
    frame(out, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family, |request| {
        if let Some((mark, mask)) = filter.mark {
            request.u32_be(CTA_MARK, mark);
            request.u32_be(CTA_MARK_MASK, mask);
        }
        let flags = (filter.original.flags(), filter.reply.flags());
        if family == ANY || flags == (0, 0) {
            return;
        }
        if flags.0 != 0 {
            filter.original.write(request, CTA_TUPLE_ORIG);
        }
        if flags.1 != 0 {
            filter.reply.write(request, CTA_TUPLE_REPLY);
        }
        request.nested(CTA_FILTER, |nest| {
            nest.u32(CTA_FILTER_ORIG_FLAGS, flags.0);
            nest.u32(CTA_FILTER_REPLY_FLAGS, flags.1);
        });
    });
}

/// Appends a request for the number of connections.
pub(crate) fn append_count(out: &mut Vec<u8>) {
    frame(out, IPCTNL_MSG_CT_GET_STATS, 0, ANY, |_| ());
}

/// Reads the answer to [`append_count`].
pub(crate) fn read_count(message: Message<'_>) -> Option<u32> {
    let (_, attributes) = message.split::<4>()?;
    attributes.get(CTA_STATS_GLOBAL_ENTRIES)?.u32_be()
}

/// Appends a request with its headers. The batch fills in the length and the sequence number.
fn frame(out: &mut Vec<u8>, kind: u16, flags: u16, family: u8, fill: impl FnOnce(&mut Writer<'_>)) {
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(NFNL_SUBSYS_CTNETLINK << 8 | kind).to_ne_bytes());
    out.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&[family, 0, 0, 0]);
    fill(&mut Writer::new(out));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::hex;
    use std::net::Ipv4Addr;

    /// The kernel's answer to `conntrack -L -o extended,id`, from the nfgenmsg on:
    ///
    /// ```text
    /// udp 17 29 src=127.0.0.1 dst=127.0.0.1 sport=4000 dport=5354 [UNREPLIED]
    ///     src=127.0.0.1 dst=127.0.0.1 sport=5355 dport=4000 mark=0 use=1 id=2736903228
    /// ```
    const DNATED_UDP: &str = "02000000
        34000180 14000180 08000100 7f000001 08000200 7f000001
                 1c000280 05000100 11000000 06000200 0fa00000 06000300 14ea0000
        34000280 14000180 08000100 7f000001 08000200 7f000001
                 1c000280 05000100 11000000 06000200 14eb0000 06000300 0fa00000
        08000300 000001a8 08000800 00000000 08000c00 a321d43c 08000b00 00000001 08000700 0000001d";

    /// `icmp 1 29 src=127.0.0.1 dst=127.0.0.1 type=8 code=0 id=28833 packets=1 bytes=84 …`
    const COUNTED_PING: &str = "02000000
        3c000180 14000180 08000100 7f000001 08000200 7f000001
                 24000280 05000100 01000000 06000400 70a10000 05000500 08000000 05000600 00000000
        08000300 0000018a 1c000980 0c000100 00000000 00000001 0c000200 00000000 00000054";

    fn entry(payload: &[u8]) -> Option<Entry<'_>> {
        Entry::read(Message { kind: 0x0100, flags: 2, sequence: 1, payload })
    }

    fn tuple(source_port: u16, destination_port: u16) -> Tuple {
        Tuple {
            source: Some(Ipv4Addr::LOCALHOST.into()),
            destination: Some(Ipv4Addr::LOCALHOST.into()),
            protocol: Some(17),
            source_port: Some(source_port),
            destination_port: Some(destination_port),
            icmp: None,
        }
    }

    #[test]
    fn an_entry_is_read_as_conntrack_prints_it() {
        let bytes = hex(DNATED_UDP);
        let read = entry(&bytes).unwrap();
        assert_eq!((read.original, read.reply), (tuple(4000, 5354), tuple(5355, 4000)));
        let id = read.attributes.get(CTA_ID).and_then(Attribute::u32_be);
        assert_eq!((id, read.timeout), (Some(2_736_903_228), Some(29)));
        assert_eq!((read.mark, read.zone, read.counters), (0, 0, [None; 2]));
        assert_eq!(read.status, 0x1a8, "DNAT done, source NAT done, confirmed, destination NAT");

        let bytes = hex(COUNTED_PING);
        let ping = entry(&bytes).unwrap();
        assert_eq!((ping.original.protocol, ping.original.source_port), (Some(1), None));
        assert_eq!(ping.original.icmp, Some((8, 0, 28_833)));
        assert_eq!((ping.counters, ping.timeout), ([Some((1, 84)), None], None));
    }

    #[test]
    fn no_bytes_make_reading_fail() {
        let look = |bytes: &[u8]| {
            if let Some(entry) = entry(bytes) {
                entry.append_delete(&mut Vec::new());
            }
        };
        for text in [DNATED_UDP, COUNTED_PING] {
            let mut bytes = hex(text);
            for length in 0..bytes.len() {
                look(&bytes[..length]);
            }
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                look(&bytes);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn one_entry_is_deleted_as_conntrack_does_with_its_number_as_well() {
        let bytes = hex(DNATED_UDP);
        let mut out = Vec::new();
        entry(&bytes).unwrap().append_delete(&mut out);
        // strace -e trace=sendto -e write=all conntrack -D -p udp --orig-port-dst 5354. conntrack
        // also sends the reply tuple, the status and the timeout, which the kernel ignores.
        assert_eq!(
            out,
            hex("00000000 02010100 00000000 00000000 02000000
                 34000180 14000180 08000100 7f000001 08000200 7f000001
                          1c000280 05000100 11000000 06000200 0fa00000 06000300 14ea0000
                 08000c00 a321d43c")
        );
    }

    #[test]
    fn a_list_is_asked_for_as_conntrack_does() {
        let list = |family, filter| {
            let mut out = Vec::new();
            append_list(&mut out, family, &filter);
            out[4..].to_vec()
        };
        // conntrack -L -f ipv4
        let all = list(IPV4, Filter::default());
        assert_eq!(all, hex("01010103 00000000 00000000 02000000"));
        // conntrack -L -f ipv4 -m 1
        let marked = list(IPV4, Filter { mark: Some((1, u32::MAX)), ..Filter::default() });
        assert_eq!(
            marked,
            hex("01010103 00000000 00000000 02000000 08000800 00000001 08001500 ffffffff")
        );
        // conntrack can't filter by tuples. A test with real entries covers the kernel's filter.
        let original = Tuple { source: None, source_port: None, ..tuple(0, 53) };
        let filtered = list(IPV4, Filter { original, ..Filter::default() });
        assert_eq!(
            filtered[16..],
            [
                hex("24000180 0c000180 08000200 7f000001
                     14000280 05000100 11000000 06000300 00350000"),
                hex("14001980 08000100"),
                (2_u32 | 1 << 3 | 1 << 5).to_ne_bytes().to_vec(),
                hex("08000200 00000000"),
            ]
            .concat()
        );
        let any = list(ANY, Filter { original, ..Filter::default() });
        assert_eq!(
            any,
            hex("01010103 00000000 00000000 00000000"),
            "a request without a family has no tuples"
        );
    }

    type Parts = ([Option<[u8; 16]>; 2], Option<u8>, [Option<u16>; 2]);

    fn tuple_of((addresses, protocol, ports): Parts, ipv6: bool) -> Tuple {
        let [source, destination] = addresses.map(|bytes| {
            let bytes = bytes?;
            let [a, b, c, d, ..] = bytes;
            Some(if ipv6 { IpAddr::from(bytes) } else { IpAddr::from([a, b, c, d]) })
        });
        let [source_port, destination_port] = ports;
        Tuple { source, destination, protocol, source_port, destination_port, icmp: None }
    }

    proptest::proptest! {
        /// A request has exactly the fields that the kernel filters by.
        #[test]
        fn whatever_is_asked_for_reads_back(
            parts: [Parts; 2],
            ipv6: bool,
            mark: Option<(u32, u32)>,
        ) {
            let [original, reply] = parts.map(|parts| tuple_of(parts, ipv6));
            let family = if ipv6 { IPV6 } else { IPV4 };
            let mut out = Vec::new();
            append_list(&mut out, family, &Filter { original, reply, mark });
            let message = Message { kind: 0x0100, flags: 0, sequence: 0, payload: &out[16..] };
            let attributes = message.split::<4>().unwrap().1;
            let number = |kind| attributes.get(kind).and_then(Attribute::u32_be);
            assert_eq!(out[16], family);
            assert_eq!(number(CTA_MARK), mark.map(|mark| mark.0));
            assert_eq!(number(CTA_MARK_MASK), mark.map(|mark| mark.1));
            for (asked, tuple, kind) in [
                (original, CTA_TUPLE_ORIG, CTA_FILTER_ORIG_FLAGS),
                (reply, CTA_TUPLE_REPLY, CTA_FILTER_REPLY_FLAGS),
            ] {
                let flags = attributes.at([CTA_FILTER, kind]).and_then(Attribute::u32).unwrap_or(0);
                let read = attributes.get(tuple).map(Attribute::nested).map(Tuple::read);
                let read = read.unwrap_or_default();
                assert_eq!(flags, asked.flags());
                assert_eq!(read.flags(), flags, "every flagged field is present");
                assert!(read.is_part_of(&asked), "{read:?}");
            }
        }
    }
}
