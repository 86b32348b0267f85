//! Rules as expressions, in the form `nft` gives them.

use super::context::Context;
use super::datum::Span;
use super::element::Element;
use super::family::Family;
use super::field::{Field, Network};
use super::interval::{DataKind, Shape, encode_verdict};
use super::part::{Dynamic, Group, Match, Nat, Own, Part, Test};
use super::set_message::set_message;
use crate::wire::nft::data::Value;
use crate::wire::nft::element as wire_element;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::bitwise::Bitwise;
use crate::wire::nft::expr::byteorder::{Byteorder, ByteorderOp};
use crate::wire::nft::expr::cmp::{Cmp, Comparison};
use crate::wire::nft::expr::connlimit::{Connlimit, ConnlimitFlags};
use crate::wire::nft::expr::counter::Counter;
use crate::wire::nft::expr::ct::{Ct, CtKey};
use crate::wire::nft::expr::dynset::Dynset;
use crate::wire::nft::expr::exthdr::{Exthdr, ExthdrSpan};
use crate::wire::nft::expr::immediate::Immediate;
use crate::wire::nft::expr::lookup::{Lookup, LookupFlags};
use crate::wire::nft::expr::masq::Masq;
use crate::wire::nft::expr::meta::{Meta, MetaKey};
use crate::wire::nft::expr::nat as wire_nat;
use crate::wire::nft::expr::nat::NatFlags;
use crate::wire::nft::expr::notrack::Notrack;
use crate::wire::nft::expr::objref::Objref;
use crate::wire::nft::expr::quota::{Quota, QuotaFlags};
use crate::wire::nft::expr::range::{Range, RangeOp};
use crate::wire::nft::expr::redir::Redir;
use crate::wire::nft::expr::rt::{Rt, RtKey};
use crate::wire::nft::message as wire;
use crate::wire::nft::register::Register;
use crate::wire::nft::register::Register::{R1, R2, R3, R4};
use crate::wire::nft::set as wire_set;

/// A rule's expressions, and the sets written into it, which have to be made before it.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    pub(super) sets: Vec<(wire_set::Set, Vec<wire_element::Element>)>,
    pub(super) expressions: Vec<Expr>,
}

/// Encodes the parts of a rule for a table. `next_set` numbers the sets of a transaction.
pub(super) fn encode(
    parts: &[Part],
    family: Family,
    table: &str,
    next_set: &mut u32,
) -> Result<Encoded, String> {
    let mut encoder =
        Encoder { context: Context::new(family), table, next_set, out: Encoded::default() };
    for part in parts {
        for dependency in encoder.context.missing(part) {
            encoder.part(&dependency)?;
            encoder.context.learn(&dependency);
        }
        encoder.part(part)?;
        encoder.context.learn(part);
    }
    Ok(encoder.out)
}

struct Encoder<'a> {
    context: Context,
    table: &'a str,
    next_set: &'a mut u32,
    out: Encoded,
}

impl Encoder<'_> {
    fn push(&mut self, expr: impl Into<Expr>) {
        self.out.expressions.push(expr.into());
    }

    fn compare(&mut self, op: Comparison, data: Value) {
        self.push(Cmp { sreg: R1, op, data });
    }

    fn part(&mut self, part: &Part) -> Result<(), String> {
        match part {
            Part::Network(network) => self.network(*network),
            Part::Match(one) => return self.matching(one),
            Part::Verdict(verdict) => self.push(Immediate::verdict(encode_verdict(verdict))),
            Part::VerdictMap { fields, map } => {
                let register = self.load(fields)?;
                let lookup = self.lookup(fields, map, Some(DataKind::Verdict))?;
                self.push(Lookup { sreg: register, dreg: Some(Register::Verdict), ..lookup });
            }
            Part::Counter => self.push(Counter::default()),
            Part::Limit(limit) => self.push(limit.encode()),
            Part::Quota { bytes, over } => {
                let flags = if *over { QuotaFlags::INVERTED } else { QuotaFlags::empty() };
                self.push(Quota { bytes: *bytes, consumed: 0, flags });
            }
            Part::Connections { count, over } => self.push(connections(*count, *over)),
            Part::Object(kind, name) => {
                self.push(Objref::Named { kind: kind.wire(), name: name.clone() });
            }
            Part::Dynamic(Dynamic { op, fields, set, own }) => {
                let key = self.load(fields)?;
                let own = own.map(|own| match own {
                    Own::Counter => Expr::from(Counter::default()),
                    Own::Limit(limit) => limit.encode().into(),
                    Own::Connections { count, over } => connections(count, over).into(),
                });
                let expressions = own.into_iter().collect();
                self.push(Dynset { expressions, ..Dynset::new(*op, set, key) });
            }
            Part::Log(log) => self.push(log.encode()),
            Part::Reject(reject) => self.push(reject.encode(self.context)),
            Part::Masquerade { ports, flags } => {
                let (port_min, port_max) = self.ports(*ports, [R1, R2]);
                let flags = *flags | specified(port_min);
                self.push(Masq { flags, port_min, port_max });
            }
            Part::Redirect { ports, flags } => {
                let (port_min, port_max) = self.ports(*ports, [R1, R2]);
                let flags = *flags | specified(port_min);
                self.push(Redir { port_min, port_max, flags });
            }
            Part::Nat(nat) => self.nat(nat),
            Part::NatMap { is_source, fields, map, with_port, flags } => {
                let register = self.load(fields)?;
                self.push(Lookup::map(register, R1, map));
                let (family, slots) = match self.context.network {
                    Some(Network::Ip4) => (wire::Family::Ip, 1),
                    Some(Network::Ip6) => (wire::Family::Ip6, 4),
                    _ => return Err(NO_FAMILY.into()),
                };
                let port_min = if *with_port { Register::at_slot(slots) } else { None };
                let kind = if *is_source {
                    wire_nat::NatType::Source
                } else {
                    wire_nat::NatType::Destination
                };
                let flags = *flags | specified(port_min);
                let nat = wire_nat::Nat::to_address(kind, family, R1);
                self.push(wire_nat::Nat { port_min, flags, ..nat });
            }
            Part::SetMark(mark) => {
                self.push(Immediate::value(R1, Value::host_u32(*mark)));
                self.push(Meta::Set { sreg: R1, key: MetaKey::Mark });
            }
            Part::SetCtMark(mark) => {
                self.push(Immediate::value(R1, Value::host_u32(*mark)));
                self.push(Ct::Set { sreg: R1, key: CtKey::Mark, direction: None });
            }
            Part::SaveMark => {
                self.push(Meta::Load { dreg: R1, key: MetaKey::Mark });
                self.push(Ct::Set { sreg: R1, key: CtKey::Mark, direction: None });
            }
            Part::RestoreMark => {
                self.push(Ct::Load { dreg: R1, key: CtKey::Mark, direction: None });
                self.push(Meta::Set { sreg: R1, key: MetaKey::Mark });
            }
            Part::ClampMss(size) => {
                if let Some(size) = size {
                    self.push(Immediate::value(R1, Value::from(*size)));
                } else {
                    self.push(Rt { dreg: R1, key: RtKey::TcpMss });
                    let op = ByteorderOp::ToNetwork;
                    self.push(Byteorder { sreg: R1, dreg: R1, op, len: 2, size: 2 });
                }
                self.push(Exthdr::Write { sreg: R1, span: ExthdrSpan::TCP_MSS });
            }
            Part::Notrack => self.push(Notrack),
            Part::Unknown(list) => self.out.expressions.extend_from_slice(list),
        }
        Ok(())
    }

    fn network(&mut self, network: Network) {
        let (field, value) = network_match(self.context.family, network);
        self.push(field.load(R1));
        self.compare(Comparison::Equal, value);
    }

    fn matching(&mut self, one: &Match) -> Result<(), String> {
        let equal = if one.not { Comparison::NotEqual } else { Comparison::Equal };
        let field = *one.fields.first().ok_or("a match of nothing")?;
        match &one.test {
            Test::Is(value) => {
                self.push(field.load(R1));
                self.compare(equal, *value);
            }
            Test::Beginning(name) => {
                self.push(field.load(R1));
                let bytes = Value::new(name.as_bytes()).ok_or("a name is too long")?;
                self.compare(equal, bytes);
            }
            Test::Prefix(value, bits) if bits.is_multiple_of(8) && field.is_in_packet() => {
                let length = u32::from(bits / 8);
                self.push(field.load_first(R1, length));
                let bytes = value.as_slice().get(..length as usize).and_then(Value::new);
                self.compare(equal, bytes.ok_or("a prefix is too long")?);
            }
            Test::Prefix(value, bits) => {
                self.push(field.load(R1));
                let mask = prefix_mask(*bits, value.len()).ok_or("a prefix is too long")?;
                self.mask(mask);
                self.compare(equal, *value);
            }
            Test::Range(from, to) if one.not => {
                self.push(field.load(R1));
                self.push(Range { sreg: R1, op: RangeOp::Outside, from: *from, to: *to });
            }
            Test::Range(from, to) => {
                self.push(field.load(R1));
                self.compare(Comparison::GreaterOrEqual, *from);
                self.compare(Comparison::LessOrEqual, *to);
            }
            Test::Bits { mask, value } => {
                self.push(field.load(R1));
                self.mask(*mask);
                self.compare(equal, *value);
            }
            Test::AnyBit(mask) => {
                self.push(field.load(R1));
                self.mask(*mask);
                let any = if one.not { Comparison::Equal } else { Comparison::NotEqual };
                self.compare(any, mask.zeroed());
            }
            Test::In(group) => {
                let register = self.load(&one.fields)?;
                let lookup = self.lookup(&one.fields, group, None)?;
                let flags = if one.not { LookupFlags::INVERTED } else { LookupFlags::empty() };
                self.push(Lookup { sreg: register, flags, ..lookup });
            }
        }
        Ok(())
    }

    fn mask(&mut self, mask: Value) {
        self.push(Bitwise::mask(R1, mask));
    }

    /// Loads fields one after the other, and tells where they begin.
    fn load(&mut self, fields: &[Field]) -> Result<Register, String> {
        let mut slot = 0;
        for field in fields {
            let register = Register::at_slot(slot).ok_or("a key of more than 64 bytes")?;
            self.push(field.load(register));
            slot += field.value_type().len().div_ceil(4);
        }
        Ok(R1)
    }

    fn lookup(
        &mut self,
        fields: &[Field],
        group: &Group,
        data: Option<DataKind>,
    ) -> Result<Lookup, String> {
        let (elements, interval) = match group {
            Group::Named(name) => return Ok(Lookup::is_in(R1, name)),
            Group::Written { elements, interval } => (elements, *interval),
        };
        let shape = shape_of(fields, data, interval);
        let encoded = shape.encode(elements, true)?;
        *self.next_set += 1;
        let name = if shape.data.is_some() { "__map%d" } else { "__set%d" };
        let mut set = set_message(self.table, name, &shape, *self.next_set)?;
        let flags = set.flags.unwrap_or_default();
        set.flags = Some(flags | wire_set::SetFlags::ANONYMOUS | wire_set::SetFlags::CONSTANT);
        set.desc.size = u32::try_from(encoded.len()).ok();
        self.out.sets.push((set, encoded));
        Ok(Lookup { set_id: Some(*self.next_set), ..Lookup::is_in(R1, name) })
    }

    /// Ports into registers; the second only for a range.
    fn ports(
        &mut self,
        ports: Option<(u16, u16)>,
        registers: [Register; 2],
    ) -> (Option<Register>, Option<Register>) {
        let [low, high] = registers;
        let Some((first, last)) = ports else { return (None, None) };
        self.push(Immediate::value(low, first));
        if first == last {
            return (Some(low), None);
        }
        self.push(Immediate::value(high, last));
        (Some(low), Some(high))
    }

    fn nat(&mut self, nat: &Nat) {
        use wire_nat::NatType;
        let kind = if nat.is_source { NatType::Source } else { NatType::Destination };
        let mut registers = [R1, R2, R3, R4].into_iter();
        let mut next = || registers.next().unwrap_or(R4);
        let mut family = self.context.family.wire();
        let (mut address_min, mut address_max) = (None, None);
        if let Some((first, last)) = nat.addresses {
            family = if first.is_ipv4() { wire::Family::Ip } else { wire::Family::Ip6 };
            let register = next();
            address_min = Some(register);
            self.push(Immediate::value(register, first));
            if first != last {
                let register = next();
                address_max = Some(register);
                self.push(Immediate::value(register, last));
            }
        }
        let (port_min, port_max) = self.ports(nat.ports, [next(), next()]);
        let flags = nat.flags | specified(port_min);
        self.push(wire_nat::Nat {
            kind,
            family,
            address_min,
            address_max,
            port_min,
            port_max,
            flags,
        });
    }
}

/// What a map of addresses is for has to be known.
pub(super) const NO_FAMILY: &str = "addresses of which family? say ipv4() or ipv6() before";

fn connections(count: u32, over: bool) -> Connlimit {
    let flags = if over { ConnlimitFlags::INVERTED } else { ConnlimitFlags::empty() };
    Connlimit { count, flags }
}

fn specified(port: Option<Register>) -> NatFlags {
    if port.is_some() { NatFlags::PORT_SPECIFIED } else { NatFlags::empty() }
}

/// What tells a network protocol in this family, as `nft` asks for it.
pub(super) fn network_match(family: Family, network: Network) -> (Field, Value) {
    match (family, network) {
        (Family::Bridge, Network::Arp) => (Field::EtherType, network.ether_type().into()),
        (Family::Bridge | Family::Netdev, _) => (Field::LinkProtocol, network.ether_type().into()),
        _ => (Field::NetfilterProtocol, network.netfilter_protocol().into()),
    }
}

pub(super) fn shape_of(fields: &[Field], data: Option<DataKind>, interval: bool) -> Shape {
    let key = fields.iter().map(|field| field.value_type()).collect();
    Shape { key, data, interval, timeout: false }
}

/// Whether the elements need a set with intervals.
pub(super) fn has_intervals(elements: &[Element]) -> bool {
    elements.iter().flat_map(Element::key).any(|span| !matches!(span, Span::One(_)))
}

/// The first `bits` bits of `length` bytes.
pub(super) fn prefix_mask(bits: u8, length: u32) -> Option<Value> {
    let ones = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    ones.to_be_bytes().get(..length as usize).and_then(Value::new)
}
