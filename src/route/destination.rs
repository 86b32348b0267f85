//! The destinations of routes.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::error::Error;
use crate::input::{network, sealed};

/// A route's destination: a network, or everything (`default`).
///
/// A literal is `"default"`, a prefix such as `"10.1.0.0/16"`, or an address for a single host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination {
    /// Everything, in the family of the gateway, or IPv4 without one.
    Default,
    /// This network.
    Network(IpNet),
}

impl Destination {
    /// The network; for the default one, that of everything in a family.
    pub(super) fn network(self, ipv6: bool) -> IpNet {
        match self {
            Self::Network(net) => net,
            Self::Default if ipv6 => IpNet::V6(Ipv6Net::default()),
            Self::Default => IpNet::V4(Ipv4Net::default()),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Network(net) if net.prefix_len() == 0 => write!(f, "default ({net})"),
            Self::Network(net) => net.fmt(f),
        }
    }
}

impl sealed::Input<Destination> for Destination {
    fn read(self) -> Result<Destination, (String, String)> {
        Ok(self)
    }
}

impl sealed::Input<Destination> for &str {
    fn read(self) -> Result<Destination, (String, String)> {
        if self == "default" {
            return Ok(Destination::Default);
        }
        if let Ok(host) = self.parse::<IpAddr>() {
            return host.read();
        }
        let net: IpNet = sealed::Input::<IpNet>::read(self)?;
        net.read()
    }
}

impl sealed::Input<Destination> for IpNet {
    fn read(self) -> Result<Destination, (String, String)> {
        let destination = network(self).map(Destination::Network);
        destination.map_err(|reason| (self.to_string(), reason))
    }
}

impl sealed::Input<Destination> for IpAddr {
    fn read(self) -> Result<Destination, (String, String)> {
        Ok(Destination::Network(IpNet::from(self)))
    }
}

macro_rules! read_as {
    ($($from:ty => $as:expr),+) => {$(
        impl sealed::Input<Destination> for $from {
            fn read(self) -> Result<Destination, (String, String)> {
                $as(&self).read()
            }
        }
    )+};
}
read_as!(
    String => String::as_str,
    Ipv4Net => |net: &Ipv4Net| IpNet::from(*net),
    Ipv6Net => |net: &Ipv6Net| IpNet::from(*net)
);

/// Reads a literal of [`Destination`].
impl FromStr for Destination {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        sealed::Input::<Self>::read(text)
            .map_err(|(text, reason)| Error::invalid("read destination", text, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_and_refused() {
        for text in ["default", "10.1.0.0/16", "10.1.0.1/32", "fd00::/64"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        assert_eq!("10.1.0.1".parse::<Destination>().unwrap().to_string(), "10.1.0.1/32");
        for bad in ["", "10.1.0.1/16", "10.0.0.0/33", "all"] {
            assert!(bad.parse::<Destination>().unwrap_err().is_invalid_input(), "{bad}");
        }
    }
}
