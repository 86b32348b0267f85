//! The elements of a mapping: its ports in one of two maps, and its container.

use std::net::IpAddr;

use super::mapping::{Container, Port};
use super::ruleset::{ADDRESSED, ANY};
use crate::wire::attribute::Writer;
use crate::wire::nft::data::Value;
use crate::wire::nft::element::{Element, ListElement, PlainData, PlainElement};
use crate::wire::nft::userdata::Comment;

/// What a mapping and a container are elements of.
#[derive(Debug, Default)]
pub(super) struct Elements<'a> {
    pub(super) addressed: Vec<PortElement<'a>>,
    pub(super) any: Vec<PortElement<'a>>,
    pub(super) hairpin: Vec<Element>,
    /// Links that have to route loopback addresses; a persistent table notes them itself.
    pub(super) local: Vec<Element>,
}

/// A port, with what it leads to; without, to be deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct PortElement<'a> {
    port: Port,
    target: Option<(IpAddr, u16)>,
    comment: Option<Comment<'a>>,
}

impl ListElement for PortElement<'_> {
    fn write(&self, out: &mut Writer<'_>) {
        let (_, key) = place_of(self.port);
        let data = self.target.map(|(address, port)| {
            let mut data = Value::from(address);
            data.append_bytes(port.to_be_bytes());
            data
        });
        let data = data.as_ref().map(|data| PlainData::Value(data.as_slice()));
        PlainElement { key: key.as_slice(), data, comment: self.comment }.write(out);
    }
}

impl<'a> Elements<'a> {
    /// With room for so many ports.
    pub(super) fn for_ports(count: usize) -> Self {
        Self { any: Vec::with_capacity(count), ..Self::default() }
    }

    /// A port that leads to a container; without one, to delete it.
    pub(super) fn add_port(
        &mut self,
        port: Port,
        target: Option<(IpAddr, u16)>,
        comment: Option<Comment<'a>>,
    ) {
        let list = if port.1.is_some() { &mut self.addressed } else { &mut self.any };
        list.push(PortElement { port, target, comment });
    }

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
