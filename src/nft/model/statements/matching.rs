//! Matches: `ip saddr 10.0.0.0/8`, `tcp dport @PORTS`.

use crate::nft::model::context::{Fact, Protocol, WITH_PORTS};
use crate::nft::model::encoder::{ETHERNET, prefix_mask};
use crate::nft::model::prelude::*;
use crate::nft::model::set_ref::SetRef;
use crate::nft::model::shown_value::ShownValue;
use crate::nft::model::types::Type;
use crate::wire::nft::data::Value;
use crate::wire::nft::expr::bitwise::Bitwise;
use crate::wire::nft::expr::cmp::{Cmp, Comparison};
use crate::wire::nft::expr::range::Range;

/// A condition on a field, or on a concatenation of fields that is looked up in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) fields: Vec<Field>,
    pub(crate) negated: bool,
    pub(crate) condition: Condition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Equal(Value),
    /// The given number of leading bits equals those of the value.
    Prefix(Value, u8),
    Range(Value, Value),
    /// The bits in the mask equal the value. If negated with value 0: any bit of the mask is set.
    Bits {
        mask: Value,
        value: Value,
    },
    /// The link with this index.
    Link(Device),
    /// The link's name begins with this text.
    NamePrefix(String),
    In(SetRef),
}

impl Condition {
    /// Returns the condition that a field of type `kind` is in an interval.
    pub(crate) fn within(kind: Type, interval: &Interval) -> Result<Self, String> {
        match interval {
            Interval::One(Constant::Name(name)) if kind == Type::LinkIndex => {
                return Ok(Self::Link(Device::Link(LinkRef::from(name.as_str()))));
            }
            Interval::One(Constant::Number(index)) if kind == Type::LinkIndex => {
                return Ok(Self::Link(Device::Index(*index)));
            }
            _ => {}
        }
        let (first, last) = kind.encode_interval(interval)?;
        Ok(match interval {
            Interval::One(_) => Self::Equal(first),
            Interval::Prefix(net) => Self::Prefix(first, net.prefix_len()),
            Interval::Range(..) => Self::Range(first, last),
        })
    }

    /// Decodes a condition on a field, of which `length` bytes are loaded. Also returns whether the
    /// condition is negated.
    fn decode(
        reader: &mut Reader<'_>,
        (kind, length): (Type, u32),
        expr: &Expr,
    ) -> Option<(Self, bool)> {
        match (expr, reader.following()) {
            (Expr::Cmp(from), [Expr::Cmp(to), ..])
                if (from.op, to.op) == (Comparison::GreaterOrEqual, Comparison::LessOrEqual) =>
            {
                reader.consume(1);
                Some((Self::Range(from.data, to.data), false))
            }
            (Expr::Cmp(Cmp { op, data, .. }), _) => {
                Some((Self::compared(kind, length, *data)?, is_negated(*op)?))
            }
            (Expr::Range(Range { inverted: true, from, to, .. }), _) => {
                Some((Self::Range(*from, *to), true))
            }
            (Expr::Bitwise(Bitwise::Mask { mask, .. }), [Expr::Cmp(Cmp { op, data, .. }), ..]) => {
                reader.consume(1);
                let bits = (0..=128).find(|&bits| prefix_mask(bits, mask.len()) == Some(*mask));
                let is_address = matches!(kind, Type::Ipv4 | Type::Ipv6);
                let condition = match bits.filter(|_| is_address) {
                    Some(bits) => Self::Prefix(*data, bits),
                    None => Self::Bits { mask: *mask, value: *data },
                };
                Some((condition, is_negated(*op)?))
            }
            _ => None,
        }
    }

    /// Returns the condition of a comparison. If only the first bytes are compared, it is a prefix
    /// of an address, or the beginning of a name.
    fn compared(kind: Type, loaded: u32, data: Value) -> Option<Self> {
        let whole = kind.len();
        if kind == Type::LinkIndex {
            let index = data.as_slice().try_into().ok().map(u32::from_ne_bytes)?;
            return Some(Self::Link(Device::Index(index)));
        }
        if loaded < whole || matches!(kind, Type::Ipv4 | Type::Ipv6) && data.len() < whole {
            let mut bytes = data.as_slice().to_vec();
            let bits = u8::try_from(bytes.len() * 8).ok()?;
            bytes.resize(whole as usize, 0);
            return Some(Self::Prefix(Value::new(&bytes)?, bits));
        }
        if kind == Type::LinkName && data.len() < whole {
            // A NUL ends a whole name, as iptables-nft writes it.
            let start = str::from_utf8(data.as_slice()).ok().filter(|start| !start.contains('\0'));
            return start.map(|start| Self::NamePrefix(start.to_owned()));
        }
        Some(Self::Equal(data))
    }
}

fn is_negated(op: Comparison) -> Option<bool> {
    match op {
        Comparison::Equal => Some(false),
        Comparison::NotEqual => Some(true),
        _ => None,
    }
}

impl Statement for Match {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        let equal = if self.negated { Comparison::NotEqual } else { Comparison::Equal };
        let field = *self.fields.first().ok_or("the match has no field")?;
        if let Condition::Prefix(value, bits) = &self.condition
            && bits.is_multiple_of(8)
        {
            let length = u32::from(bits / 8);
            encoder.push(field.load_first(R1, length));
            let bytes = value.as_slice().get(..length as usize).and_then(Value::new);
            encoder.compare(equal, bytes.ok_or("a prefix is too long")?);
            return Ok(());
        }
        encoder.load(&self.fields)?;
        match &self.condition {
            Condition::Equal(value) => encoder.compare(equal, *value),
            Condition::Link(device) => encoder.compare(equal, device.index()?),
            Condition::NamePrefix(name) => {
                encoder.compare(equal, Value::new(name.as_bytes()).ok_or("a name is too long")?);
            }
            Condition::Prefix(value, bits) => {
                encoder.mask(prefix_mask(*bits, value.len()).ok_or("a prefix is too long")?);
                encoder.compare(equal, *value);
            }
            Condition::Range(from, to) if self.negated => {
                encoder.push(Range { sreg: R1, inverted: true, from: *from, to: *to });
            }
            Condition::Range(from, to) => {
                encoder.compare(Comparison::GreaterOrEqual, *from);
                encoder.compare(Comparison::LessOrEqual, *to);
            }
            Condition::Bits { mask, value } => {
                encoder.mask(*mask);
                encoder.compare(equal, *value);
            }
            Condition::In(set) => {
                let lookup = encoder.lookup(&self.fields, set, None)?;
                encoder.push(Lookup { inverted: self.negated, ..lookup });
            }
        }
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        if let &Expr::Lookup(Lookup { sreg: R1, dreg: None, ref set, inverted, .. }) = expr {
            let MapLookup { key, map } = reader.map(set)?;
            return Some(Self { fields: key, negated: inverted, condition: Condition::In(map) });
        }
        let (field, length) = reader.one_field()?;
        let kind = field.value_type();
        let (condition, negated) = Condition::decode(reader, (kind, length), expr)?;
        Some(Self { fields: vec![field], negated, condition })
    }

    fn fields(&self) -> [&[Field]; 2] {
        [&self.fields, &[]]
    }

    fn establishes(&self) -> Option<Fact> {
        match (self.fields.as_slice(), &self.condition) {
            _ if self.negated => None,
            ([Field::Protocol], Condition::Equal(value)) => {
                let number = value.as_slice().first().copied().unwrap_or_default();
                Some(Fact::Protocol(Protocol::One(number)))
            }
            ([Field::Protocol], Condition::In(set)) => Some(Fact::Protocol(protocols_in(set))),
            ([Field::Iiftype], Condition::Equal(value)) => {
                Some(Fact::Ethernet(*value == Value::host_u16(ETHERNET)))
            }
            (
                [Field::NetfilterProtocol | Field::LinkProtocol | Field::EtherType],
                Condition::Equal(value),
            ) => network_of(value).map(Fact::Network),
            _ => None,
        }
    }

    fn as_dependency(&self) -> Option<Fact> {
        self.establishes().filter(|fact| !matches!(fact, Fact::Network(_)))
    }

    fn device_mut(&mut self) -> Option<&mut Device> {
        match &mut self.condition {
            Condition::Link(device) => Some(device),
            _ => None,
        }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, &self.fields, " . ")?;
        let kind = self.fields.first().map_or(Type::Mark, |field| field.value_type());
        let shown = |value: &Value| ShownValue(kind, *value);
        let not = if self.negated { "!= " } else { "" };
        match &self.condition {
            // `==` is needed: without an operator `nft` matches any of the named bits, and with
            // `!=` every packet.
            Condition::Equal(value) if kind.is_flags() && !self.negated => {
                write!(f, " == {}", shown(value))
            }
            Condition::Bits { mask, value } if kind.is_flags() && *value == mask.zeroed() => {
                write!(f, " {}{}", if self.negated { "" } else { "! " }, shown(mask))
            }
            Condition::Bits { mask, value } if shown(mask).are_names() => {
                write!(f, " {not}{} / {}", shown(value), shown(mask))
            }
            Condition::Bits { mask, value } => {
                let equal = if self.negated { "!=" } else { "==" };
                write!(f, " & {} {equal} {}", shown(mask), shown(value))
            }
            Condition::Equal(value) => write!(f, " {not}{}", shown(value)),
            Condition::Prefix(value, bits) => {
                write!(f, " {not}{}/{bits}", kind.decode(value.as_slice()))
            }
            Condition::Range(first, last) => {
                let end = |value: &Value| kind.decode(value.as_slice());
                write!(f, " {not}{}-{}", end(first), end(last))
            }
            Condition::Link(device) => write!(f, " {not}{device}"),
            Condition::NamePrefix(name) => write!(f, " {not}\"{name}*\""),
            Condition::In(set) => write!(f, " {not}{set}"),
        }
    }
}

/// Returns the transport protocols in a set. A named set is trusted to have only protocols with
/// ports.
fn protocols_in(set: &SetRef) -> Protocol {
    let has_ports = |element: &Element| match element.key() {
        [Interval::One(one)] => Type::Protocol.encode(one).is_ok_and(|value| {
            value.as_slice().first().is_some_and(|number| WITH_PORTS.contains(number))
        }),
        _ => false,
    };
    match set {
        SetRef::Anonymous { elements, .. } if !elements.iter().all(has_ports) => Protocol::Any,
        _ => Protocol::Several,
    }
}

fn network_of(value: &Value) -> Option<Network> {
    Network::ALL.into_iter().find(|network| {
        *value == Value::from(network.ether_type())
            || *value == Value::from(network.netfilter_protocol())
    })
}
