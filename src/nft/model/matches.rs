//! The setters of matches in a rule.

use super::constant::{Constant, Interval};
use super::element::Element;
use super::field::Field;
use super::network::Network;
use super::rule::Rule;
use super::set_ref::MapLookup;
use super::statements::matching::{Condition, Match};
use super::statements::network_match::NetworkMatch;
use super::types::Type;
use crate::input::Input;
use crate::link::LinkRef;
use crate::link_pattern::LinkPattern;
use crate::wire::nft::data::Value;
use crate::wire::nft::expr::ct::{CtState, CtStatus};

impl Rule {
    /// Negates the next match, as `!=`: `.not().source("10.0.0.0/8")`.
    #[allow(clippy::should_implement_trait)] // it reads as the field speaks, and takes no operand
    pub fn not(mut self) -> Self {
        self.negated = true;
        self
    }

    /// Matches the source: an address, network or range, IPv4 or IPv6: `ip saddr`, `ip6 saddr`.
    #[doc(alias("ip saddr", "ip6 saddr"))]
    pub fn source(self, from: impl Into<Interval>) -> Self {
        self.address("source", [Field::Ip4Source, Field::Ip6Source], vec![from.into()])
    }

    /// Matches any of these sources, all IPv4 or all IPv6: `ip saddr { … }`.
    pub fn sources(self, from: impl IntoIterator<Item = impl Into<Interval>>) -> Self {
        let intervals = from.into_iter().map(Into::into).collect();
        self.address("sources", [Field::Ip4Source, Field::Ip6Source], intervals)
    }

    /// Matches the destination: an address, network or range, IPv4 or IPv6: `ip daddr`,
    /// `ip6 daddr`.
    #[doc(alias("ip daddr", "ip6 daddr"))]
    pub fn destination(self, to: impl Into<Interval>) -> Self {
        self.address("destination", [Field::Ip4Destination, Field::Ip6Destination], vec![to.into()])
    }

    /// Matches any of these destinations, all IPv4 or all IPv6: `ip daddr { … }`.
    pub fn destinations(self, to: impl IntoIterator<Item = impl Into<Interval>>) -> Self {
        let intervals = to.into_iter().map(Into::into).collect();
        self.address("destinations", [Field::Ip4Destination, Field::Ip6Destination], intervals)
    }

    /// Matches the first packet of a TCP connection: `tcp flags syn / syn,rst`.
    pub fn tcp_syn(self) -> Self {
        const SYN: u8 = 2;
        const RST: u8 = 4;
        let condition = Condition::Bits { mask: Value::from(SYN | RST), value: Value::from(SYN) };
        self.push_match(Field::TcpFlags, condition)
    }

    /// Matches packets that arrive by this link, by index: `iif`. The link must exist. The rule
    /// follows a rename of the link.
    #[doc(alias = "meta iif")]
    pub fn iif(self, link: impl Into<LinkRef>) -> Self {
        self.link("iif", Field::Iif, link.into())
    }

    /// Matches packets that leave by this link, by index: `oif`. The link must exist. The rule
    /// follows a rename of the link.
    #[doc(alias = "meta oif")]
    pub fn oif(self, link: impl Into<LinkRef>) -> Self {
        self.link("oif", Field::Oif, link.into())
    }

    /// Matches packets that arrive by a link with this name, or whose name begins with the text
    /// before a final `*`: `iifname`. The link need not exist.
    #[doc(alias = "meta iifname")]
    pub fn iifname(self, pattern: impl Input<LinkPattern>) -> Self {
        self.link_name("iifname", Field::Iifname, pattern)
    }

    /// Matches packets that leave by a link with this name, or whose name begins with the text
    /// before a final `*`: `oifname`. The link need not exist.
    #[doc(alias = "meta oifname")]
    pub fn oifname(self, pattern: impl Input<LinkPattern>) -> Self {
        self.link_name("oifname", Field::Oifname, pattern)
    }

    /// Matches the bits of `mask` in the mark of the packet: `meta mark and MASK == MARK`.
    pub fn mark_bits(self, mark: u32, mask: u32) -> Self {
        let (mask, value) = (Value::host_u32(mask), Value::host_u32(mark));
        self.push_match(Field::Mark, Condition::Bits { mask, value })
    }

    /// Matches connections in any of these states: `ct state established,related`.
    #[doc(alias = "ct state")]
    pub fn ct_state(mut self, state: CtState) -> Self {
        if state.is_empty() {
            self.rejected.reject("ct_state", "", "no state was named");
        }
        self.any_bit(Field::CtState, state.bits())
    }

    /// Matches connections with any of these status bits: `ct status dnat`.
    #[doc(alias = "ct status")]
    pub fn ct_status(mut self, status: CtStatus) -> Self {
        if status.is_empty() {
            self.rejected.reject("ct_status", "", "no status was named");
        }
        self.any_bit(Field::CtStatus, status.bits())
    }

    /// Matches destinations that are addresses of this machine: `fib daddr type local`.
    #[doc(alias = "addrtype")]
    pub fn to_this_machine(self) -> Self {
        const RTN_LOCAL: u32 = 2;
        self.is(Field::DestinationAddressType, RTN_LOCAL)
    }

    /// Matches packets whose field is this value, or in this prefix or range.
    pub fn is(self, field: Field, what: impl Into<Interval>) -> Self {
        self.matching("is", field, what)
    }

    /// Matches packets whose field is any of these, as an anonymous set: `FIELD { … }`.
    pub fn any_of(self, field: Field, what: impl IntoIterator<Item = impl Into<Interval>>) -> Self {
        self.matching_any("any_of", field, what)
    }

    /// Looks the fields up in a set of the table: `FIELD . FIELD @set`.
    pub fn in_set(mut self, fields: impl IntoIterator<Item = Field>, set: &str) -> Self {
        let lookup = self.named("in_set", fields, set);
        self.push_lookup(lookup)
    }

    fn address(
        mut self,
        setter: &'static str,
        fields: [Field; 2],
        intervals: Vec<Interval>,
    ) -> Self {
        let network = |interval: &Interval| match interval.ends().0 {
            Constant::Address(address) => Some(Network::of_address(address)),
            _ => None,
        };
        let networks: Option<Vec<_>> = intervals.iter().map(network).collect();
        let Some((first, others)) = networks.as_ref().and_then(|all| all.split_first()) else {
            let shown = intervals.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let reason = "not a valid address, network (10.0.0.0/24) or range (10.0.0.1-10.0.0.9)";
            self.rejected.reject(setter, shown, reason);
            return self;
        };
        if others.iter().any(|network| network != first) {
            self.rejected.reject(setter, &intervals[0], "IPv4 and IPv6 addresses are mixed");
            return self;
        }
        let [ip4, ip6] = fields;
        let field = if *first == Network::Ip4 { ip4 } else { ip6 };
        match intervals.as_slice() {
            [one] => self.matching(setter, field, one.clone()),
            _ => self.matching_any(setter, field, intervals),
        }
    }

    fn matching_any(
        self,
        setter: &'static str,
        field: Field,
        what: impl IntoIterator<Item = impl Into<Interval>>,
    ) -> Self {
        let elements = what.into_iter().map(|interval| Element::from(interval.into())).collect();
        self.in_elements(setter, vec![field], elements)
    }

    fn matching(mut self, setter: &'static str, field: Field, what: impl Into<Interval>) -> Self {
        let interval = &what.into();
        match Condition::within(field.value_type(), interval) {
            Err(reason) => {
                self.rejected.reject(setter, interval, reason);
                self
            }
            // The prefix has all addresses, so only the family is matched.
            Ok(Condition::Prefix(_, 0)) => {
                let is_v4 = field.value_type() == Type::Ipv4;
                if std::mem::take(&mut self.negated) {
                    self.rejected.reject(
                        setter,
                        interval,
                        "the network has all addresses, so nothing would match",
                    );
                }
                self.push(NetworkMatch(if is_v4 { Network::Ip4 } else { Network::Ip6 }))
            }
            Ok(condition) => self.push_match(field, condition),
        }
    }

    pub(crate) fn in_elements(
        mut self,
        setter: &'static str,
        fields: Vec<Field>,
        elements: Vec<Element>,
    ) -> Self {
        let lookup = self.anonymous(setter, fields, elements, |_: &[_]| Ok(None));
        self.push_lookup(lookup)
    }

    fn link(mut self, setter: &'static str, field: Field, link: LinkRef) -> Self {
        let device = self.device(setter, link);
        self.push_match(field, Condition::Link(device))
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
                self.push_match(field, Condition::NamePrefix(pattern.text().to_owned()))
            }
            Some(value) => self.push_match(field, Condition::Equal(value)),
            None => {
                self.rejected.reject(setter, pattern, "the name is too long");
                self
            }
        }
    }

    /// Matches if at least one of these bits is set.
    fn any_bit(mut self, field: Field, bits: u32) -> Self {
        self.negated = !self.negated;
        self.push_match(
            field,
            Condition::Bits { mask: Value::host_u32(bits), value: Value::host_u32(0) },
        )
    }

    fn push_match(mut self, field: Field, condition: Condition) -> Self {
        let negated = std::mem::take(&mut self.negated);
        self.push(Match { fields: vec![field], negated, condition })
    }

    fn push_lookup(mut self, MapLookup { key, map }: MapLookup) -> Self {
        let negated = std::mem::take(&mut self.negated);
        self.push(Match { fields: key, negated, condition: Condition::In(map) })
    }
}

/// Defines setters that match one field: `matching` a value, prefix or range, or `matching_any` of
/// several.
macro_rules! setters {
    ($(
        $(#[$meta:meta])*
        $setter:ident($($arg:ident: $type:ty)?): $field:ident $how:ident $what:expr;
    )*) => {
        impl Rule {$(
            $(#[$meta])*
            pub fn $setter(self $(, $arg: $type)?) -> Self {
                self.$how(stringify!($setter), Field::$field, $what)
            }
        )*}
    };
}

setters! {
    /// Matches TCP, `meta l4proto tcp`.
    tcp(): Protocol matching 6_u8;

    /// Matches UDP, `meta l4proto udp`.
    udp(): Protocol matching 17_u8;

    /// Matches SCTP, `meta l4proto sctp`.
    sctp(): Protocol matching 132_u8;

    /// Matches the transport protocol with this number, as in `/etc/protocols`.
    #[doc(alias = "meta l4proto")]
    protocol(number: u8): Protocol matching number;

    /// Matches any of these transport protocols, by number: `meta l4proto { tcp, udp }`.
    protocols(numbers: impl IntoIterator<Item = u8>): Protocol matching_any numbers;

    /// Matches the source port, or a range of ports, after a match on the protocol: `tcp sport`.
    sport(port: impl Into<Interval>): SourcePort matching port;

    /// Matches any of these source ports: `tcp sport { … }`.
    sports(ports: impl IntoIterator<Item = impl Into<Interval>>): SourcePort matching_any ports;

    /// Matches the destination port, or a range of ports, after a match on the protocol:
    /// `tcp dport`.
    dport(port: impl Into<Interval>): DestinationPort matching port;

    /// Matches any of these destination ports: `tcp dport { … }`.
    dports(ports: impl IntoIterator<Item = impl Into<Interval>>): DestinationPort matching_any ports;

    /// Matches pings, `icmp type echo-request`.
    icmp_echo(): IcmpType matching 8_u8;

    /// Matches ICMP messages of this type.
    icmp_type(number: u8): IcmpType matching number;

    /// Matches `ICMPv6` messages of this type: neighbour solicitations are 135, advertisements 136.
    icmpv6_type(number: u8): Icmpv6Type matching number;

    /// Matches the mark of the packet: `meta mark`.
    mark(mark: u32): Mark matching mark;

    /// Matches the mark of the connection: `ct mark`.
    ct_mark(mark: u32): CtMark matching mark;

    /// Matches the hardware address of the source: `ether saddr`.
    source_mac(mac: impl Into<Interval>): MacSource matching mac;

    /// Matches the hardware address of the destination: `ether daddr`.
    destination_mac(mac: impl Into<Interval>): MacDestination matching mac;

    /// Matches packets of a local transparent socket, at the hooks prerouting and input: `socket
    /// transparent 1`. A [`tproxy`](Self::tproxy) rule has redirected such packets before.
    #[doc(alias = "NFT_SOCKET_TRANSPARENT")]
    socket_transparent(): SocketTransparent matching 1_u8;

    /// Matches packets of a local socket with this mark: `socket mark`.
    #[doc(alias = "NFT_SOCKET_MARK")]
    socket_mark(mark: u32): SocketMark matching mark;
}
