//! A persistent mapping as the text that its table keeps of it.
//!
//! `0.0.0.0:8080-8090->10.0.0.2:80/tcp%5#1f`: what is forwarded, the link that leads to the container, and
//! the generation it was made at, which no other with this text has; both in hexadecimal digits, so that the
//! longest fits into a comment.

use std::net::{IpAddr, SocketAddr};

use super::builder::PortForward;
use crate::port::PortRange;
use crate::protocol::Protocol;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) forward: PortForward,
    pub(super) target: IpAddr,
    pub(super) link: u32,
    pub(super) number: u32,
}

impl Record {
    pub(super) fn text(forward: &PortForward, link: u32, number: u64) -> String {
        let text = forward.to_string();
        let (host, target) = text.split_once("->").unwrap_or((&text, ""));
        // How many ports there are is said once.
        let (target, protocol) = target.rsplit_once('/').unwrap_or((target, ""));
        let target = target.split_once('-').map_or(target, |(first, _)| first);
        format!("{host}->{target}/{protocol}%{link:x}#{number:x}")
    }

    /// The link that routes loopback addresses for a mapping, if one does.
    pub(super) fn local_link(text: &str) -> Option<u32> {
        let record = Self::read(text, "-")?;
        record.forward.is_at_loopback().then_some(record.link)
    }

    /// Of a mapping with this tag.
    pub(super) fn read(text: &str, tag: &str) -> Option<Self> {
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
        let mut forward = PortForward::new(host_ports, target).protocol(protocol).tagged(tag);
        if target_ports != host_ports {
            forward = forward.target_port(target_ports);
        }
        if !host_address.is_unspecified() {
            forward = forward.host_address(host_address);
        }
        let (link, number) =
            (u32::from_str_radix(link, 16).ok()?, u32::from_str_radix(number, 16).ok()?);
        forward.check().is_ok().then_some(Self { forward, target, link, number })
    }
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

    #[test]
    fn what_is_written_is_read() {
        let forwards = [
            PortForward::new(8080, "10.0.0.2"),
            PortForward::new(8080, "10.0.0.2").udp().target_port(80).host_address("127.0.0.1"),
            PortForward::new(1..=65_535, "fd00::2").sctp(),
            PortForward::new(5000..=5009, "fd00::2").target_port(80..=89).host_address("fd00::1"),
        ];
        for forward in forwards.map(|forward| forward.tagged("web")) {
            let text = Record::text(&forward, 7, 17);
            let record = Record::read(&text, "web").unwrap();
            assert_eq!((&record.forward, record.link, record.number), (&forward, 7, 17), "{text}");
            assert!(text.len() <= 128, "{text}");
            for length in 0..text.len() {
                Record::read(&text[..length], "web");
            }
        }
        assert_eq!(Record::read("0.0.0.0:0->10.0.0.2:0/tcp%1#1", "web"), None);
    }

    #[test]
    fn the_longest_fits_into_a_comment() {
        let address = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let address = address.replacen("ffff", "fdff", 1);
        let forward = PortForward::new(10_000..=20_000, address.as_str())
            .target_port(30_000..=40_000)
            .protocol(Protocol::UDPLITE)
            .host_address(address.as_str())
            .tagged("web");
        let text = Record::text(&forward, u32::MAX, u32::MAX.into());
        assert!(text.len() <= 128, "{} {text}", text.len());
    }
}
