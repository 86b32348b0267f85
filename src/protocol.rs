//! Transport protocols, by their number in an IP header.

use std::fmt;

/// What an IP packet carries: TCP, UDP or another, by its number.
///
/// ```
/// use netloom::Protocol;
///
/// assert_eq!(Protocol::UDP.to_string(), "udp");
/// assert_eq!(Protocol::new(47).number(), 47); // GRE
/// assert!(Protocol::SCTP.has_ports() && !Protocol::ICMP.has_ports());
/// ```
///
/// Source: /etc/protocols, <https://www.iana.org/assignments/protocol-numbers>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[doc(alias = "IPPROTO_TCP")]
pub struct Protocol(u8);

impl Protocol {
    /// ICMP, of IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// DCCP.
    pub const DCCP: Self = Self(33);
    /// ICMP of IPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);
    /// UDP-Lite.
    pub const UDPLITE: Self = Self(136);

    /// The one with this number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether its packets begin with a source and a destination port.
    pub fn has_ports(self) -> bool {
        [Self::TCP, Self::UDP, Self::DCCP, Self::SCTP, Self::UDPLITE].contains(&self)
    }
}

/// As in /etc/protocols, in lower case; a number where it has no name here.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Self::ICMP => "icmp",
            Self::TCP => "tcp",
            Self::UDP => "udp",
            Self::DCCP => "dccp",
            Self::ICMPV6 => "ipv6-icmp",
            Self::SCTP => "sctp",
            Self::UDPLITE => "udplite",
            Self(number) => return write!(f, "{number}"),
        })
    }
}
