//! Where a route leads to.

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::input::{network, sealed};

/// A route's destination: a network, or everything (`default`).
///
/// The literals are `"default"`, a prefix such as `"10.1.0.0/16"`, or an address for a single host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination {
    /// Everything, in the family of the gateway, or IPv4 where there is none.
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

impl sealed::Input<Destination> for IpNet {
    fn read(self) -> Result<Destination, (String, String)> {
        let destination = network(self).map(Destination::Network);
        destination.map_err(|reason| (self.to_string(), reason))
    }
}

impl sealed::Input<Destination> for Ipv4Net {
    fn read(self) -> Result<Destination, (String, String)> {
        IpNet::from(self).read()
    }
}

impl sealed::Input<Destination> for Ipv6Net {
    fn read(self) -> Result<Destination, (String, String)> {
        IpNet::from(self).read()
    }
}

impl sealed::Input<Destination> for IpAddr {
    fn read(self) -> Result<Destination, (String, String)> {
        Ok(Destination::Network(IpNet::from(self)))
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

impl sealed::Input<Destination> for String {
    fn read(self) -> Result<Destination, (String, String)> {
        self.as_str().read()
    }
}
