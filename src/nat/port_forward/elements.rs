//! The elements of mappings: their ports in one of two maps, their containers, and the links that route
//! loopback addresses for them.

use std::net::IpAddr;

use super::mapping::{Container, Mapping, Port};
use super::ruleset::{ADDRESSED, ANY};
use crate::wire::attribute::Writer;
use crate::wire::nft::data::Value;
use crate::wire::nft::element::{Element, ListElement, PairElement, PlainData, PlainElement};
use crate::wire::nft::userdata::Comment;

/// What mappings need besides their ports, and share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) hairpin: Vec<Element>,
    /// Links that have to route loopback addresses; a persistent table notes them itself.
    pub(super) local: Vec<Element>,
}

/// At which addresses ports are: each kind has a map of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// At one each.
    One,
    /// At all of them.
    Any,
}

impl Bound {
    pub(super) fn to(address: Option<IpAddr>) -> Self {
        if address.is_some() { Self::One } else { Self::Any }
    }
}

/// A port, with what it leads to; without, to be deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct PortElement<'a> {
    pub(super) port: Port,
    pub(super) target: Option<(IpAddr, u16)>,
    pub(super) comment: Option<Comment<'a>>,
}

impl PortElement<'_> {
    /// The most bytes that one without a comment takes in a list.
    pub(super) const MOST: usize = 68;

    /// Those of a mapping, to be added.
    pub(super) fn of(mapping: Mapping) -> impl Iterator<Item = Self> + Clone {
        let ports = mapping.ports();
        ports.map(|(port, target)| Self { port, target: Some(target), comment: None })
    }

    /// Those of a mapping, to be deleted.
    pub(super) fn gone(mapping: Mapping) -> impl Iterator<Item = Self> + Clone {
        mapping.ports().map(|(port, _)| Self { port, target: None, comment: None })
    }

    pub(super) fn bound(&self) -> Bound {
        Bound::to(self.port.1)
    }

    /// Written without a [`Value`], as most can be: at all addresses, to one of IPv4, without a comment.
    fn pair(&self) -> Option<PairElement> {
        let ((protocol, None, port), None) = (self.port, self.comment) else { return None };
        let data = match self.target {
            None => None,
            Some((IpAddr::V4(address), port)) => Some(registers(address.octets(), port)),
            Some((IpAddr::V6(_), _)) => return None,
        };
        Some(PairElement { key: registers([protocol.number(), 0, 0, 0], port), data })
    }

    fn plain(&self, write: impl FnOnce(PlainElement<'_>)) {
        let (_, key) = place_of(self.port);
        let data = self.target.map(|(address, port)| {
            let mut data = Value::from(address);
            data.append_bytes(port.to_be_bytes());
            data
        });
        let data = data.as_ref().map(PlainData::Value);
        write(PlainElement { key: &key, data, comment: self.comment });
    }
}

/// Two registers of four bytes each: an address or a protocol, and a port.
fn registers([a, b, c, d]: [u8; 4], port: u16) -> [u8; 8] {
    let [high, low] = port.to_be_bytes();
    [a, b, c, d, high, low, 0, 0]
}

impl ListElement for PortElement<'_> {
    fn write(&self, out: &mut Writer<'_>) {
        match self.pair() {
            Some(pair) => pair.write(out),
            None => self.plain(|plain| plain.write(out)),
        }
    }
}

impl Shared {
    /// A container that a link leads to.
    pub(super) fn add_container(&mut self, (link, address): Container) {
        for from in [link, 0] {
            self.hairpin.push(Element::new(hairpin(from, link, address)));
        }
    }

    /// A link that has to route loopback addresses.
    pub(super) fn add_local(&mut self, link: u32) {
        self.local.push(Element::new(Value::host_u32(link)));
    }
}

/// The map a port is in, and its key there.
pub(super) fn place_of((protocol, address, port): Port) -> (&'static str, Value) {
    let mut key = Value::from(protocol.number());
    if let Some(address) = address {
        key.append_address(address);
    }
    key.append_bytes(port.to_be_bytes());
    (if address.is_some() { ADDRESSED } else { ANY }, key)
}

/// The key of a container that is reached from a link, by a link.
pub(super) fn hairpin(from: u32, link: u32, address: IpAddr) -> Value {
    let mut key = Value::host_u32(from);
    key.append_bytes(link.to_ne_bytes());
    key.append_address(address);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Protocol;

    #[test]
    fn what_most_ports_are_is_written_as_all_others_are() {
        let written = |write: &dyn Fn(&mut Writer<'_>)| {
            let mut bytes = Vec::new();
            write(&mut Writer::new(&mut bytes));
            bytes
        };
        let target = Some((IpAddr::from([10, 0, 0, 2]), 8080));
        for (protocol, target) in [(Protocol::TCP, target), (Protocol::UDP, None)] {
            let one = PortElement { port: (protocol, None, 443), target, comment: None };
            assert!(one.pair().is_some());
            let plain = |out: &mut Writer<'_>| one.plain(|plain| plain.write(out));
            assert_eq!(written(&|out| one.write(out)), written(&plain));
        }
        for (address, target) in
            [(Some([10, 0, 0, 1].into()), target), (None, Some(([0; 16].into(), 80)))]
        {
            let one = PortElement { port: (Protocol::TCP, address, 443), target, comment: None };
            assert!(one.pair().is_none());
        }
        let comment = Comment::new("web");
        let one = PortElement { port: (Protocol::TCP, None, 443), target: None, comment };
        assert!(one.comment.is_some() && one.pair().is_none());
    }
}
