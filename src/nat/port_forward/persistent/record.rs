//! A persistent mapping as the text that its table keeps of it.
//!
//! `0.0.0.0:8080-8090->10.0.0.2:80/tcp%5#1f`: what is forwarded, the link that leads to the container, and
//! a number that no other with this text has, as it is made of the generation of the ruleset and of the socket that
//! it was made with; both in hexadecimal digits, so that the longest fits into a comment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::nat::port_forward::mapping::Mapping;
use crate::port::PortRange;
use crate::protocol::Protocol;

/// What a text takes; one of IPv6 may take more.
const MOST: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) mapping: Mapping,
    pub(super) number: u32,
}

impl Record {
    /// Without the formatting of the standard library, which takes longer than the kernel does for it.
    pub(super) fn text(mapping: &Mapping, number: u64) -> String {
        let Mapping { host_address, host_ports, target, target_ports, link, protocol } = *mapping;
        let any: IpAddr = match target {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let mut text = Vec::with_capacity(MOST);
        push_end(&mut text, host_address.unwrap_or(any), host_ports.first());
        // How many ports there are is said once.
        if !host_ports.is_one() {
            text.push(b'-');
            push_number::<10>(&mut text, host_ports.last().into());
        }
        text.extend_from_slice(b"->");
        push_end(&mut text, target, target_ports.first());
        text.push(b'/');
        text.extend_from_slice(protocol.to_string().as_bytes());
        text.push(b'%');
        push_number::<16>(&mut text, link);
        text.push(b'#');
        // It was made of 32 bits.
        push_number::<16>(&mut text, u32::try_from(number).unwrap_or(u32::MAX));
        String::from_utf8(text).unwrap_or_default()
    }

    /// The link that routes loopback addresses for a mapping, if one does.
    pub(super) fn local_link(text: &str) -> Option<u32> {
        let Self { mapping, .. } = Self::read(text)?;
        mapping.is_at_loopback().then_some(mapping.link)
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let (text, number) = text.rsplit_once('#')?;
        let (text, link) = text.rsplit_once('%')?;
        let (text, protocol) = text.rsplit_once('/')?;
        let (host, target) = text.split_once("->")?;
        let protocols =
            [Protocol::TCP, Protocol::UDP, Protocol::SCTP, Protocol::DCCP, Protocol::UDPLITE];
        let protocol = protocols.into_iter().find(|one| one.to_string() == protocol)?;
        let (host_address, host_ports) = end(host)?;
        let target: SocketAddr = target.parse().ok()?;
        let (target, first) = (target.ip(), target.port());
        let more = host_ports.last().checked_sub(host_ports.first())?;
        let target_ports = PortRange::from(first..=first.checked_add(more)?);
        let (link, number) =
            (u32::from_str_radix(link, 16).ok()?, u32::from_str_radix(number, 16).ok()?);
        let is_fine = host_address.is_ipv4() == target.is_ipv4()
            && host_ports.check().is_ok()
            && target_ports.check().is_ok();
        let host_address = Some(host_address).filter(|address| !address.is_unspecified());
        let mapping = Mapping { protocol, host_address, host_ports, target, target_ports, link };
        is_fine.then_some(Self { mapping, number })
    }
}

/// As a `SocketAddr` is shown.
fn push_end(text: &mut Vec<u8>, address: IpAddr, port: u16) {
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    text.push(b'.');
                }
                push_number::<10>(text, octet.into());
            }
        }
        IpAddr::V6(address) => {
            text.push(b'[');
            text.extend_from_slice(address.to_string().as_bytes());
            text.push(b']');
        }
    }
    text.push(b':');
    push_number::<10>(text, port.into());
}

fn push_number<const RADIX: u32>(text: &mut Vec<u8>, number: u32) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    const MOST: usize = 10;
    let (mut digits, mut start, mut rest) = ([0; MOST], MOST, number);
    loop {
        start -= 1;
        digits[start] = DIGITS[(rest % RADIX) as usize];
        rest /= RADIX;
        if rest == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[start..]);
}

fn end(text: &str) -> Option<(IpAddr, PortRange)> {
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

    fn mapping(
        protocol: Protocol,
        host: (Option<&str>, PortRange),
        target: (&str, PortRange),
    ) -> Mapping {
        Mapping {
            protocol,
            host_address: host.0.map(|address| address.parse().unwrap()),
            host_ports: host.1,
            target: target.0.parse().unwrap(),
            target_ports: target.1,
            link: 7,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let web = ("10.0.0.2", 8080.into());
        let all = PortRange::from(1..=65_535);
        let some = PortRange::from(80..=89);
        for mapping in [
            mapping(Protocol::TCP, (None, 8080.into()), web),
            mapping(Protocol::UDP, (Some("127.0.0.1"), 8080.into()), ("10.0.0.2", 80.into())),
            mapping(Protocol::SCTP, (None, all), ("fd00::2", all)),
            mapping(Protocol::TCP, (Some("fd00::1"), (5000..=5009).into()), ("fd00::2", some)),
        ] {
            let text = Record::text(&mapping, 17);
            assert_eq!(Record::read(&text), Some(Record { mapping, number: 17 }), "{text}");
            assert!(text.len() <= 128, "{text}");
            for length in 0..text.len() {
                Record::read(&text[..length]);
            }
        }
        for bad in ["0.0.0.0:0->10.0.0.2:0/tcp%1#1", "[::]:1->10.0.0.2:1/tcp%1#1"] {
            assert_eq!(Record::read(bad), None);
        }
    }

    #[test]
    fn the_longest_fits_into_a_comment() {
        let address = "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let (host, target) = ((10_000..=20_000).into(), (30_000..=40_000).into());
        let longest = mapping(Protocol::UDPLITE, (Some(address), host), (address, target));
        let text = Record::text(&Mapping { link: u32::MAX, ..longest }, u32::MAX.into());
        assert!(text.len() <= 128, "{} {text}", text.len());
    }
}
