//! A mapping: published ports, with the address and ports of the container.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::errno::Errno;

use crate::error::{Cause, Error};
use crate::port::PortRange;
use crate::protocol::Protocol;

pub(super) const ACTION: &str = "publish port";

/// The protocol, the address (`None` for all local addresses) and the number of a published port.
pub(super) type Port = (Protocol, Option<IpAddr>, u16);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) protocol: Protocol,
    pub(super) host_address: Option<IpAddr>,
    pub(super) host_ports: PortRange,
    pub(super) target: IpAddr,
    pub(super) target_ports: PortRange,
    /// The index of the link to the container.
    pub(super) link: u32,
}

impl Mapping {
    /// Returns each published port with the container's address and port.
    pub(super) fn ports(self) -> impl Iterator<Item = (Port, (IpAddr, u16))> + Clone {
        let Self { protocol, host_address, host_ports, target, target_ports, .. } = self;
        let (first, last, to) = (host_ports.first(), host_ports.last(), target_ports.first());
        // Both ranges have the same length. One counter is faster than two iterators.
        (0..last.saturating_sub(first).saturating_add(1)).map(move |nth| {
            let (port, target_port) = (first.wrapping_add(nth), to.wrapping_add(nth));
            ((protocol, host_address, port), (target, target_port))
        })
    }

    pub(super) fn is_ipv4(self) -> bool {
        self.target.is_ipv4()
    }

    /// Returns whether the port is published at a loopback address. Replies to that address need
    /// `route_localnet`.
    pub(super) fn covers_loopback(self) -> bool {
        self.is_ipv4() && self.host_address.is_none_or(|address| address.is_loopback())
    }
}

/// Formats the mapping like `docker port`: `0.0.0.0:8080->10.0.0.2:80/tcp`.
impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = match self.target {
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let end = |f: &mut fmt::Formatter<'_>, address: IpAddr, ports: PortRange| {
            write!(f, "{}", SocketAddr::new(address, ports.first()))?;
            if ports.is_one() { Ok(()) } else { write!(f, "-{}", ports.last()) }
        };
        end(f, self.host_address.unwrap_or(any), self.host_ports)?;
        f.write_str("->")?;
        end(f, self.target, self.target_ports)?;
        write!(f, "/{}", self.protocol)
    }
}

/// Refuses mappings if two of them publish the same port.
pub(super) fn refuse_duplicates(mappings: &[Mapping]) -> Result<(), Error> {
    match duplicate(mappings) {
        Some((holder, refused)) => Err(taken(refused, holder)),
        None => Ok(()),
    }
}

/// Returns two mappings that publish the same port, the earlier one first.
fn duplicate(mappings: &[Mapping]) -> Option<(&Mapping, &Mapping)> {
    let place = |one: &Mapping| (one.is_ipv4(), one.protocol, one.host_address);
    let is_before = |one: &Mapping, next: &Mapping| {
        one.host_ports.last() < next.host_ports.first() && place(one) == place(next)
    };
    // If the ports are in order, as usual, no sort is needed.
    if mappings.windows(2).all(|pair| is_before(&pair[0], &pair[1])) {
        return None;
    }
    let mut by_port: Vec<_> = mappings.iter().enumerate().collect();
    by_port.sort_by(|(_, one), (_, other)| {
        let key = |one: &Mapping| (place(one), one.host_ports.first());
        key(one).cmp(&key(other))
    });
    by_port.windows(2).find_map(|pair| {
        let [(before, known), (at, one)] = [pair[0], pair[1]];
        let is_common =
            place(known) == place(one) && known.host_ports.last() >= one.host_ports.first();
        is_common.then_some(if before < at { (known, one) } else { (one, known) })
    })
}

/// Returns the error if `holder` already has the port.
pub(super) fn taken(refused: &dyn fmt::Display, holder: &dyn fmt::Display) -> Error {
    Cause::from(Errno::EEXIST).doing(ACTION, refused).hint(format!("{holder} has the port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(ports: std::ops::RangeInclusive<u16>, target: &str) -> Mapping {
        let ports = PortRange::from(ports);
        Mapping {
            protocol: Protocol::TCP,
            host_address: None,
            host_ports: ports,
            target: target.parse().unwrap(),
            target_ports: ports,
            link: 0,
        }
    }

    #[test]
    fn two_mappings_with_a_port_in_common_are_found() {
        let ten = mapping(10..=20, "10.0.0.2");
        for (other, is_found) in [
            (mapping(20..=20, "10.0.0.3"), true),
            (mapping(21..=21, "10.0.0.3"), false),
            (mapping(1..=9, "10.0.0.3"), false),
            (mapping(1..=100, "10.0.0.3"), true),
            (mapping(12..=13, "10.0.0.3"), true),
            (mapping(10..=20, "fd00::2"), false),
            (Mapping { protocol: Protocol::UDP, ..ten }, false),
            (Mapping { host_address: Some([127, 0, 0, 1].into()), ..ten }, false),
        ] {
            let found = is_found.then_some((&ten, &other));
            let turned = is_found.then_some((&other, &ten));
            assert_eq!(duplicate(&[ten, other]), found, "{other}");
            assert_eq!(duplicate(&[other, ten]), turned, "{other}");
            assert_eq!(duplicate(&[mapping(30..=30, "10.0.0.9"), ten, other]), found, "{other}");
        }
    }

    #[test]
    fn a_mapping_reads_as_docker_prints_it() {
        assert_eq!(mapping(80..=80, "10.0.0.2").to_string(), "0.0.0.0:80->10.0.0.2:80/tcp");
        assert_eq!(mapping(5..=9, "fd00::2").to_string(), "[::]:5-9->[fd00::2]:5-9/tcp");
    }
}
