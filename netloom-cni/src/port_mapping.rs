//! Published ports, as runtimes ask for them with the capability `portMappings`.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use netloom::{PortForward, Protocol};

use crate::failure::{Code, Failure};
use crate::fields::Fields;

/// An entry of `portMappings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortMapping {
    host_port: u16,
    container_port: u16,
    protocol: Protocol,
    host_address: Option<IpAddr>,
    /// The path of the mapping in the configuration.
    path: String,
}

impl PortMapping {
    pub(crate) fn read(fields: &Fields<'_>) -> Result<Self, Failure> {
        const EXPECTED: &str = "a port from 1 to 65535";
        let port = |name: &str| -> Result<u16, Failure> {
            let number = fields.number(name, 1..=65_535)?;
            let port = number.and_then(|number| u16::try_from(number).ok());
            port.ok_or_else(|| fields.refuse(name, EXPECTED))
        };
        let protocol = match fields.text("protocol")?.unwrap_or_default() {
            "" => Protocol::TCP,
            name if name.eq_ignore_ascii_case("tcp") => Protocol::TCP,
            name if name.eq_ignore_ascii_case("udp") => Protocol::UDP,
            name if name.eq_ignore_ascii_case("sctp") => Protocol::SCTP,
            _ => return Err(fields.refuse("protocol", "tcp, udp or sctp")),
        };
        let host_address: Option<IpAddr> = fields.parsed("hostIP", "an address")?;
        if host_address.is_some_and(|address| {
            address.is_multicast() || address == IpAddr::V6(Ipv6Addr::LOCALHOST)
        }) {
            return Err(fields.refuse("hostIP", "an address that ports can be forwarded from"));
        }
        Ok(Self {
            host_port: port("hostPort")?,
            container_port: port("containerPort")?,
            protocol,
            host_address,
            path: fields.path_of(""),
        })
    }

    /// Refuses what can't be published of a container with these addresses.
    pub(crate) fn check(&self, addresses: &[IpNet]) -> Result<(), Failure> {
        if addresses.iter().any(|address| self.to(address.addr()).is_some()) {
            return Ok(());
        }
        let path = &self.path;
        let problem = match self.host_address {
            Some(address) if !addresses.is_empty() => format!(
                "{path}hostIP: {address} is not of a family in which the container has an address"
            ),
            _ => format!(
                "{path}hostPort: {} leads nowhere, as the container has no address",
                self.host_port
            ),
        };
        Err(Failure::new(Code::InvalidConfig, problem))
    }

    /// Returns the mapping to a container's address, or `None` if the host's address is of the
    /// other family.
    pub(crate) fn to(&self, container: IpAddr) -> Option<PortForward> {
        let forward = PortForward::new(self.host_port, container)
            .target_port(self.container_port)
            .protocol(self.protocol);
        match self.host_address {
            Some(address) if address.is_ipv4() != container.is_ipv4() => None,
            Some(address) if !address.is_unspecified() => Some(forward.host_address(address)),
            _ => Some(forward),
        }
    }
}
