//! Which packets a rule is for, as expressions, in the order and form that `nft` writes them.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::link::LinkRef;
use crate::port::PortRange;
use crate::protocol::Protocol;
use crate::wire::nft::data::Value;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::bitwise::Bitwise;
use crate::wire::nft::expr::cmp::{Cmp, Comparison};
use crate::wire::nft::expr::meta::{Meta, MetaKey};
use crate::wire::nft::expr::payload::{Payload, PayloadBase, Span};
use crate::wire::nft::register::Register::R1;

const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;

/// What a rule asks of a packet; nothing set means any packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Matches {
    pub(super) in_link: Option<LinkRef>,
    pub(super) out_link: Option<LinkRef>,
    pub(super) source: Option<IpNet>,
    pub(super) source_not: Vec<IpNet>,
    pub(super) destination: Option<IpNet>,
    pub(super) destination_not: Vec<IpNet>,
    pub(super) protocol: Option<Protocol>,
    pub(super) source_port: Option<PortRange>,
    pub(super) destination_port: Option<PortRange>,
    pub(super) mark: Option<(u32, u32)>,
}

/// Which of a packet's two addresses or ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Source,
    Destination,
}

impl Matches {
    /// The prefixes it compares addresses with, with the way it does.
    fn prefixes(&self) -> impl Iterator<Item = (End, Comparison, IpNet)> {
        let one = |end, net: Option<IpNet>| net.map(|net| (end, Comparison::Equal, net));
        let not = |end| move |&net| (end, Comparison::NotEqual, net);
        one(End::Source, self.source)
            .into_iter()
            .chain(self.source_not.iter().map(not(End::Source)))
            .chain(one(End::Destination, self.destination))
            .chain(self.destination_not.iter().map(not(End::Destination)))
    }

    /// Whether each address is an IPv4 one.
    pub(super) fn families(&self) -> impl Iterator<Item = bool> {
        self.prefixes().map(|(_, _, net)| net.addr().is_ipv4())
    }

    /// What can't be, in words.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.prefixes().any(|(_, op, net)| op == Comparison::NotEqual && net.prefix_len() == 0) {
            return Err("no address is outside of a prefix of length 0".into());
        }
        let port = self.source_port.or(self.destination_port);
        match self.protocol {
            Some(protocol) if protocol.has_ports() => Ok(()),
            Some(protocol) if port.is_some() => Err(format!("protocol {protocol} has no ports")),
            None if port.is_some() => Err(NO_PROTOCOL.into()),
            _ => Ok(()),
        }
    }

    /// The expressions; `is_ipv4` where the rule is for one family only.
    pub(super) fn expressions(&self, is_ipv4: Option<bool>) -> Option<Vec<Expr>> {
        let mut list = Vec::new();
        let mut compare = |load: Expr, value: Value| list.extend([load, equal(value)]);
        for (key, name) in
            [(MetaKey::InputName, &self.in_link), (MetaKey::OutputName, &self.out_link)]
        {
            if let Some(name) = name {
                compare(Meta::Load { dreg: R1, key }.into(), Value::interface(name.name())?);
            }
        }
        if let Some(is_ipv4) = is_ipv4 {
            compare(
                Meta::Load { dreg: R1, key: MetaKey::NetfilterProtocol }.into(),
                Value::from(if is_ipv4 { NFPROTO_IPV4 } else { NFPROTO_IPV6 }),
            );
        }
        for (end, op, net) in self.prefixes() {
            address(&mut list, end, op, net)?;
        }
        if let Some((mark, mask)) = self.mark {
            list.push(Meta::Load { dreg: R1, key: MetaKey::Mark }.into());
            if mask != u32::MAX {
                list.push(Bitwise::mask(R1, Value::host_u32(mask)).into());
            }
            list.push(equal(Value::host_u32(mark)));
        }
        if let Some(protocol) = self.protocol {
            list.push(Meta::Load { dreg: R1, key: MetaKey::Layer4Protocol }.into());
            list.push(equal(Value::from(protocol.number())));
        }
        for (end, range) in
            [(End::Source, self.source_port), (End::Destination, self.destination_port)]
        {
            if let Some(range) = range {
                ports(&mut list, end, range);
            }
        }
        Some(list)
    }
}

pub(super) const NO_PROTOCOL: &str =
    "a port belongs to a protocol: say tcp(), udp() or protocol(…)";

/// `ip saddr PREFIX`: whole bytes are compared as they are, bits are masked first.
fn address(list: &mut Vec<Expr>, end: End, op: Comparison, prefix: IpNet) -> Option<()> {
    let network = prefix.network();
    let address = Value::from(network);
    let offset = match (network, end) {
        (IpAddr::V4(_), End::Source) => 12,
        (IpAddr::V4(_), End::Destination) => 16,
        (IpAddr::V6(_), End::Source) => 8,
        (IpAddr::V6(_), End::Destination) => 24,
    };
    let length = prefix.prefix_len();
    if length == 0 {
        return Some(());
    }
    let whole = length.is_multiple_of(8);
    let all = address.as_slice();
    let bytes = if whole { usize::from(length / 8) } else { all.len() };
    let span = Span { base: PayloadBase::Network, offset, len: u32::try_from(bytes).ok()? };
    list.push(Payload::Load { dreg: R1, span }.into());
    if !whole {
        list.push(Bitwise::mask(R1, Value::from(prefix.netmask())).into());
    }
    list.push(Cmp { sreg: R1, op, data: Value::new(all.get(..bytes)?)? }.into());
    Some(())
}

/// `tcp dport RANGE`.
fn ports(list: &mut Vec<Expr>, end: End, range: PortRange) {
    let offset = if end == End::Source { 0 } else { 2 };
    list.push(Payload::load(R1, PayloadBase::Transport, offset, 2).into());
    if range.is_one() {
        list.push(equal(range.first().into()));
        return;
    }
    let compare = |op, port: u16| Cmp { sreg: R1, op, data: port.into() };
    list.push(compare(Comparison::GreaterOrEqual, range.first()).into());
    list.push(compare(Comparison::LessOrEqual, range.last()).into());
}

fn equal(data: Value) -> Expr {
    Cmp { sreg: R1, op: Comparison::Equal, data }.into()
}

/// In the words of `nft`, with a space at the end.
impl fmt::Display for Matches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (word, name) in [("iifname", &self.in_link), ("oifname", &self.out_link)] {
            if let Some(name) = name {
                write!(f, "{word} \"{}\" ", name.name())?;
            }
        }
        for (end, op, net) in self.prefixes() {
            let family = if net.addr().is_ipv4() { "ip" } else { "ip6" };
            let word = if end == End::Source { "saddr" } else { "daddr" };
            let not = if op == Comparison::NotEqual { "!= " } else { "" };
            write!(f, "{family} {word} {not}{net} ")?;
        }
        match self.mark {
            Some((mark, u32::MAX)) => write!(f, "meta mark {mark:#x} ")?,
            Some((mark, mask)) => write!(f, "meta mark & {mask:#x} == {mark:#x} ")?,
            None => {}
        }
        let ports = [("sport", self.source_port), ("dport", self.destination_port)];
        match self.protocol {
            Some(protocol) if ports.iter().all(|(_, port)| port.is_none()) => {
                write!(f, "meta l4proto {protocol} ")?;
            }
            protocol => {
                let protocol = protocol.map_or("th".to_owned(), |protocol| protocol.to_string());
                for (word, range) in ports {
                    if let Some(range) = range {
                        write!(f, "{protocol} {word} {range} ")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expressions(matches: &Matches) -> usize {
        matches.expressions(matches.families().next()).unwrap().len()
    }

    #[test]
    fn an_address_of_whole_bytes_needs_no_mask() {
        let count = |text: &str| {
            expressions(&Matches { source: Some(text.parse().unwrap()), ..Matches::default() })
        };
        assert_eq!(count("10.0.0.0/24"), 4);
        assert_eq!(count("10.0.0.0/20"), 5);
        assert_eq!(count("fd00::/64"), 4);
        assert_eq!(count("0.0.0.0/0"), 2);
    }

    #[test]
    fn ports_need_a_protocol_that_has_them() {
        let port = Matches { destination_port: Some(80.into()), ..Matches::default() };
        assert!(port.check().is_err());
        for (protocol, fits) in [(Protocol::TCP, true), (Protocol::ICMP, false)] {
            let matches = Matches { protocol: Some(protocol), ..port.clone() };
            assert_eq!(matches.check().is_ok(), fits, "{matches}");
        }
    }

    #[test]
    fn outside_of_everything_is_nothing() {
        let destination_not = vec!["0.0.0.0/0".parse().unwrap()];
        assert!(Matches { destination_not, ..Matches::default() }.check().is_err());
    }
}
