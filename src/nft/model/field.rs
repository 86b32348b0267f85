//! Fields: the parts of a packet and of its metadata that rules compare and look up.
//!
//! A new field is one line of the table: its name in `nft`, its type, where it is loaded from, and
//! what the rule must know about the packet first.

use std::fmt;

use super::element::join;
use super::network::Network::{self, Arp, Ip4, Ip6};
use super::numgen::Numgen;
use super::types::{Type, total};
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::ct::Direction::{self, Original};
use crate::wire::nft::expr::ct::{Ct, CtKey};
use crate::wire::nft::expr::fib::{Fib, FibFlags, FibResult};
use crate::wire::nft::expr::meta::{Meta, MetaKey};
use crate::wire::nft::expr::payload::Payload;
use crate::wire::nft::expr::payload::PayloadBase::{self, LinkLayer, Network as Header, Transport};
use crate::wire::nft::expr::socket::{Socket, SocketKey};
use crate::wire::nft::register::Register;

const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
const ICMPV6: u8 = 58;

/// The facts about a packet that a rule must establish before it reads a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    Network(Network),
    /// A transport protocol with ports.
    Ports,
    /// Exactly one transport protocol with ports, which `nft` needs to list this field.
    OneWithPorts,
    Protocol(u8),
    /// The transport protocol with this number, in this network protocol.
    ProtocolIn(Network, u8),
    Ethernet,
}

/// The source that a field is loaded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A header, and the offset in bytes.
    Packet(PayloadBase, u32),
    Meta(MetaKey),
    Ct(CtKey, Option<Direction>),
    /// The type of an address in the routing table.
    Fib(FibFlags),
    Socket(SocketKey),
    Numgen(Numgen),
}

struct Facts {
    words: &'static str,
    value_type: Type,
    source: Source,
    needs: Needs,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $field:ident = $words:literal: $type:ident, $source:expr, $needs:expr;)*) => {
        /// A field that rules compare or look up in sets and maps.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Field {
            $($(#[$doc])* $field,)*
            /// `numgen`, `jhash`, `symhash`: a number computed for each packet.
            Numgen(Numgen),
        }

        impl Field {
            /// All fields except `Numgen`.
            const ALL: &[Self] = &[$(Self::$field),*];

            fn facts(self) -> Facts {
                let (words, value_type, source, needs) = match self {
                    $(Self::$field => ($words, Type::$type, $source, $needs),)*
                    Self::Numgen(number) => {
                        ("numgen", Type::Number, Source::Numgen(number), Needs::Nothing)
                    }
                };
                Facts { words, value_type, source, needs }
            }
        }
    };
}

fields! {
    /// `ip saddr`.
    Ip4Source = "ip saddr": Ipv4, Source::Packet(Header, 12), Needs::Network(Ip4);
    /// `ip daddr`.
    Ip4Destination = "ip daddr": Ipv4, Source::Packet(Header, 16), Needs::Network(Ip4);
    /// `ip6 saddr`.
    Ip6Source = "ip6 saddr": Ipv6, Source::Packet(Header, 8), Needs::Network(Ip6);
    /// `ip6 daddr`.
    Ip6Destination = "ip6 daddr": Ipv6, Source::Packet(Header, 24), Needs::Network(Ip6);
    /// `th sport`: the source port, of any protocol with ports.
    SourcePort = "th sport": Port, Source::Packet(Transport, 0), Needs::Ports;
    /// `th dport`: the destination port, of any protocol with ports.
    DestinationPort = "th dport": Port, Source::Packet(Transport, 2), Needs::Ports;
    /// `tcp flags`.
    TcpFlags = "tcp flags": TcpFlags, Source::Packet(Transport, 13), Needs::Protocol(TCP);
    /// `icmp type`.
    IcmpType = "icmp type": IcmpType, Source::Packet(Transport, 0), Needs::ProtocolIn(Ip4, ICMP);
    /// `icmp code`: the reason within the type, as in an error of type 3 (destination unreachable).
    IcmpCode = "icmp code": IcmpCode, Source::Packet(Transport, 1), Needs::ProtocolIn(Ip4, ICMP);
    /// `icmpv6 type`.
    Icmpv6Type = "icmpv6 type": Icmpv6Type, Source::Packet(Transport, 0), Needs::ProtocolIn(Ip6, ICMPV6);
    /// `icmpv6 taddr`: the address that a neighbour solicitation, advertisement or redirect is
    /// about.
    Icmpv6Target = "icmpv6 taddr": Ipv6, Source::Packet(Transport, 8), Needs::ProtocolIn(Ip6, ICMPV6);
    /// `ether saddr`.
    MacSource = "ether saddr": Mac, Source::Packet(LinkLayer, 6), Needs::Ethernet;
    /// `ether daddr`.
    MacDestination = "ether daddr": Mac, Source::Packet(LinkLayer, 0), Needs::Ethernet;
    /// `ether type`.
    EtherType = "ether type": EtherType, Source::Packet(LinkLayer, 12), Needs::Ethernet;
    /// `arp operation`: request 1, reply 2.
    ArpOperation = "arp operation": ArpOperation, Source::Packet(Header, 6), Needs::Network(Arp);
    /// `arp saddr ether`.
    ArpMacSource = "arp saddr ether": Mac, Source::Packet(Header, 8), Needs::Network(Arp);
    /// `arp saddr ip`.
    ArpIpSource = "arp saddr ip": Ipv4, Source::Packet(Header, 14), Needs::Network(Arp);
    /// `arp daddr ip`.
    ArpIpDestination = "arp daddr ip": Ipv4, Source::Packet(Header, 24), Needs::Network(Arp);
    /// `meta l4proto`.
    Protocol = "meta l4proto": Protocol, Source::Meta(MetaKey::Layer4Protocol), Needs::Nothing;
    /// `meta nfproto`: IPv4 2, IPv6 10.
    NetfilterProtocol = "meta nfproto": NetfilterProtocol, Source::Meta(MetaKey::NetfilterProtocol), Needs::Nothing;
    /// `meta protocol`: the protocol in the frame, IPv4 0x0800.
    LinkProtocol = "meta protocol": EtherType, Source::Meta(MetaKey::Protocol), Needs::Nothing;
    /// `iif`: the index of the link by which a packet arrived.
    Iif = "iif": LinkIndex, Source::Meta(MetaKey::InputIndex), Needs::Nothing;
    /// `oif`: the index of the link by which a packet leaves.
    Oif = "oif": LinkIndex, Source::Meta(MetaKey::OutputIndex), Needs::Nothing;
    /// `iifname`.
    Iifname = "iifname": LinkName, Source::Meta(MetaKey::InputName), Needs::Nothing;
    /// `oifname`.
    Oifname = "oifname": LinkName, Source::Meta(MetaKey::OutputName), Needs::Nothing;
    /// `iiftype`: Ethernet 1.
    Iiftype = "iiftype": LinkType, Source::Meta(MetaKey::InputType), Needs::Nothing;
    /// `meta mark`.
    Mark = "meta mark": Mark, Source::Meta(MetaKey::Mark), Needs::Nothing;
    /// `meta pkttype`: to this machine 0, broadcast 1, multicast 2.
    PacketType = "meta pkttype": PacketType, Source::Meta(MetaKey::PacketType), Needs::Nothing;
    /// `ct state`.
    CtState = "ct state": CtState, Source::Ct(CtKey::State, None), Needs::Nothing;
    /// `ct status`.
    CtStatus = "ct status": CtStatus, Source::Ct(CtKey::Status, None), Needs::Nothing;
    /// `ct mark`.
    CtMark = "ct mark": Mark, Source::Ct(CtKey::Mark, None), Needs::Nothing;
    /// `ct direction`: original 0, reply 1.
    CtDirection = "ct direction": CtDirection, Source::Ct(CtKey::Direction, None), Needs::Nothing;
    /// `ct original ip daddr`: the destination before DNAT.
    CtOriginalIp4Destination = "ct original ip daddr": Ipv4, Source::Ct(CtKey::DestinationIp, Some(Original)), Needs::Nothing;
    /// `ct original proto-dst`: the destination port before DNAT, of one protocol with ports.
    CtOriginalDestinationPort = "ct original proto-dst": Port, Source::Ct(CtKey::DestinationPort, Some(Original)), Needs::OneWithPorts;
    /// `fib saddr type`.
    SourceAddressType = "fib saddr type": AddressType, Source::Fib(FibFlags::SOURCE), Needs::Nothing;
    /// `fib daddr type`: local 2, broadcast 3, multicast 5.
    DestinationAddressType = "fib daddr type": AddressType, Source::Fib(FibFlags::DESTINATION), Needs::Nothing;
    /// `socket transparent`: 1 if the packet belongs to a local transparent socket.
    SocketTransparent = "socket transparent": Boolean, Source::Socket(SocketKey::Transparent), Needs::Nothing;
    /// `socket mark`: the mark of the local socket.
    SocketMark = "socket mark": Mark, Source::Socket(SocketKey::Mark), Needs::Nothing;
    /// `socket wildcard`: 1 if the local socket is bound to any address. Since Linux 5.10.
    SocketWildcard = "socket wildcard": Boolean, Source::Socket(SocketKey::Wildcard), Needs::Nothing;
}

impl Field {
    /// Returns the type of the field's values.
    pub fn value_type(self) -> Type {
        self.facts().value_type
    }

    pub(crate) fn needs(self) -> Needs {
        self.facts().needs
    }

    /// Returns the packet's fields that this field depends on: the hashed fields of a hash,
    /// otherwise itself.
    pub(crate) fn read_fields(self) -> Vec<Self> {
        match self {
            Self::Numgen(number) => number.fields(),
            plain => vec![plain],
        }
    }

    /// Returns the expression that loads the whole field.
    pub(crate) fn load(self, register: Register) -> Expr {
        self.load_first(register, self.value_type().len())
    }

    /// Returns the expression that loads the first `length` bytes of a header field. Other fields
    /// are always loaded whole.
    pub(crate) fn load_first(self, dreg: Register, length: u32) -> Expr {
        match self.facts().source {
            Source::Packet(base, offset) => Payload::load(dreg, base, offset, length).into(),
            Source::Meta(key) => Meta::Load { dreg, key }.into(),
            Source::Ct(key, direction) => Ct::Load { dreg, key, direction }.into(),
            Source::Numgen(number) => {
                let types: Vec<_> = number.fields().into_iter().map(Self::value_type).collect();
                number.load(dreg, total(&types))
            }
            Source::Socket(key) => Socket { key, dreg, level: 0 }.into(),
            Source::Fib(flags) => Fib { dreg, result: FibResult::AddressType, flags }.into(),
        }
    }

    /// Returns the field that an expression loads, the register, and the length in bytes. If
    /// several fields have the same source, `fits` chooses.
    pub(crate) fn loaded_by(
        expr: &Expr,
        fits: impl Fn(Self, u32) -> bool,
    ) -> Option<(Self, Register, u32)> {
        let (source, register, length) = match *expr {
            Expr::Payload(Payload::Load { dreg, span }) => {
                (Source::Packet(span.base, span.offset), dreg, Some(span.len))
            }
            Expr::Meta(Meta::Load { dreg, key }) => (Source::Meta(key), dreg, None),
            Expr::Ct(Ct::Load { dreg, key, direction }) => (Source::Ct(key, direction), dreg, None),
            Expr::Socket(Socket { key, dreg, level: 0 }) => (Source::Socket(key), dreg, None),
            Expr::Fib(Fib { dreg, result: FibResult::AddressType, flags }) => {
                (Source::Fib(flags), dreg, None)
            }
            _ => return None,
        };
        Self::ALL.iter().find_map(|&field| {
            let facts = field.facts();
            if facts.source != source {
                return None;
            }
            let length = length.unwrap_or_else(|| facts.value_type.len());
            fits(field, length).then_some((field, register, length))
        })
    }
}

impl From<Numgen> for Field {
    fn from(number: Numgen) -> Self {
        Self::Numgen(number)
    }
}

/// Formats the value as `nft` does.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numgen(number) => write!(f, "{number}"),
            plain => f.write_str(plain.facts().words),
        }
    }
}

impl Numgen {
    /// Returns a hash of these fields, five at most: the same number for the same values.
    #[doc(alias = "NFT_HASH_JENKINS")]
    pub fn jhash(fields: impl IntoIterator<Item = Field>, modulus: u32) -> Self {
        let place = |field| Field::ALL.iter().position(|one| *one == field);
        Self::of_places(fields.into_iter().map(place), modulus)
    }

    /// Returns the fields that the hash is computed from.
    pub(crate) fn fields(self) -> Vec<Field> {
        self.places()
            .iter()
            .filter_map(|place| Field::ALL.get(usize::from(*place)).copied())
            .collect()
    }
}

/// Formats the value as `nft` does.
impl fmt::Display for Numgen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        join(f, self.fields(), " . ")?;
        self.fmt_modulus(f)
    }
}
