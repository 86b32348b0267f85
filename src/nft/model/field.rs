//! Fields: what of a packet, or of what is known about it, a rule looks at.

use std::fmt;

use super::numgen::Numgen;
use super::types::Type;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::ct::{Ct, CtKey};
use crate::wire::nft::expr::fib::{Fib, FibFlags, FibResult};
use crate::wire::nft::expr::meta::{Meta, MetaKey};
use crate::wire::nft::expr::payload::{Payload, PayloadBase};
use crate::wire::nft::expr::socket::{Socket, SocketKey};
use crate::wire::nft::register::Register;

/// What a rule looks at, and what sets and maps are looked up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Field {
    /// `ip saddr`.
    Ip4Source,
    /// `ip daddr`.
    Ip4Destination,
    /// `ip6 saddr`.
    Ip6Source,
    /// `ip6 daddr`.
    Ip6Destination,
    /// `tcp sport`, `udp sport`: of the protocol the rule is about.
    SourcePort,
    /// `tcp dport`, `udp dport`: of the protocol the rule is about.
    DestinationPort,
    /// `tcp flags`.
    TcpFlags,
    /// `icmp type`.
    IcmpType,
    /// `icmpv6 type`.
    Icmpv6Type,
    /// `icmpv6 taddr`: whom neighbour solicitations, their answers and redirects are about.
    Icmpv6Target,
    /// `ether saddr`.
    MacSource,
    /// `ether daddr`.
    MacDestination,
    /// `ether type`.
    EtherType,
    /// `arp operation`: request 1, reply 2.
    ArpOperation,
    /// `arp saddr ether`.
    ArpMacSource,
    /// `arp saddr ip`.
    ArpIpSource,
    /// `arp daddr ip`.
    ArpIpDestination,
    /// `meta l4proto`.
    Protocol,
    /// `meta nfproto`: IPv4 2, IPv6 10.
    NetfilterProtocol,
    /// `meta protocol`: of the frame, IPv4 0x0800.
    LinkProtocol,
    /// `iif`: the link a packet came in by, as an index.
    Iif,
    /// `oif`: the link a packet leaves by, as an index.
    Oif,
    /// `iifname`.
    Iifname,
    /// `oifname`.
    Oifname,
    /// `iiftype`: Ethernet 1.
    Iiftype,
    /// `meta mark`.
    Mark,
    /// `meta pkttype`: to this machine 0, broadcast 1, multicast 2.
    PacketType,
    /// `ct state`.
    CtState,
    /// `ct status`.
    CtStatus,
    /// `ct mark`.
    CtMark,
    /// `ct direction`: original 0, reply 1.
    CtDirection,
    /// `ct original ip daddr`: before its destination was translated.
    CtOriginalIp4Destination,
    /// `ct original proto-dst`: before its destination was translated.
    CtOriginalDestinationPort,
    /// `fib saddr type`.
    SourceAddressType,
    /// `fib daddr type`: local 2, broadcast 3, multicast 5.
    DestinationAddressType,
    /// `socket transparent`: whether the packet is one of a local socket that is transparent.
    SocketTransparent,
    /// `socket mark`: of the local socket.
    SocketMark,
    /// `socket wildcard`: whether that is bound to no address of its own. Since Linux 5.10.
    SocketWildcard,
    /// `numgen`, `jhash`, `symhash`: a number by which packets are spread.
    Numgen(Numgen),
}

/// What has to be known of a packet before a field can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    Network(Network),
    /// Any protocol with ports.
    Ports,
    Protocol(u8),
    /// That, in this network protocol.
    ProtocolIn(Network, u8),
    Ethernet,
}

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Network {
    Ip4,
    Ip6,
    Arp,
}

impl Network {
    pub(crate) const ALL: [Self; 3] = [Self::Ip4, Self::Ip6, Self::Arp];

    /// `ETH_P_*`.
    pub(crate) fn ether_type(self) -> u16 {
        match self {
            Self::Ip4 => 0x0800,
            Self::Ip6 => 0x86dd,
            Self::Arp => 0x0806,
        }
    }

    /// `NFPROTO_*`.
    pub(crate) fn netfilter_protocol(self) -> u8 {
        match self {
            Self::Ip4 => 2,
            Self::Arp => 3,
            Self::Ip6 => 10,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip4 => "IPv4",
            Self::Ip6 => "IPv6",
            Self::Arp => "ARP",
        })
    }
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const ICMPV6: u8 = 58;

/// Where a field comes from.
enum Source {
    Packet(PayloadBase, u32),
    Meta(MetaKey),
    Ct(CtKey, Option<crate::wire::nft::expr::ct::Direction>),
    Fib(FibFlags),
    Socket(SocketKey),
    Numgen(Numgen),
}

impl Field {
    pub(crate) const ALL: [Self; 38] = [
        Self::Ip4Source,
        Self::Ip4Destination,
        Self::Ip6Source,
        Self::Ip6Destination,
        Self::SourcePort,
        Self::DestinationPort,
        Self::TcpFlags,
        Self::IcmpType,
        Self::Icmpv6Type,
        Self::MacSource,
        Self::MacDestination,
        Self::EtherType,
        Self::ArpOperation,
        Self::ArpMacSource,
        Self::ArpIpSource,
        Self::ArpIpDestination,
        Self::Protocol,
        Self::NetfilterProtocol,
        Self::LinkProtocol,
        Self::Iif,
        Self::Oif,
        Self::Iifname,
        Self::Oifname,
        Self::Iiftype,
        Self::Mark,
        Self::PacketType,
        Self::CtState,
        Self::CtStatus,
        Self::CtMark,
        Self::CtDirection,
        Self::CtOriginalIp4Destination,
        Self::CtOriginalDestinationPort,
        Self::SourceAddressType,
        Self::DestinationAddressType,
        Self::SocketTransparent,
        Self::SocketMark,
        Self::SocketWildcard,
        Self::Icmpv6Target,
    ];

    /// Words of `nft`, type, source, and what has to be known first.
    fn facts(self) -> (&'static str, Type, Source, Needs) {
        use crate::wire::nft::expr::ct::Direction::Original;
        use PayloadBase::{LinkLayer, Network as Header, Transport};
        let ip4 = Needs::Network(Network::Ip4);
        let ip6 = Needs::Network(Network::Ip6);
        let arp = Needs::Network(Network::Arp);
        let packet = Source::Packet;
        let meta = |key| Source::Meta(key);
        let ct = |key| Source::Ct(key, None);
        let original = |key| Source::Ct(key, Some(Original));
        let none = Needs::Nothing;
        match self {
            Self::Ip4Source => ("ip saddr", Type::Ipv4, packet(Header, 12), ip4),
            Self::Ip4Destination => ("ip daddr", Type::Ipv4, packet(Header, 16), ip4),
            Self::Ip6Source => ("ip6 saddr", Type::Ipv6, packet(Header, 8), ip6),
            Self::Ip6Destination => ("ip6 daddr", Type::Ipv6, packet(Header, 24), ip6),
            Self::SourcePort => ("th sport", Type::Port, packet(Transport, 0), Needs::Ports),
            Self::DestinationPort => ("th dport", Type::Port, packet(Transport, 2), Needs::Ports),
            Self::TcpFlags => {
                ("tcp flags", Type::TcpFlags, packet(Transport, 13), Needs::Protocol(TCP))
            }
            Self::IcmpType => {
                let needs = Needs::ProtocolIn(Network::Ip4, ICMP);
                ("icmp type", Type::IcmpType, packet(Transport, 0), needs)
            }
            Self::Icmpv6Type => {
                let needs = Needs::ProtocolIn(Network::Ip6, ICMPV6);
                ("icmpv6 type", Type::Icmpv6Type, packet(Transport, 0), needs)
            }
            Self::Icmpv6Target => {
                let needs = Needs::ProtocolIn(Network::Ip6, ICMPV6);
                ("icmpv6 taddr", Type::Ipv6, packet(Transport, 8), needs)
            }
            Self::MacSource => ("ether saddr", Type::Mac, packet(LinkLayer, 6), Needs::Ethernet),
            Self::MacDestination => {
                ("ether daddr", Type::Mac, packet(LinkLayer, 0), Needs::Ethernet)
            }
            Self::EtherType => {
                ("ether type", Type::EtherType, packet(LinkLayer, 12), Needs::Ethernet)
            }
            Self::ArpOperation => ("arp operation", Type::ArpOperation, packet(Header, 6), arp),
            Self::ArpMacSource => ("arp saddr ether", Type::Mac, packet(Header, 8), arp),
            Self::ArpIpSource => ("arp saddr ip", Type::Ipv4, packet(Header, 14), arp),
            Self::ArpIpDestination => ("arp daddr ip", Type::Ipv4, packet(Header, 24), arp),
            Self::Protocol => ("meta l4proto", Type::Protocol, meta(MetaKey::Layer4Protocol), none),
            Self::NetfilterProtocol => {
                let key = meta(MetaKey::NetfilterProtocol);
                ("meta nfproto", Type::NetfilterProtocol, key, none)
            }
            Self::LinkProtocol => ("meta protocol", Type::EtherType, meta(MetaKey::Protocol), none),
            Self::Iif => ("iif", Type::LinkIndex, meta(MetaKey::InputIndex), none),
            Self::Oif => ("oif", Type::LinkIndex, meta(MetaKey::OutputIndex), none),
            Self::Iifname => ("iifname", Type::LinkName, meta(MetaKey::InputName), none),
            Self::Oifname => ("oifname", Type::LinkName, meta(MetaKey::OutputName), none),
            Self::Iiftype => ("iiftype", Type::LinkType, meta(MetaKey::InputType), none),
            Self::Mark => ("meta mark", Type::Mark, meta(MetaKey::Mark), none),
            Self::PacketType => ("meta pkttype", Type::PacketType, meta(MetaKey::PacketType), none),
            Self::CtState => ("ct state", Type::CtState, ct(CtKey::State), none),
            Self::CtStatus => ("ct status", Type::CtStatus, ct(CtKey::Status), none),
            Self::CtMark => ("ct mark", Type::Mark, ct(CtKey::Mark), none),
            Self::CtDirection => ("ct direction", Type::CtDirection, ct(CtKey::Direction), none),
            Self::CtOriginalIp4Destination => {
                ("ct original ip daddr", Type::Ipv4, original(CtKey::DestinationIp), none)
            }
            Self::CtOriginalDestinationPort => {
                ("ct original proto-dst", Type::Port, original(CtKey::DestinationPort), none)
            }
            Self::SourceAddressType => {
                ("fib saddr type", Type::AddressType, Source::Fib(FibFlags::SOURCE), none)
            }
            Self::DestinationAddressType => {
                ("fib daddr type", Type::AddressType, Source::Fib(FibFlags::DESTINATION), none)
            }
            Self::SocketTransparent => {
                let key = Source::Socket(SocketKey::Transparent);
                ("socket transparent", Type::Boolean, key, none)
            }
            Self::SocketMark => ("socket mark", Type::Mark, Source::Socket(SocketKey::Mark), none),
            Self::SocketWildcard => {
                ("socket wildcard", Type::Boolean, Source::Socket(SocketKey::Wildcard), none)
            }
            Self::Numgen(number) => ("numgen", Type::Number, Source::Numgen(number), none),
        }
    }

    /// What its values are.
    pub fn value_type(self) -> Type {
        self.facts().1
    }

    pub(crate) fn needs(self) -> Needs {
        self.facts().3
    }

    /// Itself; of a hash the fields that it is of.
    pub(crate) fn loaded(self) -> Vec<Self> {
        match self {
            Self::Numgen(number) => number.fields(),
            known => vec![known],
        }
    }

    /// Loads it whole.
    pub(crate) fn load(self, register: Register) -> Expr {
        self.load_first(register, self.value_type().len())
    }

    /// Loads its first bytes, where it lies in the packet; else the whole.
    pub(crate) fn load_first(self, dreg: Register, length: u32) -> Expr {
        match self.facts().2 {
            Source::Packet(base, offset) => Payload::load(dreg, base, offset, length).into(),
            Source::Meta(key) => Meta::Load { dreg, key }.into(),
            Source::Ct(key, direction) => Ct::Load { dreg, key, direction }.into(),
            Source::Numgen(number) => number.load(dreg),
            Source::Socket(key) => Socket { key, dreg, level: 0 }.into(),
            Source::Fib(flags) => Fib { dreg, result: FibResult::AddressType, flags }.into(),
        }
    }

    pub(crate) fn is_in_packet(self) -> bool {
        matches!(self.facts().2, Source::Packet(..))
    }
}

/// In the words of `nft`.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numgen(number) => write!(f, "{number}"),
            known => f.write_str(known.facts().0),
        }
    }
}
