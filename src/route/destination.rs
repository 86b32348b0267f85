//! The destinations of routes.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::error::Error;
use crate::input::{from_text, network, sealed};

/// A route's destination: a network, or everything (`default`).
///
/// A literal is `"default"`, a prefix such as `"10.1.0.0/16"`, or an address for a single host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination {
    /// All addresses of the gateway's family. Without a gateway: all IPv4 addresses.
    Default,
    /// The addresses of this network.
    Network(IpNet),
}

impl Destination {
    /// Returns the network. For `Default`, returns `0.0.0.0/0` or `::/0`.
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

from_text!(Destination, |text| match text.parse::<IpAddr>() {
    Ok(host) => Ok(Destination::Network(host.into())),
    Err(_) if text == "default" => Ok(Destination::Default),
    Err(_) => {
        let net: Result<IpNet, _> = sealed::Input::read(text);
        net.map_err(|(_, reason)| reason).and_then(network).map(Destination::Network)
    }
});

macro_rules! from_network {
    ($($from:ty),+) => {$(
        impl sealed::Input<Destination> for $from {
            fn read(self) -> Result<Destination, (String, String)> {
                let destination = network(self.into()).map(Destination::Network);
                destination.map_err(|reason| (self.to_string(), reason))
            }
        }
    )+};
}
from_network!(IpNet, Ipv4Net, Ipv6Net, IpAddr);

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
