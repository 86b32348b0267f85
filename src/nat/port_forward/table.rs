//! The table of published ports of one family: its name and its elements.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::mapping::{Mapping, Port};
use crate::nft::Transaction;
use crate::wire::attribute::{Attribute, Writer};
use crate::wire::message::{NLM_F_CREATE, NLM_F_EXCL};
use crate::wire::nft::data::{Data, Value};
use crate::wire::nft::element::{
    Element, ElementsOf, ListElement, PairElement, PlainData, PlainElement,
};
use crate::wire::nft::message::{Family, MessageType};
use crate::wire::nft::table::{Table, TableFlags};
use crate::wire::nft::userdata::{Comment, UserData};

/// The name of the map of ports that are published at one address.
pub(super) const ADDRESSED: &str = "addressed";
/// The name of the map of ports that are published at all local addresses.
pub(super) const ANY: &str = "any";
/// The name of the set with pairs of links; connections to containers between them are masqueraded.
pub(super) const HAIRPIN: &str = "hairpin";
/// The name of the set of links that have to route loopback addresses.
pub(super) const LOCAL: &str = "local";

/// The name of the persistent tables, and the prefix of the held ones.
const PERSISTENT: &str = "netloom-ports";
/// The comment that distinguishes the persistent table from tables of other programs.
pub(super) const MARK: &str = "published ports of netloom, by tag";

/// The type and flags of a message that adds elements, and fails if one of them exists.
pub(super) const NEW: (MessageType, u16) = (MessageType::NewElement, NLM_F_CREATE | NLM_F_EXCL);

/// The state of a listed table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Whole,
    /// Another program deleted rules, sets or maps, or made the table dormant.
    Broken,
    /// A table of another program with the name of the persistent table.
    Foreign,
}

/// A table of published ports: its name, family and owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PortTable {
    pub(super) name: Arc<str>,
    pub(super) is_ipv4: bool,
    /// The port of the socket that owns the table; `None` for the persistent table.
    pub(super) owner: Option<u32>,
}

impl PortTable {
    /// Returns the table that the socket with this port owns, or the persistent table. The name of
    /// an owned table is unique, because the port is.
    pub(super) fn new(owner: Option<u32>, is_ipv4: bool) -> Self {
        let name = match owner {
            Some(owner) => format!("{PERSISTENT}-{owner}").into(),
            None => PERSISTENT.into(),
        };
        Self { name, is_ipv4, owner }
    }

    /// Recognizes a table of published ports in a list of tables, without reading its rules.
    pub(super) fn of(family: Family, table: &Table) -> Option<(Self, State)> {
        let is_ipv4 = match family {
            Family::Ip => true,
            Family::Ip6 => false,
            _ => return None,
        };
        let found = Self::new(table.owner, is_ipv4);
        if table.name.as_deref() != Some(&*found.name) {
            return None;
        }
        let comment = table.userdata.as_ref().and_then(UserData::as_comment);
        let is_ours = found.is_held() || comment == Some(MARK);
        let is_dormant = table.flags.unwrap_or_default().contains(TableFlags::DORMANT);
        let state = match (is_ours, is_dormant) {
            (true, false) => State::Whole,
            (true, true) => State::Broken,
            (false, _) => State::Foreign,
        };
        Some((found, state))
    }

    pub(super) fn is_held(&self) -> bool {
        self.owner.is_some()
    }

    pub(super) fn family(&self) -> Family {
        if self.is_ipv4 { Family::Ip } else { Family::Ip6 }
    }

    /// Returns the length of an address, in bytes.
    pub(super) fn address_length(&self) -> u32 {
        if self.is_ipv4 { 4 } else { 16 }
    }

    /// Describes the mapping that already has a port: by its tag, or by its ports and its target.
    pub(super) fn holder(&self, (protocol, host_address, port): Port, element: &Element) -> String {
        if !self.is_held() {
            let tag = element.userdata.as_ref().and_then(UserData::as_comment);
            return format!("`{}`", tag.unwrap_or_default());
        }
        let data = match &element.data {
            Some(Data::Value(value)) => value.as_slice(),
            _ => &[],
        };
        let (address, rest) =
            data.split_at_checked(self.address_length() as usize).unwrap_or_default();
        let target_port = Attribute::of(rest).u16_be().unwrap_or(port);
        match Attribute::of(address).ip() {
            Some(target) => Mapping {
                protocol,
                host_address,
                host_ports: port.into(),
                target,
                target_ports: target_port.into(),
                link: 0,
            }
            .to_string(),
            None => format!("the table `{}`", self.name),
        }
    }

    /// Adds or deletes ports. `ports` returns those at one address if its argument is true, and
    /// those at all addresses otherwise.
    pub(super) fn push_ports<'p, P: Iterator<Item = PortElement<'p>>>(
        &self,
        transaction: &mut Transaction,
        (kind, flags): (MessageType, u16),
        ports: impl Fn(bool) -> P,
    ) {
        for (set, is_addressed) in [(ADDRESSED, true), (ANY, false)] {
            let of = ElementsOf::new(&self.name, set);
            transaction.push_elements(kind, flags, self.family(), &of, ports(is_addressed));
        }
    }

    /// Adds or deletes the elements that all mappings of a link share. Adding an existing element
    /// succeeds.
    pub(super) fn push_links(
        &self,
        transaction: &mut Transaction,
        kind: MessageType,
        (hairpin, local): (&[u32], &[u32]),
    ) {
        let flags = if kind == MessageType::NewElement { NLM_F_CREATE } else { 0 };
        let pairs = hairpin.iter().flat_map(|&link| [(link, link), (0, link)]);
        let pairs = pairs.map(|(from, to)| Element::new(link_pair(from, to)));
        let of = ElementsOf::new(&self.name, HAIRPIN);
        transaction.push_elements(kind, flags, self.family(), &of, pairs);
        let of = ElementsOf::new(&self.name, LOCAL);
        let links = local.iter().map(|&link| Element::new(Value::host_u32(link)));
        transaction.push_elements(kind, flags, self.family(), &of, links);
    }

    pub(super) fn push_delete(&self, transaction: &mut Transaction) {
        let table = Table::by_name(&self.name);
        transaction.push(MessageType::DeleteTable, 0, self.family(), &table);
    }

    /// Returns for each port its map and its key in that map.
    pub(super) fn places<'t>(&'t self, ports: &[Port]) -> Vec<(ElementsOf<'t>, Value)> {
        let place = |port: &Port| {
            let set = if port.1.is_some() { ADDRESSED } else { ANY };
            (ElementsOf::new(&self.name, set), key(*port))
        };
        ports.iter().map(place).collect()
    }
}

fn key((protocol, address, port): Port) -> Value {
    let mut key = Value::from(protocol.number());
    if let Some(address) = address {
        key.append_address(address);
    }
    key.append_bytes(port.to_be_bytes());
    key
}

/// Returns a key: the link by which a connection enters, and the link by which it leaves.
pub(super) fn link_pair(from: u32, to: u32) -> Value {
    let mut key = Value::host_u32(from);
    key.append_bytes(to.to_ne_bytes());
    key
}

/// The element of a port, with the address and port of the container. Without these it serves to
/// delete the element.
#[derive(Debug, Clone, Copy)]
pub(super) struct PortElement<'a> {
    pub(super) port: Port,
    pub(super) target: Option<(IpAddr, u16)>,
    pub(super) comment: Option<Comment<'a>>,
}

impl<'a> PortElement<'a> {
    /// The maximum size of an element without a comment in a request, in bytes.
    pub(super) const MOST: usize = 68;

    /// Returns the elements of a mapping, to be added.
    pub(super) fn of(mapping: Mapping, comment: Option<Comment<'a>>) -> impl Iterator<Item = Self> {
        let ports = mapping.ports();
        ports.map(move |(port, target)| Self { port, target: Some(target), comment })
    }

    /// Returns the short form of the commonest elements: at all addresses, to an IPv4 address,
    /// without a comment.
    fn pair(&self) -> Option<PairElement> {
        let ((protocol, None, port), None) = (self.port, self.comment) else { return None };
        let data = match self.target {
            None => None,
            Some((IpAddr::V4(address), port)) => Some(registers(address.octets(), port)),
            Some((IpAddr::V6(_), _)) => return None,
        };
        Some(PairElement { key: registers([protocol.number(), 0, 0, 0], port), data })
    }

    fn write_plain(&self, out: &mut Writer<'_>) {
        let data = self.target.map(|(address, port)| {
            let mut data = Value::from(address);
            data.append_bytes(port.to_be_bytes());
            data
        });
        let data = data.as_ref().map(PlainData::Value);
        PlainElement { key: &key(self.port), data, comment: self.comment }.write(out);
    }
}

/// Returns the content of two registers of four bytes: an address or a protocol, and a port.
fn registers([a, b, c, d]: [u8; 4], port: u16) -> [u8; 8] {
    let [high, low] = port.to_be_bytes();
    [a, b, c, d, high, low, 0, 0]
}

impl ListElement for PortElement<'_> {
    fn write(&self, out: &mut Writer<'_>) {
        match self.pair() {
            Some(pair) => pair.write(out),
            None => self.write_plain(out),
        }
    }
}

impl fmt::Display for PortTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table `{}`", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Protocol;

    #[test]
    fn the_short_form_of_a_port_has_the_bytes_of_the_long_form() {
        let written = |write: &dyn Fn(&mut Writer<'_>)| {
            let mut bytes = Vec::new();
            write(&mut Writer::new(&mut bytes));
            bytes
        };
        let target = Some((IpAddr::from([10, 0, 0, 2]), 8080));
        for (protocol, target) in [(Protocol::TCP, target), (Protocol::UDP, None)] {
            let one = PortElement { port: (protocol, None, 443), target, comment: None };
            assert!(one.pair().is_some());
            assert_eq!(written(&|out| one.write(out)), written(&|out| one.write_plain(out)));
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
