//! Transport protocols, by their number in an IP header.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A transport protocol by its number in the IP header: TCP, UDP or another.
///
/// ```
/// use netloom::Protocol;
///
/// assert_eq!(Protocol::UDP.to_string(), "udp");
/// assert_eq!(Protocol::new(47).number(), 47); // GRE
/// assert_eq!("tcp".parse::<Protocol>()?, Protocol::TCP);
/// assert!(Protocol::SCTP.has_ports() && !Protocol::ICMP.has_ports());
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: /etc/protocols, <https://www.iana.org/assignments/protocol-numbers>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[doc(alias = "IPPROTO_TCP")]
pub struct Protocol(u8);

impl Protocol {
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// DCCP.
    pub const DCCP: Self = Self(33);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);
    /// UDP-Lite.
    pub const UDPLITE: Self = Self(136);

    /// Returns the protocol with this number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Returns the protocol's number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Returns whether the protocol's packets begin with a source port and a destination port.
    pub fn has_ports(self) -> bool {
        [Self::TCP, Self::UDP, Self::DCCP, Self::SCTP, Self::UDPLITE].contains(&self)
    }
}

impl From<u8> for Protocol {
    fn from(number: u8) -> Self {
        Self(number)
    }
}

/// The protocols that `Display` and `FromStr` know by name, as in /etc/protocols.
const NAMES: [(Protocol, &str); 7] = [
    (Protocol::ICMP, "icmp"),
    (Protocol::TCP, "tcp"),
    (Protocol::UDP, "udp"),
    (Protocol::DCCP, "dccp"),
    (Protocol::ICMPV6, "ipv6-icmp"),
    (Protocol::SCTP, "sctp"),
    (Protocol::UDPLITE, "udplite"),
];

/// Writes the name from /etc/protocols in lower case, or the number if netloom knows no name.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(protocol, _)| protocol == self) {
            Some((_, name)) => f.pad(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Parses a name as `Display` writes it, or a number.
impl FromStr for Protocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let named = NAMES.iter().find(|(_, name)| *name == text).map(|(protocol, _)| *protocol);
        let reason = "a protocol is a number up to 255 or a name, as in tcp";
        named
            .or_else(|| text.parse().ok().map(Self))
            .ok_or_else(|| Error::invalid("read protocol", text, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_reads_back_and_other_text_is_refused() {
        for protocol in (0..=255).map(Protocol::new) {
            assert_eq!(protocol.to_string().parse::<Protocol>().unwrap(), protocol);
        }
        for bad in ["", "256", "TCP", "http"] {
            assert!(bad.parse::<Protocol>().unwrap_err().is_invalid_input(), "{bad}");
        }
    }
}
