//! The builder of rules: what they look for.

use std::fmt;

use super::datum::{Datum, Span};
use super::device::Device;
use super::element::{Element, join};
use super::encode::{has_intervals, shape_of};
use super::field::{Field, Network};
use super::part::{Group, Match, Part, Test};
use super::rule::Rule;
use super::types::Type;
use crate::input::Input;
use crate::link::LinkRef;
use crate::link_pattern::LinkPattern;
use crate::wire::nft::data::Value;
use crate::wire::nft::expr::ct::{CtState, CtStatus};

impl Rule {
    /// The next match must *not* hold, as `!=`: `.not().source("10.0.0.0/8")`.
    #[allow(clippy::should_implement_trait)] // it reads as the field speaks, and takes no operand
    pub fn not(mut self) -> Self {
        self.negated = true;
        self
    }

    /// Only IPv4, `meta nfproto ipv4`; it follows from an IPv4 address.
    pub fn ipv4(self) -> Self {
        self.network(Network::Ip4)
    }

    /// Only IPv6, `meta nfproto ipv6`; it follows from an IPv6 address.
    pub fn ipv6(self) -> Self {
        self.network(Network::Ip6)
    }

    /// Only ARP, in the families `bridge` and `netdev`.
    pub fn arp(self) -> Self {
        self.network(Network::Arp)
    }

    /// From this address, network or range, IPv4 or IPv6: `ip saddr`, `ip6 saddr`.
    #[doc(alias("ip saddr", "ip6 saddr"))]
    pub fn source(self, from: impl Into<Span>) -> Self {
        self.address("source", [Field::Ip4Source, Field::Ip6Source], vec![from.into()])
    }

    /// From any of these: `ip saddr { … }`. They are all IPv4 or all IPv6.
    pub fn sources(self, from: impl IntoIterator<Item = impl Into<Span>>) -> Self {
        let spans = from.into_iter().map(Into::into).collect();
        self.address("sources", [Field::Ip4Source, Field::Ip6Source], spans)
    }

    /// To this address, network or range, IPv4 or IPv6: `ip daddr`, `ip6 daddr`.
    #[doc(alias("ip daddr", "ip6 daddr"))]
    pub fn destination(self, to: impl Into<Span>) -> Self {
        self.address("destination", [Field::Ip4Destination, Field::Ip6Destination], vec![to.into()])
    }

    /// To any of these: `ip daddr { … }`. They are all IPv4 or all IPv6.
    pub fn destinations(self, to: impl IntoIterator<Item = impl Into<Span>>) -> Self {
        let spans = to.into_iter().map(Into::into).collect();
        self.address("destinations", [Field::Ip4Destination, Field::Ip6Destination], spans)
    }

    /// TCP, `meta l4proto tcp`.
    pub fn tcp(self) -> Self {
        self.protocol(6)
    }

    /// UDP, `meta l4proto udp`.
    pub fn udp(self) -> Self {
        self.protocol(17)
    }

    /// SCTP, `meta l4proto sctp`.
    pub fn sctp(self) -> Self {
        self.protocol(132)
    }

    /// The transport protocol of this number, as in `/etc/protocols`.
    #[doc(alias = "meta l4proto")]
    pub fn protocol(self, number: u8) -> Self {
        self.is(Field::Protocol, number)
    }

    /// Any of these transport protocols, by number: `meta l4proto { tcp, udp }`.
    pub fn protocols(self, numbers: impl IntoIterator<Item = u8>) -> Self {
        self.any_of(Field::Protocol, numbers)
    }

    /// From this port or range, of the protocol named before: `tcp sport`.
    pub fn sport(self, port: impl Into<Span>) -> Self {
        self.matching("sport", Field::SourcePort, &port.into())
    }

    /// From any of these ports: `tcp sport { … }`.
    pub fn sports(self, ports: impl IntoIterator<Item = impl Into<Span>>) -> Self {
        self.any_of(Field::SourcePort, ports)
    }

    /// To this port or range, of the protocol named before: `tcp dport`.
    pub fn dport(self, port: impl Into<Span>) -> Self {
        self.matching("dport", Field::DestinationPort, &port.into())
    }

    /// To any of these ports: `tcp dport { … }`.
    pub fn dports(self, ports: impl IntoIterator<Item = impl Into<Span>>) -> Self {
        self.any_of(Field::DestinationPort, ports)
    }

    /// Pings, `icmp type echo-request`.
    pub fn icmp_echo(self) -> Self {
        self.icmp_type(8)
    }

    /// An ICMP message of this type.
    pub fn icmp_type(self, number: u8) -> Self {
        self.is(Field::IcmpType, number)
    }

    /// An `ICMPv6` message of this type: neighbour solicitations are 135, their answers 136.
    pub fn icmpv6_type(self, number: u8) -> Self {
        self.is(Field::Icmpv6Type, number)
    }

    /// The first packet of a TCP connection: `tcp flags syn / syn,rst`.
    pub fn tcp_syn(mut self) -> Self {
        const SYN: u8 = 2;
        const RST: u8 = 4;
        let test = Test::Bits { mask: Value::from(SYN | RST), value: Value::from(SYN) };
        self.push_match(Field::TcpFlags, test);
        self
    }

    /// Matches packets that came in by this link, by index: `iif`. The link must exist; the rule follows it
    /// when it is renamed.
    #[doc(alias = "meta iif")]
    pub fn iif(self, link: impl Into<LinkRef>) -> Self {
        self.link("iif", Field::Iif, link.into())
    }

    /// Matches packets that leave by this link, by index: `oif`. The link must exist; the rule follows it
    /// when it is renamed.
    #[doc(alias = "meta oif")]
    pub fn oif(self, link: impl Into<LinkRef>) -> Self {
        self.link("oif", Field::Oif, link.into())
    }

    /// Matches packets that came in by a link of this name, or of this prefix with `*` at its end: `iifname`.
    /// The link need not exist.
    #[doc(alias = "meta iifname")]
    pub fn iifname(self, pattern: impl Input<LinkPattern>) -> Self {
        self.link_name("iifname", Field::Iifname, pattern)
    }

    /// Matches packets that leave by a link of this name, or of this prefix with `*` at its end: `oifname`.
    /// The link need not exist.
    #[doc(alias = "meta oifname")]
    pub fn oifname(self, pattern: impl Input<LinkPattern>) -> Self {
        self.link_name("oifname", Field::Oifname, pattern)
    }

    /// Has this mark: `meta mark`.
    pub fn mark(self, mark: u32) -> Self {
        self.is(Field::Mark, mark)
    }

    /// Has this mark in the bits of `mask`: `meta mark and MASK == MARK`.
    pub fn mark_bits(mut self, mark: u32, mask: u32) -> Self {
        let test = bits(Value::host_u32(mask), Value::host_u32(mark), &mut self.negated);
        self.push_match(Field::Mark, test);
        self
    }

    /// Is any of this to its connection: `ct state established,related`.
    #[doc(alias = "ct state")]
    pub fn ct_state(mut self, state: CtState) -> Self {
        if state.is_empty() {
            self.rejected.reject("ct_state", "", "no state was named");
        }
        self.push_match(Field::CtState, Test::AnyBit(state.into()));
        self
    }

    /// Any of this has happened to its connection: `ct status dnat`.
    #[doc(alias = "ct status")]
    pub fn ct_status(mut self, status: CtStatus) -> Self {
        if status.is_empty() {
            self.rejected.reject("ct_status", "", "no status was named");
        }
        self.push_match(Field::CtStatus, Test::AnyBit(status.into()));
        self
    }

    /// Its connection has this mark: `ct mark`.
    pub fn ct_mark(self, mark: u32) -> Self {
        self.is(Field::CtMark, mark)
    }

    /// From this hardware address: `ether saddr`.
    pub fn source_mac(self, mac: impl Into<Span>) -> Self {
        self.matching("source_mac", Field::MacSource, &mac.into())
    }

    /// To this hardware address: `ether daddr`.
    pub fn destination_mac(self, mac: impl Into<Span>) -> Self {
        self.matching("destination_mac", Field::MacDestination, &mac.into())
    }

    /// To an address of this machine: `fib daddr type local`.
    #[doc(alias = "addrtype")]
    pub fn to_this_machine(self) -> Self {
        const RTN_LOCAL: u32 = 2;
        self.is(Field::DestinationAddressType, RTN_LOCAL)
    }

    /// A local socket that is transparent has it: `socket transparent 1`. At the hooks prerouting and input,
    /// of packets that a [`tproxy`](Self::tproxy) rule need not see any more.
    #[doc(alias = "NFT_SOCKET_TRANSPARENT")]
    pub fn socket_transparent(self) -> Self {
        self.is(Field::SocketTransparent, 1_u8)
    }

    /// A local socket with this mark has it: `socket mark`.
    #[doc(alias = "NFT_SOCKET_MARK")]
    pub fn socket_mark(self, mark: u32) -> Self {
        self.is(Field::SocketMark, mark)
    }

    /// Any field is this value, prefix or range.
    pub fn is(self, field: Field, what: impl Into<Span>) -> Self {
        self.matching("is", field, &what.into())
    }

    /// Any field is one of these, written into the rule: `FIELD { … }`.
    pub fn any_of(self, field: Field, what: impl IntoIterator<Item = impl Into<Span>>) -> Self {
        let elements = what.into_iter().map(|span| Element::from(span.into())).collect();
        self.in_elements("any_of", vec![field], elements)
    }

    /// These fields are in the set of this name, in the rule's table: `FIELD . FIELD @set`.
    pub fn in_set(mut self, fields: impl IntoIterator<Item = Field>, set: &str) -> Self {
        let (fields, set) = self.named("in_set", fields, set);
        let not = std::mem::take(&mut self.negated);
        self.push(Part::Match(Match { fields, not, test: Test::In(set) }));
        self
    }

    fn network(mut self, network: Network) -> Self {
        if std::mem::take(&mut self.negated) {
            self.rejected.reject("not", network, "say the other family instead");
        }
        self.push(Part::Network(network));
        self
    }

    fn address(mut self, setter: &'static str, fields: [Field; 2], spans: Vec<Span>) -> Self {
        let is_v4 = |span: &Span| match span.ends().0 {
            Datum::Address(address) => Some(address.is_ipv4()),
            _ => None,
        };
        let families: Vec<_> = spans.iter().map(is_v4).collect();
        let (Some(Some(first)), false) =
            (families.first().copied(), families.iter().any(Option::is_none))
        else {
            let shown = spans.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let reason = "it is no address, network (10.0.0.0/24) or range (10.0.0.1-10.0.0.9)";
            self.rejected.reject(setter, shown, reason);
            return self;
        };
        if families.iter().any(|family| *family != Some(first)) {
            self.rejected.reject(setter, &spans[0], "IPv4 and IPv6 addresses are mixed");
            return self;
        }
        let field = fields[usize::from(!first)];
        match <[Span; 1]>::try_from(spans) {
            Ok([one]) => self.matching(setter, field, &one),
            Err(many) => {
                let elements = many.into_iter().map(Element::from).collect();
                self.in_elements(setter, vec![field], elements)
            }
        }
    }

    fn matching(mut self, setter: &'static str, field: Field, span: &Span) -> Self {
        match test_of(field.value_type(), span) {
            Err(reason) => self.rejected.reject(setter, span, reason),
            // All there are: only the family is left to look for.
            Ok(Test::Prefix(_, 0)) => {
                let network =
                    if field.value_type() == Type::Ipv4 { Network::Ip4 } else { Network::Ip6 };
                if std::mem::take(&mut self.negated) {
                    self.rejected.reject(setter, span, "no address is outside of it");
                }
                self.push(Part::Network(network));
            }
            Ok(test) => self.push_match(field, test),
        }
        self
    }

    pub(crate) fn in_elements(
        mut self,
        setter: &'static str,
        fields: Vec<Field>,
        elements: Vec<Element>,
    ) -> Self {
        if elements.is_empty() {
            self.rejected.reject(setter, "", "nothing was named");
        }
        let interval = has_intervals(&elements);
        let shape = shape_of(&fields, None, interval);
        if let Err(reason) = shape.encode_anonymous(&elements) {
            self.rejected.reject(setter, Shown(&elements), reason);
        }
        let not = std::mem::take(&mut self.negated);
        let test = Test::In(Group::written(elements, interval));
        self.push(Part::Match(Match { fields, not, test }));
        self
    }

    fn link(mut self, setter: &'static str, field: Field, link: LinkRef) -> Self {
        let device = self.device(setter, link);
        self.push_match(field, Test::Link(device));
        self
    }

    fn link_name(
        mut self,
        setter: &'static str,
        field: Field,
        pattern: impl Input<LinkPattern>,
    ) -> Self {
        let Some(pattern) = self.rejected.read(setter, pattern) else { return self };
        match Value::interface(pattern.text()) {
            _ if pattern.is_prefix() => {
                self.push_match(field, Test::Beginning(pattern.text().to_owned()));
            }
            Some(value) => self.push_match(field, Test::Is(value)),
            None => self.rejected.reject(setter, pattern, "it is too long"),
        }
        self
    }

    fn push_match(&mut self, field: Field, test: Test) {
        let not = std::mem::take(&mut self.negated);
        self.push(Part::Match(Match { fields: vec![field], not, test }));
    }
}

struct Shown<'a>(&'a [Element]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, self.0, ", ")
    }
}

fn test_of(kind: Type, span: &Span) -> Result<Test, String> {
    match span {
        Span::One(Datum::Name(name)) if kind == Type::LinkIndex => {
            return Ok(Test::Link(Device::Link(LinkRef::from(name.as_str()))));
        }
        Span::One(Datum::Number(index)) if kind == Type::LinkIndex => {
            return Ok(Test::Link(Device::Index(*index)));
        }
        _ => {}
    }
    let (first, last) = kind.encode_span(span)?;
    Ok(match span {
        Span::One(_) => Test::Is(first),
        Span::Prefix(net) => Test::Prefix(first, net.prefix_len()),
        Span::Range(..) => Test::Range(first, last),
    })
}

/// None of the bits is not any of them: there is one way to say it.
fn bits(mask: Value, value: Value, negated: &mut bool) -> Test {
    if value == mask.zeroed() {
        *negated = !*negated;
        return Test::AnyBit(mask);
    }
    Test::Bits { mask, value }
}
