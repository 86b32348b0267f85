//! The types of set keys, of map data and of fields.

use std::fmt;
use std::net::IpAddr;

use super::datum::{Datum, Span};
use crate::input::link_name;
use crate::link_pattern::LinkPattern;
use crate::mac::MacAddr;
use crate::wire::nft::data::Value;
use crate::wire::nft::datatype::DataType;
use crate::wire::nft::userdata::ByteOrder;

/// The layout of a value in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Address4,
    Address6,
    Mac,
    Name,
    Byte,
    Network16,
    Host16,
    Host32,
    Bytes(u32),
}

macro_rules! types {
    ($($(#[$doc:meta])* $type:ident = $words:literal, $number:expr, $layout:ident;)*) => {
        /// The type of a value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Type {
            $($(#[$doc])* $type,)*
            /// A type without a variant here.
            Other {
                /// The number in `nft`.
                number: u32,
                /// The length in bytes.
                length: u32,
            },
        }

        impl Type {
            const ALL: &[Self] = &[$(Self::$type),*];

            /// The name and number in `nft` (`include/datatype.h`), and the layout.
            fn facts(self) -> (&'static str, DataType, Layout) {
                match self {
                    $(Self::$type => ($words, $number, Layout::$layout),)*
                    Self::Other { number, length } => {
                        ("other", DataType(number), Layout::Bytes(length))
                    }
                }
            }
        }
    };
}

types! {
    /// `ipv4_addr`.
    Ipv4 = "ipv4_addr", DataType::IPV4_ADDRESS, Address4;
    /// `ipv6_addr`.
    Ipv6 = "ipv6_addr", DataType::IPV6_ADDRESS, Address6;
    /// `ether_addr`.
    Mac = "ether_addr", DataType::ETHERNET_ADDRESS, Mac;
    /// `ether_type`: the protocol of a frame, as 0x0800.
    EtherType = "ether_type", DataType::ETHERNET_TYPE, Network16;
    /// `inet_proto`: TCP 6, UDP 17; by those names, too.
    Protocol = "inet_proto", DataType::INTERNET_PROTOCOL, Byte;
    /// `inet_service`: a port.
    Port = "inet_service", DataType::INTERNET_SERVICE, Network16;
    /// `icmp_type`.
    IcmpType = "icmp_type", DataType::ICMP_TYPE, Byte;
    /// `icmpv6_type`.
    Icmpv6Type = "icmpv6_type", DataType::ICMPV6_TYPE, Byte;
    /// `tcp_flag`.
    TcpFlags = "tcp_flag", DataType::TCP_FLAGS, Byte;
    /// `mark`: a packet's or connection's mark.
    Mark = "mark", DataType::MARK, Host32;
    /// `ifname`: a link's name.
    LinkName = "ifname", DataType::INTERFACE_NAME, Name;
    /// `ct_state`.
    CtState = "ct_state", DataType::CT_STATE, Host32;
    /// `ct_status`.
    CtStatus = "ct_status", DataType::CT_STATUS, Host32;
    /// `ct_dir`.
    CtDirection = "ct_dir", DataType::CT_DIRECTION, Byte;
    /// `pkt_type`.
    PacketType = "pkt_type", DataType::PACKET_TYPE, Byte;
    /// `fib_addrtype`.
    AddressType = "fib_addrtype", DataType::FIB_ADDRESS_TYPE, Host32;
    /// `arp_op`.
    ArpOperation = "arp_op", DataType(11), Network16;
    /// `nf_proto`.
    NetfilterProtocol = "nf_proto", DataType::NETFILTER_PROTOCOL, Byte;
    /// `iface_index`: the index of a link.
    LinkIndex = "iface_index", DataType(20), Host32;
    /// `iface_type`.
    LinkType = "iface_type", DataType(21), Host16;
    /// `boolean`: 0 or 1.
    Boolean = "boolean", DataType::BOOLEAN, Byte;
    /// `integer`: 32 bits in the machine's byte order, as [`Numgen`](crate::nft::Numgen) yields them.
    /// `nft` has no name for this type: it can't load named maps of numbers that it lists.
    Number = "integer", DataType(4), Host32;
}

impl Type {
    pub(crate) fn data_type(self) -> DataType {
        self.facts().1
    }

    pub(crate) fn len(self) -> u32 {
        match self.facts().2 {
            Layout::Byte => 1,
            Layout::Network16 | Layout::Host16 => 2,
            Layout::Address4 | Layout::Host32 => 4,
            Layout::Mac => 6,
            Layout::Address6 | Layout::Name => 16,
            Layout::Bytes(length) => length,
        }
    }

    /// Returns whether bytes compare in the order of the values, as intervals and ranges need.
    pub(crate) fn is_ordered(self) -> bool {
        // A range of flags in a set makes `nft` 1.0.6 fail.
        !matches!(self.facts().2, Layout::Host16 | Layout::Host32 | Layout::Name)
            && self != Self::TcpFlags
    }

    /// Returns whether the values are sets of bits with names.
    pub(crate) fn is_flags(self) -> bool {
        matches!(self, Self::CtState | Self::CtStatus | Self::TcpFlags)
    }

    /// Returns whether `nft` stores the keys of intervals of this type in network byte order.
    pub(crate) fn is_swapped_in_intervals(self) -> bool {
        matches!(self.facts().2, Layout::Host16 | Layout::Host32)
    }

    pub(crate) fn byte_order(self) -> ByteOrder {
        match self.facts().2 {
            Layout::Host16 | Layout::Host32 | Layout::Name => ByteOrder::Host,
            Layout::Byte | Layout::Bytes(_) => ByteOrder::Invalid,
            Layout::Address4 | Layout::Address6 | Layout::Mac | Layout::Network16 => {
                ByteOrder::BigEndian
            }
        }
    }

    /// Encodes a value, or returns the reason if it is not of this type.
    pub(crate) fn encode(self, datum: &Datum) -> Result<Value, String> {
        let refused = || Err(format!("{datum} is no {self}"));
        let value = match (self.facts().2, datum) {
            (Layout::Address4, Datum::Address(IpAddr::V4(address))) => Some((*address).into()),
            (Layout::Address6, Datum::Address(IpAddr::V6(address))) => Some((*address).into()),
            (Layout::Mac, Datum::Mac(mac)) => Some(mac.octets().into()),
            (Layout::Name, Datum::Name(name)) => {
                let Ok(pattern) = name.parse::<LinkPattern>() else {
                    let reason = link_name(name).err().unwrap_or("it is no link's name");
                    return Err(format!("{datum}: {reason}"));
                };
                if pattern.is_prefix() {
                    return Err(format!("{datum} is a pattern: iifname() and oifname() take one"));
                }
                Value::interface(pattern.text())
            }
            (Layout::Byte, Datum::Name(name)) if self == Self::Protocol => {
                protocol_number(name).map(Value::from)
            }
            (Layout::Byte, Datum::Number(number)) => u8::try_from(*number).ok().map(Value::from),
            (Layout::Network16, Datum::Number(number)) => {
                u16::try_from(*number).ok().map(Value::from)
            }
            (Layout::Host16, Datum::Number(number)) => {
                u16::try_from(*number).ok().map(Value::host_u16)
            }
            (Layout::Host32, Datum::Number(number)) => Some(Value::host_u32(*number)),
            (_, Datum::Bytes(bytes)) if bytes.len() == self.len() as usize => Value::new(bytes),
            _ => None,
        };
        value.map_or_else(refused, Ok)
    }

    /// Encodes the first and last value of a span.
    pub(crate) fn encode_span(self, span: &Span) -> Result<(Value, Value), String> {
        if let Span::One(one) = span {
            let value = self.encode(one)?;
            return Ok((value, value));
        }
        if let Span::Prefix(net) = span
            && net.trunc() != *net
        {
            return Err(format!("host bits are set where a network is meant: {}", net.trunc()));
        }
        let (first, last) = span.ends();
        let (first, last) = (self.encode(&first)?, self.encode(&last)?);
        match () {
            () if !self.is_ordered() => Err(format!("there are no ranges of {self}: {span}")),
            () if first > last => Err(format!("the range {span} is empty")),
            () => Ok((first, last)),
        }
    }

    /// Decodes a value.
    pub(crate) fn decode(self, bytes: &[u8]) -> Datum {
        let number = match (self.facts().2, bytes) {
            (Layout::Address4, &[a, b, c, d]) => {
                return Datum::Address([a, b, c, d].into());
            }
            (Layout::Address6, bytes) => match <[u8; 16]>::try_from(bytes) {
                Ok(octets) => return Datum::Address(octets.into()),
                Err(_) => None,
            },
            (Layout::Mac, bytes) => match <[u8; 6]>::try_from(bytes) {
                Ok(octets) => return Datum::Mac(MacAddr::from(octets)),
                Err(_) => None,
            },
            (Layout::Name, bytes) => {
                let name = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
                match str::from_utf8(name) {
                    // A star at the end is literal here.
                    Ok(name) => {
                        let escaped = name.strip_suffix('*').map(|start| format!(r"{start}\*"));
                        return Datum::Name(escaped.unwrap_or_else(|| name.to_owned()));
                    }
                    Err(_) => None,
                }
            }
            (Layout::Byte, &[byte]) => Some(byte.into()),
            (Layout::Network16, &[a, b]) => Some(u16::from_be_bytes([a, b]).into()),
            (Layout::Host16, &[a, b]) => Some(u16::from_ne_bytes([a, b]).into()),
            (Layout::Host32, &[a, b, c, d]) => Some(u32::from_ne_bytes([a, b, c, d])),
            _ => None,
        };
        number.map_or_else(|| Datum::Bytes(bytes.to_vec()), Datum::Number)
    }

    /// Returns the types of a concatenation from its number, or `Other` of `length` bytes.
    pub(crate) fn all_from(number: DataType, length: u32) -> Vec<Self> {
        const BITS: u32 = 6;
        let mut rest = number.0;
        let mut types = Vec::new();
        while rest != 0 {
            let one = DataType(rest & ((1 << BITS) - 1));
            let Some(known) = Self::ALL.iter().find(|known| known.data_type() == one) else {
                break;
            };
            types.insert(0, *known);
            rest >>= BITS;
        }
        let total: u32 = match types.as_slice() {
            [one] => one.len(),
            many => many.iter().map(|one| one.len().next_multiple_of(4)).sum(),
        };
        if rest == 0 && total == length {
            return types;
        }
        vec![Self::Other { number: number.0, length }]
    }
}

/// The protocols that have names, as in /etc/protocols.
pub(crate) const PROTOCOLS: [(&str, u8); 8] = [
    ("icmp", 1),
    ("tcp", 6),
    ("udp", 17),
    ("gre", 47),
    ("esp", 50),
    ("ipv6-icmp", 58),
    ("sctp", 132),
    ("udplite", 136),
];

fn protocol_number(name: &str) -> Option<u8> {
    PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// Formats the type as `nft` does.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other { number, .. } => write!(f, "type {number}"),
            known => f.write_str(known.facts().0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_reads_back() {
        let numbers: [Datum; 6] = [
            Datum::from("10.0.0.1"),
            Datum::from("fd00::1"),
            Datum::from("02:00:00:00:00:01"),
            Datum::from("eth0"),
            Datum::from(80_u16),
            Datum::from(1_u8),
        ];
        for kind in Type::ALL {
            let taken: Vec<_> = numbers.iter().filter(|datum| kind.encode(datum).is_ok()).collect();
            assert!(!taken.is_empty(), "{kind}");
            for datum in taken {
                let value = kind.encode(datum).unwrap();
                assert_eq!(value.len(), kind.len());
                assert_eq!(kind.decode(value.as_slice()), *datum);
            }
        }
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        assert!(Type::Ipv4.encode(&"fd00::1".into()).is_err());
        assert!(Type::Port.encode(&70_000_u32.into()).is_err());
        assert!(Type::Port.encode_span(&"0-1023".into()).is_ok());
        assert!(Type::Ipv4.encode(&80_u16.into()).is_err());
        assert!(Type::Port.encode_span(&"90-80".into()).is_err());
        assert!(Type::Mark.encode_span(&(1_u32..=2).into()).is_err());
        assert!(Type::Ipv4.encode_span(&"10.0.0.1/24".into()).is_err());
        assert!(Type::Ipv4.encode_span(&"10.0.0.1-fd00::1".into()).is_err());
    }

    #[test]
    fn concatenations_are_taken_apart() {
        let number = DataType::concat(&[Type::Ipv4.data_type(), Type::Port.data_type()]).unwrap();
        assert_eq!(Type::all_from(number, 8), [Type::Ipv4, Type::Port]);
        assert_eq!(Type::all_from(number, 9), [Type::Other { number: number.0, length: 9 }]);
        assert_eq!(Type::all_from(Type::Ipv4.data_type(), 4), [Type::Ipv4]);
    }
}
