//! The types of set keys, of map data and of fields.

use std::fmt;
use std::net::IpAddr;

use super::constant::{Constant, Interval};
use crate::input::link_name_in_rules;
use crate::link_pattern::LinkPattern;
use crate::mac::MacAddr;
use crate::wire::nft::data::Value;
use crate::wire::nft::datatype::DataType;
use crate::wire::nft::userdata::ByteOrder::{self, BigEndian, Host, Invalid};

/// The layout of a value in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Address4,
    Address6,
    Mac,
    Name,
    /// A number; the value is its length in bytes, at most 4.
    Number(u32),
    Bytes(u32),
}

macro_rules! types {
    ($($(#[$doc:meta])* $type:ident = $words:literal, $number:literal, $layout:expr, $order:ident;)*) => {
        /// The type of a value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Type {
            $($(#[$doc])* $type,)*
            /// A type that netloom does not know.
            Other {
                /// The number in `nft`.
                number: u32,
                /// The length in bytes.
                length: u32,
            },
        }

        impl Type {
            const ALL: &[Self] = &[$(Self::$type),*];

            /// Returns the name and number in `nft` (`include/datatype.h`), the layout and the byte
            /// order.
            fn facts(self) -> (&'static str, DataType, Layout, ByteOrder) {
                match self {
                    $(Self::$type => ($words, DataType($number), $layout, $order),)*
                    Self::Other { number, length } => {
                        ("other", DataType(number), Layout::Bytes(length), Invalid)
                    }
                }
            }
        }
    };
}

types! {
    /// `ipv4_addr`.
    Ipv4 = "ipv4_addr", 7, Layout::Address4, BigEndian;
    /// `ipv6_addr`.
    Ipv6 = "ipv6_addr", 8, Layout::Address6, BigEndian;
    /// `ether_addr`.
    Mac = "ether_addr", 9, Layout::Mac, BigEndian;
    /// `ether_type`: the protocol of a frame, as 0x0800.
    EtherType = "ether_type", 10, Layout::Number(2), BigEndian;
    /// `inet_proto`: TCP 6, UDP 17. The names `tcp` and `udp` are accepted, too.
    Protocol = "inet_proto", 12, Layout::Number(1), Invalid;
    /// `inet_service`: a port.
    Port = "inet_service", 13, Layout::Number(2), BigEndian;
    /// `icmp_type`.
    IcmpType = "icmp_type", 14, Layout::Number(1), BigEndian;
    /// `icmpv6_type`.
    Icmpv6Type = "icmpv6_type", 29, Layout::Number(1), BigEndian;
    /// `icmp_code`.
    IcmpCode = "icmp_code", 32, Layout::Number(1), BigEndian;
    /// `tcp_flag`.
    TcpFlags = "tcp_flag", 15, Layout::Number(1), BigEndian;
    /// `mark`: a packet's or connection's mark.
    Mark = "mark", 19, Layout::Number(4), Host;
    /// `ifname`: a link's name.
    LinkName = "ifname", 41, Layout::Name, Host;
    /// `ct_state`.
    CtState = "ct_state", 26, Layout::Number(4), Host;
    /// `ct_status`.
    CtStatus = "ct_status", 28, Layout::Number(4), Host;
    /// `ct_dir`.
    CtDirection = "ct_dir", 27, Layout::Number(1), Invalid;
    /// `pkt_type`.
    PacketType = "pkt_type", 31, Layout::Number(1), Host;
    /// `fib_addrtype`.
    AddressType = "fib_addrtype", 38, Layout::Number(4), Host;
    /// `arp_op`.
    ArpOperation = "arp_op", 11, Layout::Number(2), BigEndian;
    /// `nf_proto`.
    NetfilterProtocol = "nf_proto", 2, Layout::Number(1), Invalid;
    /// `iface_index`: the index of a link.
    LinkIndex = "iface_index", 20, Layout::Number(4), Host;
    /// `iface_type`.
    LinkType = "iface_type", 21, Layout::Number(2), Host;
    /// `boolean`: 0 or 1.
    Boolean = "boolean", 39, Layout::Number(1), Invalid;
    /// `integer`: 32 bits in host byte order, as in [`Numgen`](crate::nft::Numgen). `nft` has no
    /// name for this type: it lists named maps of numbers, but can't load them.
    Number = "integer", 4, Layout::Number(4), Host;
}

impl Type {
    pub(crate) fn data_type(self) -> DataType {
        self.facts().1
    }

    pub(crate) fn len(self) -> u32 {
        match self.facts().2 {
            Layout::Address4 => 4,
            Layout::Mac => 6,
            Layout::Address6 | Layout::Name => 16,
            Layout::Number(length) | Layout::Bytes(length) => length,
        }
    }

    /// Returns whether the bytes of values sort like the values, as intervals and ranges need.
    pub(crate) fn is_ordered(self) -> bool {
        // A range of flags in a set makes `nft` 1.0.6 fail.
        !self.is_in_host_order() && !matches!(self, Self::LinkName | Self::TcpFlags)
    }

    /// Returns whether the values are sets of bits with names.
    pub(crate) fn is_flags(self) -> bool {
        matches!(self, Self::CtState | Self::CtStatus | Self::TcpFlags)
    }

    /// Returns whether the values are numbers in host byte order. In the keys of intervals `nft`
    /// stores such numbers in network byte order.
    pub(crate) fn is_in_host_order(self) -> bool {
        let (_, _, layout, order) = self.facts();
        matches!(layout, Layout::Number(2..)) && order == Host
    }

    pub(crate) fn byte_order(self) -> ByteOrder {
        self.facts().3
    }

    /// Converts a number from network byte order to the type's byte order, or back.
    fn in_own_order(self, value: Value) -> Value {
        if self.is_in_host_order() { value.in_host_order() } else { value }
    }

    /// Encodes a value. Returns a reason if the value does not have this type.
    pub(crate) fn encode(self, constant: &Constant) -> Result<Value, String> {
        let refused = || Err(format!("{constant} is not a valid {self}"));
        let value = match (self.facts().2, constant) {
            (Layout::Address4, Constant::Address(IpAddr::V4(address))) => Some((*address).into()),
            (Layout::Address6, Constant::Address(IpAddr::V6(address))) => Some((*address).into()),
            (Layout::Mac, Constant::Mac(mac)) => Some(mac.octets().into()),
            (Layout::Name, Constant::Name(name)) => {
                let Ok(pattern) = name.parse::<LinkPattern>() else {
                    let reason = link_name_in_rules(name).err().unwrap_or("not a valid link name");
                    return Err(format!("{constant}: {reason}"));
                };
                if pattern.is_prefix() {
                    return Err(format!(
                        "{constant} is a pattern: iifname() and oifname() take one"
                    ));
                }
                Value::interface(pattern.text())
            }
            (_, Constant::Name(name)) if self == Self::Protocol => {
                protocol_number(name).map(Value::from)
            }
            (Layout::Number(length), Constant::Number(number)) => {
                let value = match length {
                    1 => u8::try_from(*number).ok().map(Value::from),
                    2 => u16::try_from(*number).ok().map(Value::from),
                    _ => Some(Value::from(*number)),
                };
                value.map(|value| self.in_own_order(value))
            }
            (_, Constant::Bytes(bytes)) if bytes.len() == self.len() as usize => Value::new(bytes),
            _ => None,
        };
        value.map_or_else(refused, Ok)
    }

    /// Encodes the first and last value of an interval.
    pub(crate) fn encode_interval(self, interval: &Interval) -> Result<(Value, Value), String> {
        if let Interval::One(one) = interval {
            let value = self.encode(one)?;
            return Ok((value, value));
        }
        if let Interval::Prefix(net) = interval
            && net.trunc() != *net
        {
            return Err(format!("host bits are set where a network is meant: {}", net.trunc()));
        }
        let (first, last) = interval.ends();
        let (first, last) = (self.encode(&first)?, self.encode(&last)?);
        match () {
            () if !self.is_ordered() => Err(format!("there are no ranges of {self}: {interval}")),
            () if first > last => Err(format!("the range {interval} is empty")),
            () => Ok((first, last)),
        }
    }

    /// Decodes a value.
    pub(crate) fn decode(self, bytes: &[u8]) -> Constant {
        self.read(bytes).unwrap_or_else(|| Constant::Bytes(bytes.to_vec()))
    }

    fn read(self, bytes: &[u8]) -> Option<Constant> {
        match self.facts().2 {
            Layout::Address4 => {
                <[u8; 4]>::try_from(bytes).ok().map(|it| Constant::Address(it.into()))
            }
            Layout::Address6 => {
                <[u8; 16]>::try_from(bytes).ok().map(|it| Constant::Address(it.into()))
            }
            Layout::Mac => {
                <[u8; 6]>::try_from(bytes).ok().map(|it| Constant::Mac(MacAddr::from(it)))
            }
            Layout::Name => {
                let name = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
                let name = str::from_utf8(name).ok()?;
                // A star at the end of a listed name is literal, not a pattern.
                let escaped = name.strip_suffix('*').map(|start| format!(r"{start}\*"));
                Some(Constant::Name(escaped.unwrap_or_else(|| name.to_owned())))
            }
            Layout::Number(length) if bytes.len() == length as usize => {
                let value = self.in_own_order(Value::new(bytes)?);
                let number =
                    value.as_slice().iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
                Some(Constant::Number(number))
            }
            Layout::Number(_) | Layout::Bytes(_) => None,
        }
    }

    /// Returns the types of a concatenation from the number of the concatenation. Returns `Other`
    /// of `length` bytes if a type is unknown.
    pub(crate) fn all_from(number: DataType, length: u32) -> Vec<Self> {
        let known = |one| Self::ALL.iter().copied().find(|known| known.data_type() == one);
        match number.fields().map(known).collect::<Option<Vec<_>>>() {
            Some(types) if total(&types) == length => types,
            _ => vec![Self::Other { number: number.0, length }],
        }
    }
}

/// Returns the length of a value of these types in bytes. Fields of a concatenation are padded to 4
/// bytes.
pub(crate) fn total(types: &[Type]) -> u32 {
    match types {
        [one] => one.len(),
        many => many.iter().map(|one| one.len().next_multiple_of(4)).sum(),
    }
}

/// The names and numbers of protocols, as in /etc/protocols.
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
        let numbers: [Constant; 6] = [
            Constant::from("10.0.0.1"),
            Constant::from("fd00::1"),
            Constant::from("02:00:00:00:00:01"),
            Constant::from("eth0"),
            Constant::from(80_u16),
            Constant::from(1_u8),
        ];
        for kind in Type::ALL {
            let taken: Vec<_> =
                numbers.iter().filter(|constant| kind.encode(constant).is_ok()).collect();
            assert!(!taken.is_empty(), "{kind}");
            for constant in taken {
                let value = kind.encode(constant).unwrap();
                assert_eq!(value.len(), kind.len());
                assert_eq!(kind.decode(value.as_slice()), *constant);
            }
        }
    }

    #[test]
    fn types_are_laid_out_as_nft_declares_them() {
        // for t in …; do tools/nft-bytes 'add table ip t' "add set ip t s { type $t; }"; done
        // Each entry: the name, `NFTA_SET_KEY_TYPE`, `NFTA_SET_KEY_LEN`, and the byte order in
        // `NFTA_SET_USERDATA`.
        let declared = "ipv4_addr 07 04 02, ipv6_addr 08 10 02, ether_addr 09 06 02, ether_type 0a 02 02,
            inet_proto 0c 01 00, inet_service 0d 02 02, icmp_type 0e 01 02, icmpv6_type 1d 01 02,
            icmp_code 20 01 02, tcp_flag 0f 01 02, mark 13 04 01, ifname 29 10 01, ct_state 1a 04 01, ct_status 1c 04 01,
            ct_dir 1b 01 00, pkt_type 1f 01 01, fib_addrtype 26 04 01, arp_op 0b 02 02,
            nf_proto 02 01 00, iface_index 14 04 01, iface_type 15 02 01, boolean 27 01 00";
        let mut ours: Vec<_> = Type::ALL
            .iter()
            .map(|kind| {
                let (number, order) = (kind.data_type().0, kind.byte_order() as u32);
                format!("{kind} {number:02x} {:02x} {order:02x}", kind.len())
            })
            .collect();
        assert_eq!(ours.pop().as_deref(), Some("integer 04 04 01"), "nft declares none");
        assert_eq!(ours, declared.split(',').map(str::trim).collect::<Vec<_>>());
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        assert!(Type::Ipv4.encode(&"fd00::1".into()).is_err());
        assert!(Type::Port.encode(&70_000_u32.into()).is_err());
        assert!(Type::Port.encode_interval(&"0-1023".into()).is_ok());
        assert!(Type::Ipv4.encode(&80_u16.into()).is_err());
        assert!(Type::Port.encode_interval(&"90-80".into()).is_err());
        assert!(Type::Mark.encode_interval(&(1_u32..=2).into()).is_err());
        assert!(Type::Ipv4.encode_interval(&"10.0.0.1/24".into()).is_err());
        assert!(Type::Ipv4.encode_interval(&"10.0.0.1-fd00::1".into()).is_err());
    }

    #[test]
    fn concatenations_are_taken_apart() {
        let number = DataType::concat([Type::Ipv4.data_type(), Type::Port.data_type()]).unwrap();
        assert_eq!(Type::all_from(number, 8), [Type::Ipv4, Type::Port]);
        assert_eq!(Type::all_from(number, 9), [Type::Other { number: number.0, length: 9 }]);
        assert_eq!(Type::all_from(Type::Ipv4.data_type(), 4), [Type::Ipv4]);
    }
}
