//! Rules from what the kernel lists. What is not understood stays as it is.

use std::collections::BTreeMap;

use super::context::Context;
use super::datum::Span;
use super::element::Element;
use super::encode::{encode, network_match, prefix_mask};
use super::family::Family;
use super::field::{Field, Network};
use super::interval::decode_verdict;
use super::limit::Limit;
use super::log::Log;
use super::object::ObjectKind;
use super::part::{Dynamic, Group, Match, Nat, Own, Part, Test};
use super::reject::Reject;
use super::types::Type;
use crate::wire::nft::data::{Data, Value};
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::bitwise::BitwiseOp;
use crate::wire::nft::expr::cmp::{Cmp, Comparison};
use crate::wire::nft::expr::connlimit::ConnlimitFlags;
use crate::wire::nft::expr::counter::Counter;
use crate::wire::nft::expr::ct::{Ct, CtKey};
use crate::wire::nft::expr::dynset::Dynset;
use crate::wire::nft::expr::exthdr::{Exthdr, ExthdrSpan};
use crate::wire::nft::expr::immediate::Immediate;
use crate::wire::nft::expr::lookup::{Lookup, LookupFlags};
use crate::wire::nft::expr::meta::{Meta, MetaKey};
use crate::wire::nft::expr::nat as wire_nat;
use crate::wire::nft::expr::nat::NatFlags;
use crate::wire::nft::expr::objref::Objref;
use crate::wire::nft::expr::payload::Payload;
use crate::wire::nft::expr::quota::{Quota, QuotaFlags};
use crate::wire::nft::expr::range::{Range, RangeOp};
use crate::wire::nft::expr::rt::{Rt, RtKey};
use crate::wire::nft::register::Register;
use crate::wire::nft::register::Register::R1;

/// The sets that are written into rules, by the names the kernel gave them.
pub(super) type Written = BTreeMap<String, Vec<Element>>;

/// The parts of a rule. Written again they are the same expressions, or they stay unknown.
pub(super) fn decode(family: Family, list: &[Expr], written: &Written) -> Vec<Part> {
    let mut decoder = Decoder { family, context: Context::new(family), written, parts: Vec::new() };
    let mut rest = list;
    while !rest.is_empty() {
        rest = decoder.step(rest);
    }
    let parts = without_dependencies(family, &decoder.parts);
    if comparable(list) == again(&parts, family) {
        return parts;
    }
    vec![Part::Unknown(list.to_vec())]
}

fn again(parts: &[Part], family: Family) -> Vec<Expr> {
    encode(parts, family, "", &mut 0).map_or(Vec::new(), |again| comparable(&again.expressions))
}

/// As the kernel lists them, but for counts and for the names of sets it chose.
fn comparable(list: &[Expr]) -> Vec<Expr> {
    let one = |expr: &Expr| match expr.clone().into_listed() {
        Expr::Counter(_) => Counter::default().into(),
        Expr::Quota(quota) => Quota { consumed: 0, ..quota }.into(),
        Expr::Dynset(dynset) => {
            let expressions = comparable(&dynset.expressions);
            Dynset { expressions, ..dynset }.into()
        }
        Expr::Lookup(lookup) if is_written(&lookup.set) => {
            Lookup { set: String::new(), ..lookup }.into()
        }
        same => same,
    };
    list.iter().map(one).collect()
}

fn is_written(set: &str) -> bool {
    set.starts_with("__set") || set.starts_with("__map")
}

/// Leaves out the matches that are written anew wherever they are needed.
pub(super) fn without_dependencies(family: Family, parts: &[Part]) -> Vec<Part> {
    let mut context = Context::new(family);
    let mut kept = Vec::with_capacity(parts.len());
    let mut rest = parts;
    while let Some((first, after)) = rest.split_first() {
        let implied = (1..rest.len().min(3)).rev().find(|&count| {
            let (before, from) = rest.split_at(count);
            from.first().is_some_and(|part| context.missing(part) == before)
        });
        let (part, after) = match implied {
            Some(count) => {
                rest[..count].iter().for_each(|part| context.learn(part));
                (&rest[count], &rest[count + 1..])
            }
            None => (first, after),
        };
        context.learn(part);
        kept.push(part.clone());
        rest = after;
    }
    kept
}

struct Decoder<'a> {
    family: Family,
    context: Context,
    written: &'a Written,
    parts: Vec<Part>,
}

impl Decoder<'_> {
    /// Reads one part, and returns what is left.
    fn step<'e>(&mut self, list: &'e [Expr]) -> &'e [Expr] {
        let read = self.matching(list).or_else(|| self.statement(list));
        let (part, rest) = match (read, list.split_first()) {
            (Some(read), _) => read,
            (None, Some((first, rest))) => (Part::Unknown(vec![first.clone()]), rest),
            (None, None) => return list,
        };
        self.context.learn(&part);
        match (part, self.parts.last_mut()) {
            (Part::Unknown(more), Some(Part::Unknown(list))) => list.extend(more),
            (part, _) => self.parts.push(part),
        }
        rest
    }

    fn matching<'e>(&self, list: &'e [Expr]) -> Option<(Part, &'e [Expr])> {
        let (first, rest) = list.split_first()?;
        if let Some(field) = self.field(first, R1) {
            if let Some((network, rest)) = self.network(field, rest) {
                return Some((Part::Network(network), rest));
            }
            if let Some((test, not, rest)) = Self::test(field, rest) {
                return Some((Part::Match(Match { fields: vec![field], not, test }), rest));
            }
        }
        self.prefix(first, rest).or_else(|| self.lookup(list))
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
    fn lookup<'e>(&self, list: &'e [Expr]) -> Option<(Part, &'e [Expr])> {
        let mut fields = Vec::new();
        let mut slot = 0;
        let mut rest = list;
        loop {
            let (first, after) = rest.split_first()?;
            if let Expr::Dynset(dynset) = first {
                return Some((Part::Dynamic(dynamic(fields, dynset)?), after));
            }
            if let [Expr::Lookup(lookup), Expr::Nat(nat), after @ ..] = rest {
                return Some((Self::nat_map(fields, lookup, nat)?, after));
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

    fn nat_map(fields: Vec<Field>, lookup: &Lookup, nat: &wire_nat::Nat) -> Option<Part> {
        let is_one = !fields.is_empty()
            && (lookup.sreg, lookup.dreg) == (R1, Some(R1))
            && !is_written(&lookup.set);
        is_one.then(|| Part::NatMap {
            is_source: nat.kind == wire_nat::NatType::Source,
            fields,
            map: lookup.set.clone(),
            with_port: nat.port_min.is_some(),
            flags: behaviour(nat.flags),
        })
    }

    fn group(&self, set: &str) -> Option<Group> {
        if !is_written(set) {
            return Some(Group::Named(set.to_owned()));
        }
        let elements = self.written.get(set)?.clone();
        let interval = elements.iter().flat_map(Element::key).any(is_interval);
        Some(Group::written(elements, interval))
    }

    fn statement<'e>(&self, list: &'e [Expr]) -> Option<(Part, &'e [Expr])> {
        let (first, rest) = list.split_first()?;
        let one = |part| Some((part, rest));
        match first {
            Expr::Immediate(Immediate { data: Data::Verdict(verdict), .. }) => {
                one(Part::Verdict(decode_verdict(verdict)?))
            }
            Expr::Immediate(_) => with_values(list),
            Expr::Counter(_) => one(Part::Counter),
            Expr::Limit(limit) => one(Part::Limit(Limit::decode(*limit))),
            Expr::Quota(quota) => {
                let over = quota.flags.contains(QuotaFlags::INVERTED);
                one(Part::Quota { bytes: quota.bytes, over })
            }
            Expr::Connlimit(limit) => {
                let over = limit.flags.contains(ConnlimitFlags::INVERTED);
                one(Part::Connections { count: limit.count, over })
            }
            Expr::Objref(Objref::Named { kind, name }) => {
                one(Part::Object(ObjectKind::from_wire(*kind)?, name.clone()))
            }
            Expr::Log(log) => one(Part::Log(Log::decode(log)?)),
            Expr::Reject(reject) => one(Part::Reject(Reject::decode(self.context, *reject)?)),
            Expr::Masq(masq) if masq.port_min.is_none() => {
                one(Part::Masquerade { ports: None, flags: behaviour(masq.flags) })
            }
            Expr::Redir(redir) if redir.port_min.is_none() => {
                one(Part::Redirect { ports: None, flags: behaviour(redir.flags) })
            }
            Expr::Notrack(_) => one(Part::Notrack),
            Expr::Meta(Meta::Load { dreg: R1, key: MetaKey::Mark }) => match rest {
                [Expr::Ct(Ct::Set { sreg: R1, key: CtKey::Mark, direction: None }), rest @ ..] => {
                    Some((Part::SaveMark, rest))
                }
                _ => None,
            },
            Expr::Ct(Ct::Load { dreg: R1, key: CtKey::Mark, direction: None }) => match rest {
                [Expr::Meta(Meta::Set { sreg: R1, key: MetaKey::Mark }), rest @ ..] => {
                    Some((Part::RestoreMark, rest))
                }
                _ => None,
            },
            Expr::Rt(Rt { dreg: R1, key: RtKey::TcpMss }) => match rest {
                [Expr::Byteorder(_), Expr::Exthdr(Exthdr::Write { span, .. }), rest @ ..]
                    if *span == ExthdrSpan::TCP_MSS =>
                {
                    Some((Part::ClampMss(None), rest))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

fn dynamic(fields: Vec<Field>, dynset: &Dynset) -> Option<Dynamic> {
    let own = match dynset.expressions.as_slice() {
        [] => None,
        [Expr::Counter(_)] => Some(Own::Counter),
        [Expr::Limit(limit)] => Some(Own::Limit(Limit::decode(*limit))),
        [Expr::Connlimit(limit)] => Some(Own::Connections {
            count: limit.count,
            over: limit.flags.contains(ConnlimitFlags::INVERTED),
        }),
        _ => return None,
    };
    let is_plain = !fields.is_empty() && dynset.data.is_none() && dynset.timeout.is_none();
    is_plain.then(|| Dynamic { op: dynset.op, fields, set: dynset.set.clone(), own })
}

/// What takes its values from registers: address translation, marks, segment sizes.
fn with_values(list: &[Expr]) -> Option<(Part, &[Expr])> {
    let mut values: Vec<(Register, Value)> = Vec::new();
    let mut rest = list;
    while let [Expr::Immediate(Immediate { dreg, data: Data::Value(value) }), after @ ..] = rest {
        values.push((*dreg, *value));
        rest = after;
    }
    let value = |register: Option<Register>| {
        let register = register?;
        values.iter().find(|(dreg, _)| *dreg == register).map(|(_, value)| *value)
    };
    let port = |register| value(register)?.as_slice().try_into().ok().map(u16::from_be_bytes);
    let ports = |min, max: Option<_>| Some((port(min)?, port(max.or(min))?));
    let host = |register| value(Some(register))?.as_slice().try_into().ok().map(u32::from_ne_bytes);
    let (last, rest) = rest.split_first()?;
    let part = match last {
        Expr::Masq(masq) => Part::Masquerade {
            ports: Some(ports(masq.port_min, masq.port_max)?),
            flags: behaviour(masq.flags),
        },
        Expr::Redir(redir) => Part::Redirect {
            ports: Some(ports(redir.port_min, redir.port_max)?),
            flags: behaviour(redir.flags),
        },
        Expr::Nat(nat) => {
            let address = |register| {
                let bytes = value(register)?;
                address(bytes.as_slice())
            };
            let addresses = match nat.address_min {
                None => None,
                Some(_) => {
                    Some((address(nat.address_min)?, address(nat.address_max.or(nat.address_min))?))
                }
            };
            Part::Nat(Nat {
                is_source: nat.kind == wire_nat::NatType::Source,
                addresses,
                ports: match nat.port_min {
                    None => None,
                    min => Some(ports(min, nat.port_max)?),
                },
                flags: behaviour(nat.flags),
            })
        }
        Expr::Meta(Meta::Set { sreg, key: MetaKey::Mark }) => Part::SetMark(host(*sreg)?),
        Expr::Ct(Ct::Set { sreg, key: CtKey::Mark, direction: None }) => {
            Part::SetCtMark(host(*sreg)?)
        }
        Expr::Exthdr(Exthdr::Write { sreg, span }) if *span == ExthdrSpan::TCP_MSS => {
            Part::ClampMss(Some(port(Some(*sreg))?))
        }
        _ => return None,
    };
    Some((part, rest))
}

fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(Into::into),
        16 => <[u8; 16]>::try_from(bytes).ok().map(Into::into),
        _ => None,
    }
}

/// What was asked for, without what follows from the registers.
fn behaviour(flags: NatFlags) -> NatFlags {
    flags - NatFlags::MAP_ADDRESSES - NatFlags::PORT_SPECIFIED
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
