//! Encodes and decodes the elements of sets and maps, with intervals in the kernel's form.
//!
//! In a set with a single-field key, the kernel stores an interval as two elements: its first key,
//! and the key after its last key with the flag `NFT_SET_ELEM_INTERVAL_END`. In a set of
//! concatenations, an interval is one element, whose last key is in `NFTA_SET_ELEM_KEY_END`.

use std::time::Duration;

use super::constant::Interval;
use super::element::{Data, Element, Key, Moment};
use super::name::{check as check_name, check_comment};
use super::object::ObjectKind;
use super::types::{Type, total};
use crate::counter::Counter;
use crate::wire::attribute::Writer;
use crate::wire::nft::data as wire_data;
use crate::wire::nft::data::Value;
use crate::wire::nft::element as wire;
use crate::wire::nft::element::{ElementFlags, ListElement, PlainData, PlainElement};
use crate::wire::nft::expr::stateful::Stateful;
use crate::wire::nft::userdata::UserData;

/// The kind of a map's data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum DataKind {
    Values(Vec<Type>),
    Verdict,
    Object(ObjectKind),
}

/// The types of a set or map, and whether it has intervals and timeouts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Shape {
    pub(crate) key: Vec<Type>,
    pub(crate) data: Option<DataKind>,
    pub(crate) interval: bool,
    pub(crate) timeout: bool,
}

/// An encoded element. `Plain` avoids an allocation if the element has only a key and a value.
pub(crate) enum Listed {
    Plain(Value, Option<Value>),
    Whole(Box<wire::Element>),
}

impl ListElement for Listed {
    fn write(&self, out: &mut Writer<'_>) {
        match self {
            Self::Plain(key, data) => {
                let data = data.as_ref().map(PlainData::Value);
                PlainElement { key, data, comment: None }.write(out);
            }
            Self::Whole(element) => element.write(out),
        }
    }
}

impl Shape {
    pub(crate) fn is_concat(&self) -> bool {
        self.key.len() > 1
    }

    pub(crate) fn key_len(&self) -> u32 {
        total(&self.key)
    }

    /// Returns the usual size of an element in a message, in bytes.
    pub(crate) fn listed_len(&self) -> usize {
        let data = match &self.data {
            Some(DataKind::Values(types)) => 8 + total(types),
            _ => 0,
        };
        (12 + self.key_len() + data) as usize
    }

    /// Checks that a rule that needs these types can look them up in `set`.
    pub(crate) fn check_lookup(&self, name: &str, set: &Self) -> Result<(), String> {
        if !same_types(&self.key, &set.key) {
            let (has, needs) = (shown(&set.key), shown(&self.key));
            return Err(format!("the set `{name}` has keys of {has}, the rule needs {needs}"));
        }
        if set.has_ends() && set.key.iter().all(|kind| kind.is_in_host_order()) {
            let keys = shown(&set.key);
            return Err(format!("the set `{name}` has intervals of {keys}, which rules can't use"));
        }
        let fits = match (&self.data, &set.data) {
            (Some(DataKind::Values(needs)), Some(DataKind::Values(has))) => same_types(needs, has),
            (needs, has) => needs == has,
        };
        if fits { Ok(()) } else { Err(format!("the set `{name}` has data of another kind")) }
    }

    /// Returns whether the kernel stores an interval as two elements.
    fn has_ends(&self) -> bool {
        self.interval && !self.is_concat()
    }

    /// Encodes the elements of a new set. Fails if intervals overlap.
    pub(crate) fn encode(&self, elements: &[Element]) -> Result<Vec<wire::Element>, String> {
        let encoded = self.encode_whole(elements, true)?;
        self.check_apart(&encoded)?;
        Ok(self.split(encoded))
    }

    /// Fails if intervals of a single-field key overlap.
    pub(crate) fn check_apart(&self, whole: &[wire::Element]) -> Result<(), String> {
        if !self.has_ends() {
            return Ok(());
        }
        let mut sorted: Vec<_> =
            whole.iter().filter_map(|one| Some((one.key?, one.key_end?))).collect();
        sorted.sort_unstable();
        sorted.dedup(); // equal elements are no overlap
        match sorted.windows(2).find(|pair| pair[1].0 <= pair[0].1) {
            Some(pair) => {
                let [one, other] = [0, 1].map(|at| self.element(pair[at].0, pair[at].1));
                Err(format!("{one} and {other} overlap"))
            }
            None => Ok(()),
        }
    }

    /// Encodes the elements of an anonymous set. Overlapping intervals are merged, as `nft` does.
    pub(crate) fn encode_anonymous(
        &self,
        elements: &[Element],
    ) -> Result<Vec<wire::Element>, String> {
        if !self.has_ends() || self.data.is_some() {
            return self.encode(elements);
        }
        let mut encoded = self.encode_whole(elements, true)?;
        encoded.sort_by_key(|one| (one.key, one.key_end));
        encoded.dedup_by(|next, one| {
            let overlap = next.key.is_some() && next.key <= one.key_end;
            if overlap {
                one.key_end = one.key_end.max(next.key_end);
            }
            overlap
        });
        Ok(self.split(encoded))
    }

    /// Encodes elements with both keys of an interval. The kernel looks elements up without data.
    pub(crate) fn encode_whole(
        &self,
        elements: &[Element],
        with_data: bool,
    ) -> Result<Vec<wire::Element>, String> {
        elements.iter().map(|element| self.encode_one(element, with_data)).collect()
    }

    /// Splits each interval of a single-field key into two elements, as the kernel needs them.
    pub(crate) fn split(&self, whole: Vec<wire::Element>) -> Vec<wire::Element> {
        if !self.has_ends() {
            return whole;
        }
        let mut split = Vec::with_capacity(whole.len() * 2);
        for one in whole {
            let end = one.key_end.and_then(|last| successor(&last));
            split.push(wire::Element { key_end: None, ..one });
            split.extend(end.map(wire::Element::interval_end));
        }
        split
    }

    /// Joins the two listed elements of each interval into one with both keys.
    pub(crate) fn join(&self, mut listed: Vec<wire::Element>) -> Vec<wire::Element> {
        if !self.has_ends() {
            return listed;
        }
        // If an interval ends at the key where the next begins, its end comes first.
        listed.sort_by_key(|one| (one.key, !one.flags.contains(ElementFlags::INTERVAL_END)));
        let ends: Vec<_> = listed.iter().skip(1).map(|next| next.key).collect();
        let highest = Value::new(&vec![0xff; self.key_len() as usize]);
        for (at, one) in listed.iter_mut().enumerate().filter(|(_, one)| one.key.is_some()) {
            let end = ends.get(at).copied().flatten();
            one.key_end = end.and_then(|end| predecessor(&end)).or(highest);
        }
        listed.retain(|one| !one.flags.contains(ElementFlags::INTERVAL_END));
        listed
    }

    /// Returns the element with these first and last keys, without data.
    pub(crate) fn element(&self, first: Value, last: Value) -> Element {
        Element::of_key(self.decode_key(&first, &last))
    }

    /// Encodes an element of a set without intervals, without an allocation if possible.
    pub(crate) fn listed(&self, element: &Element, with_data: bool) -> Result<Listed, String> {
        let Some(key) = self.plain_key(element, with_data) else {
            return self.encode_one(element, with_data).map(|one| Listed::Whole(Box::new(one)));
        };
        let key = key?;
        Ok(match if with_data { self.encode_data(element)? } else { None } {
            None => Listed::Plain(key, None),
            Some(wire_data::Data::Value(value)) => Listed::Plain(key, Some(value)),
            Some(data) => Listed::Whole(Box::new(wire::Element::with_data(key, data))),
        })
    }

    /// Encodes the key if the element has one value and at most data. Returns `None` otherwise.
    fn plain_key(&self, element: &Element, with_data: bool) -> Option<Result<Value, String>> {
        let Key::One(Interval::One(constant)) = &element.key else { return None };
        let [kind] = self.key.as_slice() else { return None };
        let Element { data, timeout, comment, moment, .. } = element;
        let is_plain = timeout.is_none()
            && comment.is_none()
            && moment.expires().is_none()
            && !matches!(data.as_deref(), Some(Data::Object(_)));
        (!self.interval && (is_plain || !with_data)).then(|| kind.encode(constant))
    }

    /// Encodes an element. In a set with intervals, `key_end` is the last key.
    fn encode_one(&self, element: &Element, with_data: bool) -> Result<wire::Element, String> {
        let mut out = wire::Element::default();
        if element.key == Key::Rest {
            out.flags = ElementFlags::CATCHALL;
        } else {
            let (first, last) = self.encode_key(element.key.intervals())?;
            (out.key, out.key_end) = (Some(first), self.interval.then_some(last));
        }
        if with_data {
            out.data = self.encode_data(element)?;
            if let Some(Data::Object(name)) = element.data.as_deref() {
                check_name(name)?;
                out.object = Some(name.clone());
            }
            if element.timeout.is_some() && !self.timeout {
                return Err(format!("{element} has a timeout, in a set without timeouts"));
            }
            out.timeout = element.timeout;
            out.expiration = self.encode_expiration(element)?;
            if let Some(comment) = &element.comment {
                check_comment(comment)?;
                out.userdata = UserData::comment(comment);
            }
        }
        Ok(out)
    }

    /// Encodes the first and the last key.
    fn encode_key(&self, intervals: &[Interval]) -> Result<(Value, Value), String> {
        if intervals.len() != self.key.len() {
            let (has, wants) = (intervals.len(), self.key.len());
            return Err(format!("the key has {has} parts, but keys of the set have {wants}"));
        }
        let mut ends = Vec::with_capacity(intervals.len());
        for (kind, interval) in self.key.iter().zip(intervals) {
            let (first, last) = kind.encode_interval(interval)?;
            if first != last && !self.interval {
                return Err(format!(
                    "{interval} is more than one value, in a set without intervals"
                ));
            }
            ends.push((self.swapped(first), self.swapped(last)));
        }
        let (firsts, lasts): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        let ends = joined(&firsts).zip(joined(&lasts));
        ends.ok_or_else(|| "a key of more than 64 bytes".into())
    }

    fn encode_expiration(&self, element: &Element) -> Result<Option<Duration>, String> {
        let Some(expires) = element.moment.expires() else { return Ok(None) };
        match element.timeout {
            _ if !self.timeout => Err(format!("{element} expires, in a set without timeouts")),
            Some(timeout) if expires > timeout => {
                Err(format!("{element} expires after its timeout of {timeout:?}"))
            }
            _ => Ok(Some(expires)),
        }
    }

    fn encode_data(&self, element: &Element) -> Result<Option<wire_data::Data>, String> {
        match (&self.data, element.data.as_deref()) {
            (None, None) | (Some(DataKind::Object(_)), Some(Data::Object(_))) => Ok(None),
            (None, Some(_)) => Err(format!("{element} has data, but only maps have data")),
            (Some(_), None) => {
                Err(format!("{element} has no data, but each element of a map has data"))
            }
            (Some(DataKind::Verdict), Some(Data::Verdict(verdict))) => {
                verdict.chain().map_or(Ok(()), check_name)?;
                Ok(Some(verdict.clone().into()))
            }
            (Some(DataKind::Values(kinds)), Some(Data::Values(values)))
                if kinds.len() == values.len() =>
            {
                let each = kinds.iter().zip(values).map(|(kind, value)| kind.encode(value));
                let values = each.collect::<Result<Vec<_>, _>>()?;
                let joined = joined(&values).ok_or("data of more than 64 bytes")?;
                Ok(Some(wire_data::Data::Value(joined)))
            }
            (Some(_), Some(_)) => Err(format!("{element} has data of another type")),
        }
    }

    /// Decodes listed elements.
    pub(crate) fn decode(&self, listed: Vec<wire::Element>) -> Vec<Element> {
        self.join(listed).iter().map(|one| self.decode_one(one)).collect()
    }

    pub(crate) fn decode_one(&self, one: &wire::Element) -> Element {
        let mut element = match one.key {
            None => Element::rest(),
            Some(first) => self.element(first, one.key_end.unwrap_or(first)),
        };
        let data = match (&one.data, &self.data) {
            (Some(wire_data::Data::Verdict(verdict)), _) => Some(Data::Verdict(verdict.clone())),
            (Some(wire_data::Data::Value(value)), Some(DataKind::Values(kinds))) => {
                let parts = split(kinds, value).into_iter();
                Some(Data::Values(parts.map(|(kind, bytes)| kind.decode(bytes)).collect()))
            }
            _ => None,
        };
        element.data = data.map(Box::new);
        if let Some(name) = &one.object {
            element.data = Some(Data::Object(name.clone()).into());
        }
        element.timeout = one.timeout;
        let counter = one.expressions.iter().find_map(Stateful::counter);
        let counter = counter.map(|it| Counter::new(it.packets, it.bytes));
        element.moment = Moment::new(one.expiration, counter);
        let comment = one.userdata.as_ref().and_then(UserData::as_comment);
        element.comment = comment.map(Into::into);
        element
    }

    /// Swaps the bytes of a key in host byte order. In intervals `nft` stores such a key in network
    /// byte order, so that keys are ordered.
    fn swapped(&self, key: Value) -> Value {
        let is_swapped = self.has_ends() && self.key.iter().all(|kind| kind.is_in_host_order());
        if is_swapped { key.in_host_order() } else { key }
    }

    fn decode_key(&self, first: &Value, last: &Value) -> Key {
        let (first, last) = (self.swapped(*first), self.swapped(*last));
        let firsts = split(&self.key, &first);
        let lasts = split(&self.key, &last);
        let mut intervals = Vec::with_capacity(self.key.len());
        for ((kind, first), (_, last)) in firsts.into_iter().zip(lasts) {
            intervals.push(Interval::between(kind.decode(first), kind.decode(last)));
        }
        match (intervals.len(), intervals.pop()) {
            (1, Some(one)) => Key::One(one),
            (_, last) => {
                intervals.extend(last);
                Key::Many(intervals)
            }
        }
    }
}

/// Compares types. A type that netloom does not know only needs the same length.
fn same_types(a: &[Type], b: &[Type]) -> bool {
    let is_other = |kind: &Type| matches!(kind, Type::Other { .. });
    if a.iter().chain(b).any(is_other) { total(a) == total(b) } else { a == b }
}

/// Formats the types of a concatenation as `nft` does.
fn shown(types: &[Type]) -> String {
    types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" . ")
}

/// Concatenates values. Pads them to 4 bytes if there are several.
fn joined(values: &[Value]) -> Option<Value> {
    match values {
        [one] => Some(*one),
        many => Value::concat(many),
    }
}

fn split<'v>(types: &[Type], value: &'v Value) -> Vec<(Type, &'v [u8])> {
    let mut rest = value.as_slice();
    let mut parts = Vec::with_capacity(types.len());
    for kind in types {
        let length = kind.len() as usize;
        let part = rest.get(..length).unwrap_or(rest);
        parts.push((*kind, part));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    parts
}

/// Adds 1 to a big-endian number of any length. Returns `None` for the highest number.
fn successor(value: &Value) -> Option<Value> {
    carried(value, |byte| byte.wrapping_add(1), 0)
}

/// Subtracts 1 from a big-endian number of any length. Returns `None` for 0.
fn predecessor(value: &Value) -> Option<Value> {
    carried(value, |byte| byte.wrapping_sub(1), 0xff)
}

/// Changes the last byte. While the changed byte is `wrapped` (a carry), changes the byte before,
/// too.
fn carried(value: &Value, change: fn(u8) -> u8, wrapped: u8) -> Option<Value> {
    let mut bytes = value.as_slice().to_vec();
    for byte in bytes.iter_mut().rev() {
        *byte = change(*byte);
        if *byte != wrapped {
            return Value::new(&bytes);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(key: &[Type], interval: bool) -> Shape {
        Shape { key: key.to_vec(), data: None, interval, timeout: false }
    }

    #[test]
    fn intervals_read_back() {
        let shape = shape(&[Type::Ipv4], true);
        let elements: Vec<Element> =
            ["10.0.0.0/24", "10.0.1.0", "10.0.1.1-10.0.1.6", "240.0.0.0/4"]
                .map(Element::from)
                .into();
        let mut listed = shape.encode(&elements).unwrap();
        assert_eq!(listed.len(), 7, "the highest has no end");
        listed.reverse();
        assert_eq!(shape.decode(listed), elements);
    }

    #[test]
    fn overlaps_are_refused_and_neighbours_are_not() {
        let shape = shape(&[Type::Port], true);
        let encode = |ranges: &[&str]| {
            let elements: Vec<Element> = ranges.iter().map(|range| Element::from(*range)).collect();
            shape.encode(&elements)
        };
        assert!(encode(&["80-90", "91"]).is_ok());
        assert!(encode(&["80-90", "90-95"]).unwrap_err().contains("overlap"));
        assert!(encode(&["80-90", "85"]).is_err());
        assert!(encode(&["90-80"]).unwrap_err().contains("empty"));
    }

    #[test]
    fn concatenations_read_back() {
        let shape = shape(&[Type::Ipv4, Type::Port], true);
        let elements = [Element::from(("10.0.0.0/24", 80_u16)), Element::from(("10.0.1.1", "1-9"))];
        let listed = shape.encode(&elements).unwrap();
        assert_eq!(shape.decode(listed), elements);
    }

    #[test]
    fn an_element_that_does_not_fit_is_refused() {
        let plain = shape(&[Type::Ipv4], false);
        for bad in ["fd00::1", "10.0.0.0/24", "eth0", "80"] {
            assert!(plain.encode(&[bad.into()]).is_err(), "{bad}");
        }
        assert!(plain.encode(&[("10.0.0.1", 80_u16).into()]).is_err());
        assert!(plain.encode(&[Element::from("10.0.0.1").value(1_u8)]).is_err());
        let timed = Element::from("10.0.0.1").timeout(std::time::Duration::from_secs(1));
        assert!(plain.encode(&[timed]).is_err());
    }
}
