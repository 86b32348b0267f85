//! A mapping: what is forwarded, and by which link.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::errno::Errno;

use super::builder::{ACTION, PortForward};
use super::loopback::link_to;
use super::ruleset::SIZE;
use crate::error::{Cause, Error};
use crate::netns::Netns;
use crate::port::PortRange;
use crate::protocol::Protocol;

/// A port by all that makes it one: the protocol, the address (none for all of them), the number.
pub(super) type Port = (Protocol, Option<IpAddr>, u16);

/// A container, with the link that leads to it.
pub(super) type Container = (u32, IpAddr);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) protocol: Protocol,
    pub(super) host_address: Option<IpAddr>,
    pub(super) host_ports: PortRange,
    pub(super) target: IpAddr,
    pub(super) target_ports: PortRange,
    /// The link that leads to the container.
    pub(super) link: u32,
}

impl Mapping {
    /// Each port with where it leads.
    pub(super) fn ports(self) -> impl Iterator<Item = (Port, (IpAddr, u16))> + Clone {
        let Self { protocol, host_address, host_ports, target, target_ports, .. } = self;
        let (first, last, to) = (host_ports.first(), host_ports.last(), target_ports.first());
        // There are as many on both sides, and no port 0. Quicker than two ranges in step.
        (0..last.saturating_sub(first).saturating_add(1)).map(move |nth| {
            let (port, target_port) = (first.wrapping_add(nth), to.wrapping_add(nth));
            ((protocol, host_address, port), (target, target_port))
        })
    }

    pub(super) fn is_ipv4(self) -> bool {
        self.target.is_ipv4()
    }

    pub(super) fn container(self) -> Container {
        (self.link, self.target)
    }

    /// Whether a loopback address leads to it, so that answers have to come back to one.
    pub(super) fn is_at_loopback(self) -> bool {
        self.is_ipv4() && self.host_address.is_none_or(|address| address.is_loopback())
    }
}

/// Mappings one after the other, as often as needed: they are never copied to be in a row, as there may be
/// thousands and new memory costs more than most of what is done with them.
pub(super) trait Mappings<'m>: ExactSizeIterator<Item = &'m Mapping> + Clone {}

impl<'m, I: ExactSizeIterator<Item = &'m Mapping> + Clone> Mappings<'m> for I {}

/// Mappings that follow one another and need the same besides their ports, with how many there are: where one
/// leads, most of the next do.
pub(super) fn runs<'m>(
    mappings: impl Iterator<Item = &'m Mapping>,
) -> impl Iterator<Item = (&'m Mapping, usize)> {
    let place = |mapping: &Mapping| (mapping.container(), mapping.is_at_loopback());
    let mut rest = mappings.peekable();
    std::iter::from_fn(move || {
        let first = rest.next()?;
        let mut many = 1;
        while rest.next_if(|next| place(next) == place(first)).is_some() {
            many += 1;
        }
        Some((first, many))
    })
}

/// As `docker port` has it: `0.0.0.0:8080->10.0.0.2:80/tcp`.
impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = match self.target {
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let end = |f: &mut fmt::Formatter<'_>, address: IpAddr, ports: PortRange| {
            write!(f, "{}", SocketAddr::new(address, ports.first()))?;
            if ports.first() == ports.last() { Ok(()) } else { write!(f, "-{}", ports.last()) }
        };
        end(f, self.host_address.unwrap_or(any), self.host_ports)?;
        f.write_str("->")?;
        end(f, self.target, self.target_ports)?;
        write!(f, "/{}", self.protocol)
    }
}

/// Refused where two have a port in common.
pub(super) fn refuse_twice<'m>(mappings: impl Mappings<'m>) -> Result<(), Error> {
    match twice(mappings) {
        Some((holder, refused)) => Err(taken(refused, holder)),
        None => Ok(()),
    }
}

/// Two that have a port in common: the first to have it, and the other.
fn twice<'m>(mappings: impl Mappings<'m>) -> Option<(&'m Mapping, &'m Mapping)> {
    let place = |one: &Mapping| (one.is_ipv4(), one.protocol, one.host_address);
    let is_before = |one: &Mapping, next: &Mapping| {
        one.host_ports.last() < next.host_ports.first() && place(one) == place(next)
    };
    // As most programs have them.
    let mut pairs = mappings.clone().zip(mappings.clone().skip(1));
    if pairs.all(|(one, next)| is_before(one, next)) {
        return None;
    }
    let mut by_port: Vec<_> = mappings.enumerate().collect();
    // Stable: of two alike the first has it.
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

/// Finds the link that leads to each.
pub(super) fn find_links<'m>(
    netns: &Netns,
    forwards: &[PortForward],
    mappings: impl Iterator<Item = &'m mut Mapping>,
) -> Result<(), Error> {
    let mut known: BTreeMap<IpAddr, u32> = BTreeMap::new();
    let mut last = None;
    for (forward, mapping) in forwards.iter().zip(mappings) {
        let target = mapping.target;
        if forward.link.is_some() {
            mapping.link = link_to(netns, forward, target)?;
            continue;
        }
        mapping.link = match last {
            Some((same, link)) if same == target => link,
            _ => {
                known.extend(last);
                match known.get(&target) {
                    Some(link) => *link,
                    None => link_to(netns, forward, target)?,
                }
            }
        };
        last = Some((target, mapping.link));
    }
    Ok(())
}

pub(super) fn taken(refused: &dyn fmt::Display, holder: &dyn fmt::Display) -> Error {
    Cause::from(Errno::EEXIST).doing(ACTION, refused).hint(format!("{holder} has the port"))
}

pub(super) fn explain(error: Error) -> Error {
    error
        .hint_on(Errno::ENFILE, || format!("{SIZE} ports are forwarded, as many as a map takes"))
        .hint_on(Errno::ENOENT, || {
            "this kernel lacks a part for it (CONFIG_NFT_NAT, CONFIG_NFT_MASQ, CONFIG_NFT_FIB_IPV4, \
             CONFIG_NFT_FIB_IPV6, CONFIG_NFT_CT)"
                .into()
        })
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
    fn two_with_a_port_in_common_are_found() {
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
            assert_eq!(twice([ten, other].iter()), found, "{other}");
            assert_eq!(twice([other, ten].iter()), turned, "{other}");
            assert_eq!(twice([mapping(30..=30, "10.0.0.9"), ten, other].iter()), found, "{other}");
        }
    }

    #[test]
    fn it_reads_as_docker_has_it() {
        assert_eq!(mapping(80..=80, "10.0.0.2").to_string(), "0.0.0.0:80->10.0.0.2:80/tcp");
        assert_eq!(mapping(5..=9, "fd00::2").to_string(), "[::]:5-9->[fd00::2]:5-9/tcp");
    }
}
