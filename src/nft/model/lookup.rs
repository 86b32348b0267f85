//! What rules look up: a key of the packet's fields, in a set or map of the table or one written into the rule.

use super::datum::Datum;
use super::element::Element;
use super::encode::{has_intervals, shape_of};
use super::field::Field;
use super::interval::DataKind;
use super::name;
use super::part::Group;
use super::rule::Rule;
use super::types::Type;

const NO_KEY: &str = "a key of no fields";

impl Rule {
    /// In a set or map of the table. A name that is none and an empty key are refused.
    pub(crate) fn named(
        &mut self,
        setter: &'static str,
        fields: impl IntoIterator<Item = Field>,
        name: &str,
    ) -> (Vec<Field>, Group) {
        let fields: Vec<_> = fields.into_iter().collect();
        if let Err(reason) = name::check(name) {
            self.rejected.reject(setter, name, reason);
        } else if fields.is_empty() {
            self.rejected.reject(setter, name, NO_KEY);
        }
        (fields, Group::Named(name.to_owned()))
    }

    /// In a map written into the rule. What does not fit the key, or stands for something else, is refused.
    pub(crate) fn written(
        &mut self,
        setter: &'static str,
        fields: impl IntoIterator<Item = Field>,
        elements: impl IntoIterator<Item = Element>,
        data: impl FnOnce(&[Element]) -> Result<DataKind, String>,
    ) -> (Vec<Field>, Group) {
        let fields: Vec<_> = fields.into_iter().collect();
        let elements: Vec<_> = elements.into_iter().collect();
        let interval = has_intervals(&elements);
        let fits = || {
            let shape = shape_of(&fields, Some(data(&elements)?), interval);
            shape.encode_anonymous(&elements).map(drop)
        };
        if fields.is_empty() {
            self.rejected.reject(setter, "", NO_KEY);
        } else if elements.is_empty() {
            self.rejected.reject(setter, "", "nothing was named");
        } else if let Err(reason) = fits() {
            self.rejected.reject(setter, "", reason);
        }
        (fields, Group::written(elements, interval))
    }
}

/// Addresses, or an address and a port each, by the first.
pub(crate) fn addresses(elements: &[Element]) -> Result<DataKind, String> {
    let first = elements.first().map(Element::data).unwrap_or_default();
    let address = match first {
        [Datum::Address(address), ..] if address.is_ipv4() => Type::Ipv4,
        [Datum::Address(_), ..] => Type::Ipv6,
        _ => return Err("no element stands for an address".into()),
    };
    Ok(DataKind::Values(if first.len() > 1 { vec![address, Type::Port] } else { vec![address] }))
}
