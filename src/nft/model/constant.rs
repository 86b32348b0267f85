//! The values of set elements and of comparisons in rules.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::mac::MacAddr;

/// A value without a type. A [`Type`](crate::nft::Type) accepts or refuses the value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Constant {
    /// An IPv4 or IPv6 address.
    Address(IpAddr),
    /// A link's hardware address.
    Mac(MacAddr),
    /// A port, protocol, mark or state, as a number.
    Number(u32),
    /// A link's name.
    Name(String),
    /// The bytes of a value of any other type, as a register has them.
    Bytes(Vec<u8>),
}

/// A value, a prefix, or a range of values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Interval {
    /// A single value.
    One(Constant),
    /// All addresses of a network.
    Prefix(IpNet),
    /// All values from the first to the last, both included.
    Range(Constant, Constant),
}

impl Interval {
    /// Returns an interval in its shortest form: one value, a network or a range.
    pub(crate) fn between(first: Constant, last: Constant) -> Self {
        if first == last {
            return Self::One(first);
        }
        if let (Constant::Address(first), Constant::Address(last)) = (&first, &last)
            && let Some(net) = as_network(*first, *last)
        {
            return Self::Prefix(net);
        }
        Self::Range(first, last)
    }

    /// Parses a literal: an address, a prefix, a MAC address, a number, a name, or a range of
    /// these.
    fn parse(text: &str) -> Self {
        if let Ok(net) = text.parse::<IpNet>() {
            return Self::of_network(net);
        }
        if let Some((first, last)) = text.split_once('-') {
            let (first, last) = (Constant::parse(first.trim()), Constant::parse(last.trim()));
            let is_name = |constant: &Constant| matches!(constant, Constant::Name(_));
            if !is_name(&first) && !is_name(&last) {
                return Self::between(first, last);
            }
        }
        Self::One(Constant::parse(text))
    }

    fn of_network(net: IpNet) -> Self {
        if net.prefix_len() == net.max_prefix_len() {
            return Self::One(Constant::Address(net.addr()));
        }
        Self::Prefix(net)
    }

    /// Returns the first and the last value.
    pub(crate) fn ends(&self) -> (Constant, Constant) {
        match self {
            Self::One(one) => (one.clone(), one.clone()),
            Self::Prefix(net) => {
                (Constant::Address(net.network()), Constant::Address(net.broadcast()))
            }
            Self::Range(first, last) => (first.clone(), last.clone()),
        }
    }
}

/// Returns the network that consists of exactly these addresses.
fn as_network(first: IpAddr, last: IpAddr) -> Option<IpNet> {
    let most = if first.is_ipv4() { 32 } else { 128 };
    let differing = match (first, last) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()),
        (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
        _ => return None,
    };
    let host_bits = u8::try_from(u128::BITS - differing.leading_zeros()).ok()?;
    let net = IpNet::new(first, most - host_bits).ok()?;
    (net.network() == first && net.broadcast() == last).then_some(net)
}

impl Constant {
    fn parse(text: &str) -> Self {
        if let Ok(address) = text.parse() {
            return Self::Address(address);
        }
        if let Ok(mac) = text.parse() {
            return Self::Mac(mac);
        }
        let hex = text.strip_prefix("0x").map(|digits| u32::from_str_radix(digits, 16));
        match hex.unwrap_or_else(|| text.parse()) {
            Ok(number) => Self::Number(number),
            Err(_) => Self::Name(text.to_owned()),
        }
    }
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Mac(mac) => write!(f, "{mac}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => write!(f, "\"{name}\""),
            Self::Bytes(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// Formats the interval as `nft` does.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(one) => write!(f, "{one}"),
            Self::Prefix(net) => write!(f, "{net}"),
            Self::Range(first, last) => write!(f, "{first}-{last}"),
        }
    }
}

macro_rules! constant_from {
    ($($from:ty => $value:ident: $constant:expr),* $(,)?) => {$(
        impl From<$from> for Constant {
            fn from($value: $from) -> Self {
                $constant
            }
        }

        impl From<$from> for Interval {
            fn from(value: $from) -> Self {
                Self::One(value.into())
            }
        }

        impl From<RangeInclusive<$from>> for Interval {
            fn from(range: RangeInclusive<$from>) -> Self {
                let (first, last) = range.into_inner();
                Self::between(first.into(), last.into())
            }
        }
    )*};
}

constant_from! {
    IpAddr => address: Self::Address(address),
    Ipv4Addr => address: Self::Address(address.into()),
    Ipv6Addr => address: Self::Address(address.into()),
    MacAddr => mac: Self::Mac(mac),
    u8 => number: Self::Number(number.into()),
    u16 => number: Self::Number(number.into()),
    u32 => number: Self::Number(number),
    // The type of integer literals. A negative number becomes a name, which every numeric type
    // refuses.
    i32 => number: u32::try_from(number)
        .map_or_else(|_| Self::Name(number.to_string()), Self::Number),
}

impl From<&str> for Constant {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

macro_rules! interval_from {
    ($($from:ty => $value:ident: $interval:expr),* $(,)?) => {$(
        impl From<$from> for Interval {
            fn from($value: $from) -> Self {
                $interval
            }
        }
    )*};
}

interval_from! {
    &str => text: Self::parse(text),
    String => text: Self::parse(&text),
    Constant => constant: Self::One(constant),
    IpNet => net: Self::of_network(net),
    Ipv4Net => net: Self::of_network(net.into()),
    Ipv6Net => net: Self::of_network(net.into()),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_what_they_look_like() {
        let shown = |text: &str| format!("{:?}", Interval::from(text));
        assert_eq!(shown("10.0.0.1"), "One(Address(10.0.0.1))");
        assert_eq!(shown("10.0.0.0/24"), "Prefix(10.0.0.0/24)");
        assert_eq!(shown("10.0.0.1/32"), "One(Address(10.0.0.1))");
        assert_eq!(shown("10.0.0.0-10.0.0.255"), "Prefix(10.0.0.0/24)");
        assert_eq!(shown("80-90"), "Range(Number(80), Number(90))");
        assert_eq!(shown("0x10"), "One(Number(16))");
        assert_eq!(shown("eth0-a"), "One(Name(\"eth0-a\"))");
        assert_eq!(shown("fd00::/64"), "Prefix(fd00::/64)");
        assert!(shown("02:00:00:00:00:01").starts_with("One(Mac("));
    }

    #[test]
    fn only_a_whole_network_is_one() {
        for (first, last, is_one) in [
            ("10.0.0.0", "10.0.0.3", true),
            ("10.0.0.1", "10.0.0.3", false),
            ("10.0.0.2", "10.0.0.5", false),
            ("0.0.0.0", "255.255.255.255", true),
            ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("10.0.0.0", "::1", false),
        ] {
            let net = as_network(first.parse().unwrap(), last.parse().unwrap());
            assert_eq!(net.is_some(), is_one, "{first}-{last}");
        }
    }
}
