//! References from rules to sets and maps: named or anonymous.

use std::fmt;

use super::constant::{Constant, Interval};
use super::element::{Element, join};
use super::field::Field;
use super::interval::{DataKind, Shape};
use super::network::Network;
use super::types::Type;

/// A set or map: a named set of the table, or an anonymous set inside the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SetRef {
    Named(String),
    Anonymous { elements: Vec<Element>, interval: bool },
}

impl SetRef {
    pub(crate) fn anonymous(mut elements: Vec<Element>) -> Self {
        let interval = has_intervals(&elements);
        elements.sort();
        elements.dedup();
        Self::Anonymous { elements, interval }
    }

    /// Returns the family of the addresses in an anonymous map.
    pub(crate) fn network(&self) -> Option<Network> {
        let Self::Anonymous { elements, .. } = self else { return None };
        match elements.first()?.data().first()? {
            Constant::Address(address) => Some(Network::of_address(*address)),
            _ => None,
        }
    }
}

/// Formats the value as `nft` does.
impl fmt::Display for SetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "@{name}"),
            Self::Anonymous { elements, .. } => {
                f.write_str("{ ")?;
                join(f, elements, ", ")?;
                f.write_str(" }")
            }
        }
    }
}

/// A look-up in a map: the fields of the key, and the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MapLookup {
    pub(crate) key: Vec<Field>,
    pub(crate) map: SetRef,
}

/// Formats the value as `nft` does.
impl fmt::Display for MapLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, &self.key, " . ")?;
        write!(f, " map {}", self.map)
    }
}

/// Returns the shape of a set whose key has these fields.
pub(crate) fn shape_of(fields: &[Field], data: Option<DataKind>, interval: bool) -> Shape {
    let key = fields.iter().map(|field| field.value_type()).collect();
    Shape { key, data, interval, timeout: false }
}

/// Returns whether the elements need a set with intervals.
pub(crate) fn has_intervals(elements: &[Element]) -> bool {
    elements.iter().flat_map(Element::key).any(|interval| !matches!(interval, Interval::One(_)))
}

/// Returns the types of the data (an address, or an address and a port) from the first element.
pub(crate) fn address_data(elements: &[Element]) -> Result<DataKind, String> {
    let first = elements.first().map(Element::data).unwrap_or_default();
    let address = match first {
        [Constant::Address(address), ..] if address.is_ipv4() => Type::Ipv4,
        [Constant::Address(_), ..] => Type::Ipv6,
        _ => return Err("no element has an address".into()),
    };
    Ok(DataKind::Values(if first.len() > 1 { vec![address, Type::Port] } else { vec![address] }))
}
