//! A persistent mapping as text, which its table keeps as a comment.
//!
//! `0.0.0.0:8080-8090->10.0.0.2:80-90/tcp%5#1f` consists of the mapping, the index of the link to
//! the container, and a number, both hexadecimal. The number differs for equal mappings created at
//! different times.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::mapping::Mapping;
use crate::port::PortRange;
use crate::protocol::Protocol;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) mapping: Mapping,
    pub(super) number: u32,
}

/// Writes only the first of the target's ports: both ranges have the same length.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mapping, number } = self;
        let first = mapping.target_ports.first().into();
        let short = Mapping { target_ports: first, ..*mapping };
        write!(f, "{short}%{:x}#{number:x}", mapping.link)
    }
}

impl Record {
    /// Reads the text that `Display` writes.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (text, number) = text.rsplit_once('#')?;
        let (text, link) = text.rsplit_once('%')?;
        let (text, protocol) = text.rsplit_once('/')?;
        let (host, target) = text.split_once("->")?;
        let protocols =
            [Protocol::TCP, Protocol::UDP, Protocol::SCTP, Protocol::DCCP, Protocol::UDPLITE];
        let protocol = protocols.into_iter().find(|one| one.to_string() == protocol)?;
        let (host_address, host_ports) = address_and_ports(host)?;
        let target: SocketAddr = target.parse().ok()?;
        let (target, first) = (target.ip(), target.port());
        let more = host_ports.last().checked_sub(host_ports.first())?;
        let target_ports = PortRange::from(first..=first.checked_add(more)?);
        let hexadecimal = |digits: &str| u32::from_str_radix(digits, 16).ok();
        let (link, number) = (hexadecimal(link)?, hexadecimal(number)?);
        let is_valid = host_address.is_ipv4() == target.is_ipv4()
            && host_ports.check().is_ok()
            && target_ports.check().is_ok();
        let host_address = Some(host_address).filter(|address| !address.is_unspecified());
        let mapping = Mapping { protocol, host_address, host_ports, target, target_ports, link };
        is_valid.then_some(Self { mapping, number })
    }
}

fn address_and_ports(text: &str) -> Option<(IpAddr, PortRange)> {
    let (address, last) = match text.split_once('-') {
        Some((address, last)) => (address, Some(last)),
        None => (text, None),
    };
    let address: SocketAddr = address.parse().ok()?;
    let last = last.map_or(Some(address.port()), |last| last.parse().ok())?;
    Some((address.ip(), PortRange::from(address.port()..=last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(
        protocol: Protocol,
        host: (Option<&str>, PortRange),
        target: (&str, PortRange),
    ) -> Record {
        let mapping = Mapping {
            protocol,
            host_address: host.0.map(|address| address.parse().unwrap()),
            host_ports: host.1,
            target: target.0.parse().unwrap(),
            target_ports: target.1,
            link: 7,
        };
        Record { mapping, number: 17 }
    }

    #[test]
    fn a_written_record_is_read_back() {
        let web = ("10.0.0.2", 8080.into());
        let all = PortRange::from(1..=65_535);
        let some = PortRange::from(80..=89);
        for record in [
            record(Protocol::TCP, (None, 8080.into()), web),
            record(Protocol::UDP, (Some("127.0.0.1"), 8080.into()), ("10.0.0.2", 80.into())),
            record(Protocol::SCTP, (None, all), ("fd00::2", all)),
            record(Protocol::TCP, (Some("fd00::1"), (5000..=5009).into()), ("fd00::2", some)),
        ] {
            let text = record.to_string();
            assert_eq!(Record::read(&text), Some(record), "{text}");
            for length in 0..text.len() {
                Record::read(&text[..length]);
            }
        }
        for bad in ["0.0.0.0:0->10.0.0.2:0/tcp%1#1", "[::]:1->10.0.0.2:1/tcp%1#1"] {
            assert_eq!(Record::read(bad), None);
        }
    }

    #[test]
    fn the_longest_record_fits_into_a_comment() {
        let address = "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let (host, target) = ((10_000..=20_000).into(), (30_000..=40_000).into());
        let Record { mapping, .. } =
            record(Protocol::UDPLITE, (Some(address), host), (address, target));
        let longest = Record { mapping: Mapping { link: u32::MAX, ..mapping }, number: u32::MAX };
        assert!(longest.to_string().len() <= 128, "{longest}");
    }
}
