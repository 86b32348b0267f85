//! What rules look for, from expressions.

use super::statement::{behaviour, dynamic};
use super::{Decoder, is_written};
use crate::nft::model::datum::Span;
use crate::nft::model::device::Device;
use crate::nft::model::element::Element;
use crate::nft::model::encode::{network_match, prefix_mask};
use crate::nft::model::field::{Field, Network};
use crate::nft::model::numgen::Numgen;
use crate::nft::model::part::{Dynamic, Group, Match, Part, Test};
use crate::nft::model::types::Type;
use crate::wire::nft::data::Value;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::bitwise::BitwiseOp;
use crate::wire::nft::expr::cmp::{Cmp, Comparison};
use crate::wire::nft::expr::ct::{Ct, CtKey};
use crate::wire::nft::expr::dynset::Dynset;
use crate::wire::nft::expr::lookup::{Lookup, LookupFlags};
use crate::wire::nft::expr::meta::{Meta, MetaKey};
use crate::wire::nft::expr::nat as wire_nat;
use crate::wire::nft::expr::objref::Objref;
use crate::wire::nft::expr::payload::Payload;
use crate::wire::nft::expr::range::{Range, RangeOp};
use crate::wire::nft::register::Register;
use crate::wire::nft::register::Register::R1;

impl Decoder<'_> {
    pub(super) fn matching<'e>(&self, list: &'e [Expr]) -> Option<(Part, &'e [Expr])> {
        let (first, rest) = list.split_first()?;
        if let Some((field, rest)) = self.number(list) {
            let test = Self::test(field, rest);
            let part =
                |(test, not, rest)| (Part::Match(Match { fields: vec![field], not, test }), rest);
            return test.map(part).or_else(|| self.looked_up(vec![field], 1, rest));
        }
        if let Some(field) = self.field(first, R1) {
            if let Some((network, rest)) = self.network(field, rest) {
                return Some((Part::Network(network), rest));
            }
            if let Some((test, not, rest)) = Self::test(field, rest) {
                return Some((Part::Match(Match { fields: vec![field], not, test }), rest));
            }
        }
        self.prefix(first, rest).or_else(|| self.looked_up(Vec::new(), 0, list))
    }

    /// A number by which packets are spread, and the fields it is of.
    fn number<'e>(&self, list: &'e [Expr]) -> Option<(Field, &'e [Expr])> {
        let mut fields = Vec::new();
        let mut slot = 4;
        let mut rest = list;
        loop {
            let (first, after) = rest.split_first()?;
            if let Some(number) = Numgen::decode(first, &fields) {
                return Some((number.into(), after));
            }
            let field = self.field(first, Register::at_slot(slot)?)?;
            slot += field.value_type().len().div_ceil(4);
            fields.push(field);
            rest = after;
        }
    }

    /// The field that this loads whole, if it means that here.
    fn field(&self, expr: &Expr, register: Register) -> Option<Field> {
        Field::ALL
            .into_iter()
            .find(|field| field.load(register) == *expr && self.context.has(*field))
    }

    fn network<'e>(&self, field: Field, rest: &'e [Expr]) -> Option<(Network, &'e [Expr])> {
        let (Expr::Cmp(Cmp { sreg: R1, op: Comparison::Equal, data }), rest) =
            rest.split_first()?
        else {
            return None;
        };
        let is = |network: &Network| network_match(self.family, *network) == (field, *data);
        Network::ALL.into_iter().find(is).map(|network| (network, rest))
    }

    /// What a field is compared with, and whether it must not be that.
    fn test(field: Field, rest: &[Expr]) -> Option<(Test, bool, &[Expr])> {
        let kind = field.value_type();
        match rest {
            [Expr::Cmp(from), Expr::Cmp(to), rest @ ..]
                if (from.op, to.op) == (Comparison::GreaterOrEqual, Comparison::LessOrEqual)
                    && (from.sreg, to.sreg) == (R1, R1) =>
            {
                Some((Test::Range(from.data, to.data), false, rest))
            }
            [Expr::Cmp(Cmp { sreg: R1, op, data }), rest @ ..] => {
                let not = is_not(*op)?;
                if kind == Type::LinkIndex {
                    let index = data.as_slice().try_into().ok().map(u32::from_ne_bytes)?;
                    return Some((Test::Link(Device::Index(index)), not, rest));
                }
                if data.len() == kind.len() {
                    return Some((Test::Is(*data), not, rest));
                }
                let name = str::from_utf8(data.as_slice()).ok()?;
                (kind == Type::LinkName).then(|| (Test::Beginning(name.to_owned()), not, rest))
            }
            [Expr::Range(Range { sreg: R1, op: RangeOp::Outside, from, to }), rest @ ..] => {
                Some((Test::Range(*from, *to), true, rest))
            }
            [Expr::Bitwise(bits), Expr::Cmp(Cmp { sreg: R1, op, data }), rest @ ..]
                if (bits.sreg, bits.dreg) == (R1, R1) =>
            {
                let BitwiseOp::MaskXor { mask, xor } = bits.op else { return None };
                let not = is_not(*op)?;
                let is_address = matches!(kind, Type::Ipv4 | Type::Ipv6);
                let prefix = (0..=128).find(|&bits| prefix_mask(bits, mask.len()) == Some(mask));
                match prefix {
                    _ if xor != mask.zeroed() => None,
                    Some(bits) if is_address => Some((Test::Prefix(*data, bits), not, rest)),
                    _ if *data == mask.zeroed() => Some((Test::AnyBit(mask), !not, rest)),
                    _ => Some((Test::Bits { mask, value: *data }, not, rest)),
                }
            }
            _ => None,
        }
    }

    /// Whole bytes of an address.
    fn prefix<'e>(&self, first: &Expr, rest: &'e [Expr]) -> Option<(Part, &'e [Expr])> {
        let Expr::Payload(Payload::Load { span, .. }) = first else { return None };
        let (Expr::Cmp(Cmp { sreg: R1, op, data }), rest) = rest.split_first()? else {
            return None;
        };
        let not = is_not(*op)?;
        let field = Field::ALL.into_iter().find(|field| {
            matches!(field.value_type(), Type::Ipv4 | Type::Ipv6)
                && span.len < field.value_type().len()
                && field.load_first(R1, span.len) == *first
                && self.context.has(*field)
        })?;
        let mut bytes = data.as_slice().to_vec();
        let bits = u8::try_from(bytes.len() * 8).ok()?;
        bytes.resize(field.value_type().len() as usize, 0);
        let test = Test::Prefix(Value::new(&bytes)?, bits);
        Some((Part::Match(Match { fields: vec![field], not, test }), rest))
    }

    /// One field or several, looked up in a set or a verdict map.
    fn looked_up<'e>(
        &self,
        mut fields: Vec<Field>,
        mut slot: u32,
        list: &'e [Expr],
    ) -> Option<(Part, &'e [Expr])> {
        let mut rest = list;
        loop {
            let (first, after) = rest.split_first()?;
            if let Expr::Dynset(dynset) = first {
                return Some((Part::Dynamic(dynamic(fields, dynset)?), after));
            }
            if let Some((dynset, data, after)) = self.map_update(slot, rest) {
                let dynamic = dynamic(fields, &Dynset { data: None, ..dynset.clone() })?;
                return Some((Part::Dynamic(Dynamic { data, ..dynamic }), after));
            }
            if let [Expr::Lookup(lookup), Expr::Nat(nat), after @ ..] = rest {
                return Some((self.nat_map(fields, lookup, nat)?, after));
            }
            if let ([Field::Numgen(number)], Some(is_ct)) = (fields.as_slice(), sets_mark(first)) {
                return Some((Part::MarkFrom { is_ct, number: *number }, after));
            }
            if let Expr::Objref(Objref::Map { sreg: R1, map, .. }) = first {
                let kind = *self.written.objects.get(map).filter(|_| !fields.is_empty())?;
                return Some((Part::ObjectMap { kind, fields, map: self.group(map)? }, after));
            }
            if let Expr::Lookup(Lookup { sreg: R1, dreg, set, flags, .. }) = first {
                if fields.is_empty() {
                    return None;
                }
                let group = self.group(set)?;
                let not = flags.contains(LookupFlags::INVERTED);
                let part = match dreg {
                    None => Part::Match(Match { fields, not, test: Test::In(group) }),
                    Some(Register::Verdict) if !not => Part::VerdictMap { fields, map: group },
                    Some(_) => return None,
                };
                return Some((part, after));
            }
            let field = self.field(first, Register::at_slot(slot)?)?;
            slot += field.value_type().len().div_ceil(4);
            fields.push(field);
            rest = after;
        }
    }

    /// The data that go into a map, after a key that ends before this slot.
    fn map_update<'e>(
        &self,
        slot: u32,
        list: &'e [Expr],
    ) -> Option<(&'e Dynset, Vec<Field>, &'e [Expr])> {
        let first = Register::at_slot(slot.next_multiple_of(4)).filter(|_| slot > 0)?;
        let mut at = slot.next_multiple_of(4);
        let mut data = Vec::new();
        let mut rest = list;
        loop {
            let (one, after) = rest.split_first()?;
            match one {
                Expr::Dynset(dynset) if dynset.data == Some(first) && !data.is_empty() => {
                    return Some((dynset, data, after));
                }
                one => {
                    let field = self.field(one, Register::at_slot(at)?)?;
                    at += field.value_type().len().div_ceil(4);
                    data.push(field);
                    rest = after;
                }
            }
        }
    }

    fn nat_map(&self, fields: Vec<Field>, lookup: &Lookup, nat: &wire_nat::Nat) -> Option<Part> {
        let is_one = !fields.is_empty() && (lookup.sreg, lookup.dreg) == (R1, Some(R1));
        let map = self.group(&lookup.set)?;
        is_one.then(|| Part::NatMap {
            is_source: nat.kind == wire_nat::NatType::Source,
            fields,
            map,
            with_port: nat.port_min.is_some(),
            flags: behaviour(nat.flags),
        })
    }

    fn group(&self, set: &str) -> Option<Group> {
        if !is_written(set) {
            return Some(Group::Named(set.to_owned()));
        }
        let elements = self.written.elements.get(set)?.clone();
        let interval = elements.iter().flat_map(Element::key).any(is_interval);
        Some(Group::written(elements, interval))
    }
}

/// Whether it is the connection's mark that is set, not the packet's; none where it is no mark.
fn sets_mark(expr: &Expr) -> Option<bool> {
    match expr {
        Expr::Meta(Meta::Set { sreg: R1, key: MetaKey::Mark }) => Some(false),
        Expr::Ct(Ct::Set { sreg: R1, key: CtKey::Mark, direction: None }) => Some(true),
        _ => None,
    }
}

fn is_interval(span: &Span) -> bool {
    !matches!(span, Span::One(_))
}

fn is_not(op: Comparison) -> Option<bool> {
    match op {
        Comparison::Equal => Some(false),
        Comparison::NotEqual => Some(true),
        _ => None,
    }
}
