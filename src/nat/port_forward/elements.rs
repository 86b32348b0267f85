//! The elements of mappings: their ports in one of two maps, their containers, and the links that route
//! loopback addresses for them.

use std::net::IpAddr;

use super::mapping::{Container, Mapping, Port};
use super::ruleset::{ADDRESSED, ANY};
use crate::wire::attribute::Writer;
use crate::wire::nft::data::Value;
use crate::wire::nft::element::{Element, ListElement, PlainData, PlainElement};
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
}

impl ListElement for PortElement<'_> {
    fn write(&self, out: &mut Writer<'_>) {
        let (_, key) = place_of(self.port);
        let data = self.target.map(|(address, port)| {
            let mut data = Value::from(address);
            data.append_bytes(port.to_be_bytes());
            data
        });
        let data = data.as_ref().map(PlainData::Value);
        PlainElement { key: &key, data, comment: self.comment }.write(out);
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
