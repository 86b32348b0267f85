//! Waiting port mappings: another network of the same container has published the same port. DEL
//! of that network publishes the waiting mapping. They are stored in an nf_tables table: one
//! element for each mapping, with the attachment's tag as comment.

use std::net::IpAddr;

use netloom::nft::{Constant, Element, ElementHandle, Family, Map, SetHandle, Table, TableHandle};
use netloom::nft::{Interval, Type};
use netloom::{Netns, Owned, PortForward, PortForwardHandle, Protocol};

use crate::failure::Failure;

const TABLE: &str = "netloom-cni-waiting";
/// The maps that store IPv4 and IPv6 mappings.
const MAPS: [&str; 2] = ["waiting4", "waiting6"];

/// A port mapping: a port of the host, and the address and port of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mapping {
    pub(crate) protocol: Protocol,
    /// The host's address, `None` for all addresses.
    pub(crate) host_address: Option<IpAddr>,
    pub(crate) host_port: u16,
    pub(crate) target: IpAddr,
    pub(crate) target_port: u16,
}

impl Mapping {
    pub(crate) fn forward(&self, tag: &str) -> PortForward {
        let forward = PortForward::new(self.host_port, self.target)
            .target_port(self.target_port)
            .protocol(self.protocol)
            .persistent(tag);
        match self.host_address {
            Some(address) => forward.host_address(address),
            None => forward,
        }
    }

    /// Returns whether a published port conflicts with this mapping.
    pub(crate) fn collides_with(&self, port: &PortForwardHandle) -> bool {
        let ports = port.host_ports();
        self.protocol == port.protocol()
            && self.host_address == port.host_address()
            && self.target.is_ipv4() == port.target().is_ipv4()
            && (ports.first()..=ports.last()).contains(&self.host_port)
    }

    fn map(&self) -> &'static str {
        MAPS[usize::from(self.target.is_ipv6())]
    }

    /// Returns the element that stores this mapping. The key is the hash in the tag, and `number`.
    fn element(&self, tag: &str, number: u32) -> Element {
        let hash = tag.rsplit('.').next().unwrap_or_default();
        let half = |text: Option<&str>| text.and_then(|text| u32::from_str_radix(text, 16).ok());
        let [high, low] = [hash.get(..8), hash.get(8..)].map(|text| half(text).unwrap_or(0));
        let any = if self.target.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
        let values: [Constant; 5] = [
            self.protocol.number().into(),
            self.host_address.unwrap_or(any).into(),
            self.host_port.into(),
            self.target.into(),
            self.target_port.into(),
        ];
        Element::new((high, low, number)).values(values).comment(tag)
    }

    fn of(element: &Element) -> Option<Self> {
        let [protocol, host_address, host_port, target, target_port] = element.data() else {
            return None;
        };
        let number = |value: &Constant| match value {
            Constant::Number(number) => u16::try_from(*number).ok(),
            _ => None,
        };
        let address = |value: &Constant| match value {
            Constant::Address(address) => Some(*address),
            _ => None,
        };
        Some(Self {
            protocol: u8::try_from(number(protocol)?).ok()?.into(),
            host_address: address(host_address).filter(|address| !address.is_unspecified()),
            host_port: number(host_port)?,
            target: address(target)?,
            target_port: number(target_port)?,
        })
    }
}

fn find(host: &Netns) -> Result<Option<TableHandle>, Failure> {
    let tables = host.nft_tables_with_tag(TABLE)?;
    Ok(tables.into_iter().find(|table| table.name() == TABLE))
}

fn map(name: &'static str) -> Map {
    let address = if name == MAPS[0] { Type::Ipv4 } else { Type::Ipv6 };
    let data = [Type::Protocol, address, Type::Port, address, Type::Port];
    Map::new(name, [Type::Mark; 3], data)
}

fn create(host: &Netns) -> Result<TableHandle, Failure> {
    let table = Table::new(Family::Inet, TABLE).persistent(TABLE);
    let table = MAPS.into_iter().map(map).fold(table, Table::map);
    match table.create(host) {
        Ok(made) => Ok(made.keep()),
        // Another ADD created the table meanwhile.
        Err(error) => find(host)?.ok_or_else(|| error.into()),
    }
}

/// Stores mappings that wait for their port. Dropping the result removes them, unless kept.
pub(crate) fn add(
    host: &Netns,
    tag: &str,
    mappings: &[Mapping],
) -> Result<Vec<Owned<ElementHandle>>, Failure> {
    if mappings.is_empty() {
        return Ok(Vec::new());
    }
    let table = match find(host)? {
        Some(table) => table,
        None => create(host)?,
    };
    let numbered = (0..).zip(mappings);
    let made = numbered.map(|(number, mapping)| {
        let name = mapping.map();
        let map = match table.set(name) {
            // Another program deleted the map.
            Err(error) if error.is_not_found() => map(name).create(&table)?.keep(),
            found => found?,
        };
        Ok(mapping.element(tag, number).create(&map)?)
    });
    made.collect()
}

/// A stored mapping and the tag of its attachment.
struct Waiting {
    tag: String,
    mapping: Mapping,
    map: SetHandle,
    key: Element,
}

fn all(host: &Netns) -> Result<Vec<Waiting>, Failure> {
    let Some(table) = find(host)? else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for name in MAPS {
        let map = match table.set(name) {
            Err(error) if error.is_not_found() => continue,
            map => map?,
        };
        for element in map.elements()? {
            let (Some(tag), Some(mapping)) = (element.comment_of(), Mapping::of(&element)) else {
                continue;
            };
            let [a, b, c] = element.key() else { continue };
            let key: (Interval, Interval, Interval) = (a.clone(), b.clone(), c.clone());
            let (tag, map, key) = (tag.to_owned(), map.clone(), Element::from(key));
            all.push(Waiting { tag, mapping, map, key });
        }
    }
    Ok(all)
}

/// Returns the waiting mappings of an attachment.
pub(crate) fn of_tag(host: &Netns, tag: &str) -> Result<Vec<Mapping>, Failure> {
    let all = all(host)?.into_iter().filter(|waiting| waiting.tag == tag);
    Ok(all.map(|waiting| waiting.mapping).collect())
}

/// Removes the waiting mappings of attachments that are gone. Publishes the mappings that waited for
/// the ports of these attachments. A failure to publish is reported, and the mapping keeps waiting.
pub(crate) fn hand_over(
    host: &Netns,
    is_gone: impl Fn(&str) -> bool,
    freed: &[PortForwardHandle],
) -> Result<(), Failure> {
    for waiting in all(host)? {
        let Waiting { tag, mapping, map, key } = waiting;
        if !is_gone(&tag) {
            if !freed.iter().any(|port| mapping.collides_with(port)) {
                continue;
            }
            match mapping.forward(&tag).create(host) {
                Ok(published) => drop(published.keep()),
                // A third network of the container has published the port.
                Err(error) if error.is_already_exists() => continue,
                Err(error) => {
                    eprintln!("netloom-cni: {error}");
                    continue;
                }
            }
        }
        match map.remove([key]) {
            Err(error) if error.is_not_found() => {}
            removed => removed?,
        }
    }
    Ok(())
}
