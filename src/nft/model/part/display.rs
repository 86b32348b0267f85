//! Parts of rules in the words of `nft`.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::{Dynamic, Group, Match, Own, Part, Test};
use crate::nft::model::datum::{Datum, Span};
use crate::nft::model::element::join;
use crate::nft::model::field::Network;
use crate::nft::model::reject::Reject;
use crate::nft::model::types::{PROTOCOLS, Type};
use crate::wire::nft::data::Value;
use crate::wire::nft::expr::dynset::DynsetOp;
use crate::wire::nft::expr::nat::NatFlags;

/// Bits of a mask or a state that have names.
const STATES: [(&str, u32); 5] =
    [("invalid", 1), ("established", 2), ("related", 4), ("new", 8), ("untracked", 64)];
const STATUSES: [(&str, u32); 7] = [
    ("expected", 1),
    ("seen-reply", 2),
    ("assured", 4),
    ("confirmed", 8),
    ("snat", 16),
    ("dnat", 32),
    ("dying", 512),
];
const TCP_FLAGS: [(&str, u32); 8] = [
    ("fin", 1),
    ("syn", 2),
    ("rst", 4),
    ("psh", 8),
    ("ack", 16),
    ("urg", 32),
    ("ecn", 64),
    ("cwr", 128),
];

/// A value in the words of `nft`.
struct Shown(Type, Value);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(kind, value) = self;
        let datum = kind.decode(value.as_slice());
        let Datum::Number(number) = datum else { return write!(f, "{datum}") };
        let bits: &[(&str, u32)] = match kind {
            Type::CtState => &STATES,
            Type::CtStatus => &STATUSES,
            Type::TcpFlags => &TCP_FLAGS,
            Type::Protocol => {
                return match PROTOCOLS.iter().find(|(_, one)| u32::from(*one) == number) {
                    Some((name, _)) => f.write_str(name),
                    None => write!(f, "{number}"),
                };
            }
            Type::Mark => return write!(f, "0x{number:08x}"),
            Type::EtherType => return write!(f, "0x{number:04x}"),
            _ => return write!(f, "{number}"),
        };
        let names: Vec<_> = bits.iter().filter(|(_, bit)| number & bit != 0).collect();
        let known: u32 = names.iter().map(|(_, bit)| bit).sum();
        if known != number || number == 0 {
            return write!(f, "0x{number:x}");
        }
        join(f, names.iter().map(|(name, _)| name), ",")
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, &self.fields, " . ")?;
        f.write_str(if self.not { " != " } else { " " })?;
        let kind = self.fields.first().map_or(Type::Mark, |field| field.value_type());
        match &self.test {
            Test::Is(value) | Test::AnyBit(value) => write!(f, "{}", Shown(kind, *value)),
            Test::Prefix(value, bits) => {
                let whole = kind.len() as usize;
                let mut bytes = value.as_slice().to_vec();
                bytes.resize(whole, 0);
                write!(f, "{}/{bits}", kind.decode(&bytes))
            }
            Test::Range(first, last) => {
                write!(f, "{}-{}", Shown(kind, *first), Shown(kind, *last))
            }
            Test::Bits { mask, value } => {
                write!(f, "& {} == {}", Shown(kind, *mask), Shown(kind, *value))
            }
            Test::Link(device) => write!(f, "{device}"),
            Test::Beginning(name) => write!(f, "\"{name}*\""),
            Test::In(group) => write!(f, "{group}"),
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "@{name}"),
            Self::Written { elements, .. } => {
                f.write_str("{ ")?;
                join(f, elements, ", ")?;
                f.write_str(" }")
            }
        }
    }
}

struct Ports(Option<(u16, u16)>);

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((first, last)) if first == last => write!(f, ":{first}"),
            Some((first, last)) => write!(f, ":{first}-{last}"),
            None => Ok(()),
        }
    }
}

struct Behaviour(NatFlags);

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (NatFlags::RANDOM, "random"),
            (NatFlags::FULLY_RANDOM, "fully-random"),
            (NatFlags::PERSISTENT, "persistent"),
        ];
        let set = named.into_iter().filter(|(flag, _)| self.0.contains(*flag));
        for (at, (_, name)) in set.enumerate() {
            write!(f, "{}{name}", if at == 0 { " " } else { "," })?;
        }
        Ok(())
    }
}

struct Over(bool);

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "over " } else { "" })
    }
}

/// In the largest unit that says it whole.
pub(crate) struct Bytes(pub(in crate::nft) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 20, "mbytes"), (1 << 10, "kbytes")];
        match units.into_iter().find(|(unit, _)| self.0 >= *unit && self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{} {name}", self.0 / unit),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// In the units of `nft`, the largest that are whole.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        for (unit, name) in
            [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")]
        {
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Dynamic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.op {
            DynsetOp::Add => "add",
            DynsetOp::Update => "update",
            DynsetOp::Delete => "delete",
        };
        write!(f, "{word} @{} {{ ", self.set)?;
        join(f, &self.fields, " . ")?;
        if let Some(timeout) = self.timeout {
            write!(f, " timeout {}", Time(timeout))?;
        }
        match self.own {
            None => {}
            Some(Own::Counter) => f.write_str(" counter")?,
            Some(Own::Limit(limit)) => write!(f, " {limit}")?,
            Some(Own::Connections { count, over }) => {
                write!(f, " ct count {}{count}", Over(over))?;
            }
        }
        if !self.data.is_empty() {
            f.write_str(" : ")?;
            join(f, &self.data, " . ")?;
        }
        f.write_str(" }")
    }
}

/// In the words of `nft`.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to_ports = |f: &mut fmt::Formatter<'_>, word, ports: Option<_>, flags| {
            let to = if ports.is_some() { " to " } else { "" };
            write!(f, "{word}{to}{}{}", Ports(ports), Behaviour(flags))
        };
        match self {
            Self::Network(Network::Ip4) => f.write_str("meta nfproto ipv4"),
            Self::Network(Network::Ip6) => f.write_str("meta nfproto ipv6"),
            Self::Network(Network::Arp) => f.write_str("meta protocol arp"),
            Self::Match(one) => write!(f, "{one}"),
            Self::Verdict(verdict) => write!(f, "{verdict}"),
            Self::VerdictMap { fields, map } => {
                join(f, fields, " . ")?;
                write!(f, " vmap {map}")
            }
            Self::Counter => f.write_str("counter"),
            Self::Limit(limit) => write!(f, "{limit}"),
            Self::Quota { bytes, over } => write!(f, "quota {}{}", Over(*over), Bytes(*bytes)),
            Self::Connections { count, over } => write!(f, "ct count {}{count}", Over(*over)),
            Self::Object(kind, name) => write!(f, "{kind} name \"{name}\""),
            Self::Dynamic(dynamic) => write!(f, "{dynamic}"),
            Self::Log(log) => write!(f, "{log}"),
            Self::RejectBoth(Reject::PortUnreachable) => {
                f.write_str("reject with icmpx port-unreachable")
            }
            Self::Reject(reject) | Self::RejectBoth(reject) => write!(f, "{reject}"),
            Self::Masquerade { ports, flags } => to_ports(f, "masquerade", *ports, *flags),
            Self::Redirect { ports, flags } => to_ports(f, "redirect", *ports, *flags),
            Self::Nat(nat) => {
                f.write_str(if nat.is_source { "snat to " } else { "dnat to " })?;
                if let Some((first, last)) = nat.addresses {
                    let bracketed = first.is_ipv6() && nat.ports.is_some();
                    let span = Span::Range(first.into(), last.into());
                    let span = if first == last { Span::One(first.into()) } else { span };
                    if bracketed { write!(f, "[{span}]") } else { write!(f, "{span}") }?;
                }
                write!(f, "{}{}", Ports(nat.ports), Behaviour(nat.flags))
            }
            Self::NatMap { is_source, fields, map, flags, .. } => {
                f.write_str(if *is_source { "snat to " } else { "dnat to " })?;
                join(f, fields, " . ")?;
                write!(f, " map {map}{}", Behaviour(*flags))
            }
            Self::ObjectMap { kind, fields, map } => {
                write!(f, "{kind} name ")?;
                join(f, fields, " . ")?;
                write!(f, " map {map}")
            }
            Self::MarkFrom { is_ct: false, number } => write!(f, "meta mark set {number}"),
            Self::MarkFrom { is_ct: true, number } => write!(f, "ct mark set {number}"),
            Self::SetMark(mark) => write!(f, "meta mark set 0x{mark:08x}"),
            Self::SetCtMark(mark) => write!(f, "ct mark set 0x{mark:08x}"),
            Self::SaveMark => f.write_str("ct mark set meta mark"),
            Self::RestoreMark => f.write_str("meta mark set ct mark"),
            Self::ClampMss(None) => f.write_str("tcp option maxseg size set rt mtu"),
            Self::ClampMss(Some(size)) => write!(f, "tcp option maxseg size set {size}"),
            Self::Notrack => f.write_str("notrack"),
            Self::FlowAdd(flowtable) => write!(f, "flow add @{flowtable}"),
            Self::Queue(queue) => write!(f, "{queue}"),
            Self::Dup { address, device } => {
                f.write_str("dup to ")?;
                match (address, device) {
                    (Some(address), None) => write!(f, "{address}"),
                    (None, Some(device)) => write!(f, "{device}"),
                    (Some(address), Some(device)) => write!(f, "{address} device {device}"),
                    (None, None) => Ok(()),
                }
            }
            Self::Fwd { address: None, device } => write!(f, "fwd to {device}"),
            Self::Fwd { address: Some(address), device } => {
                let family = if address.is_ipv4() { "ip" } else { "ip6" };
                write!(f, "fwd {family} to {address} device {device}")
            }
            Self::Tproxy { address, port } => {
                f.write_str("tproxy to ")?;
                match address {
                    Some(IpAddr::V6(address)) => write!(f, "[{address}]")?,
                    Some(address) => write!(f, "{address}")?,
                    None => {}
                }
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
            Self::Synproxy(offer) => write!(f, "{offer}"),
            Self::Unknown(list) => join(f, list.iter().map(|one| format!("[{}]", one.name())), " "),
        }
    }
}
