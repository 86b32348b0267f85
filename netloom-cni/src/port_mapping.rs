//! Published ports, as runtimes request them with the capability `portMappings`.

use std::net::{IpAddr, Ipv6Addr};

use netloom::Protocol;

use crate::failure::Failure;
use crate::fields::Fields;
use crate::waiting::Mapping;

/// An entry of `portMappings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortMapping {
    host_port: u16,
    container_port: u16,
    protocol: Protocol,
    host_address: Option<IpAddr>,
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
        })
    }

    /// Returns the mapping to a container's address, or `None` if the host's address is of the
    /// other family. The reference plugin skips such a mapping too, because another network of the
    /// container may have an address of that family.
    pub(crate) fn to(&self, container: IpAddr) -> Option<Mapping> {
        let is_other =
            self.host_address.is_some_and(|address| address.is_ipv4() != container.is_ipv4());
        (!is_other).then_some(Mapping {
            protocol: self.protocol,
            host_address: self.host_address.filter(|address| !address.is_unspecified()),
            host_port: self.host_port,
            target: container,
            target_port: self.container_port,
        })
    }
}

/// Checks the fields of the reference plugin `portmap` that apply to all ports. This plugin's rules
/// mark no packets, and masquerade only connections whose replies would otherwise be lost.
pub(crate) fn check_network(fields: &Fields<'_>) -> Result<(), Failure> {
    const BIT: &str = "markMasqBit";
    fields.flag("snat")?;
    let has_chain = fields.text("externalSetMarkChain")?.is_some_and(|name| !name.is_empty());
    if fields.number(BIT, 0..=31)?.is_some() && has_chain {
        return Err(fields.refuse(BIT, "possible together with externalSetMarkChain"));
    }
    for name in ["conditionsV4", "conditionsV6"] {
        if !fields.list(name)?.is_empty() {
            return Err(fields.unsupported(name).details("these are arguments of iptables"));
        }
    }
    Ok(())
}
