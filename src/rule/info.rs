//! Policy rules as the kernel lists them, and the messages of requests: both have one form.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::IpNet;
use netlink_packet_core::{DefaultNla, Nla};
use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::rule::{RuleAttribute, RulePortRange, RuleUidRange};

use crate::numbered::numbered;
use crate::port::PortRange;
use crate::protocol::Protocol;
use crate::text::{Escaped, part};
use crate::wire::attribute::Writer;
use crate::wire::message::Message;
use crate::wire::route::{AF_INET, AF_INET6};

/// The length of `struct fib_rule_hdr`.
pub(super) const HEADER: usize = 12;

const FIB_RULE_INVERT: u32 = 2;

numbered! {
    /// The treatment of packets that a policy rule matches (`FR_ACT_*`).
    PolicyRuleAction: u8 {
        /// The route is looked up in the rule's table. Without a route the next rule is tried.
        Lookup = 1 "lookup",
        /// The rules continue at another priority.
        Goto = 2 "goto",
        /// The next rule is tried.
        Nop = 3 "nop",
        /// Packets are dropped without an answer.
        Blackhole = 6 "blackhole",
        /// Packets are rejected as unreachable.
        Unreachable = 7 "unreachable",
        /// Packets are rejected as prohibited.
        Prohibit = 8 "prohibit",
    }
}

/// A policy rule as the kernel lists it, a line of `ip rule`. A selector that is not set matches
/// all packets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the kernel's")]
#[non_exhaustive]
pub struct PolicyRuleInfo {
    /// The rule is for IPv6 packets, not for IPv4.
    pub ipv6: bool,
    /// The place among the rules. The lowest is tried first.
    pub priority: u32,
    /// The treatment of packets.
    pub action: PolicyRuleAction,
    /// The table of a look-up; 0 without one.
    pub table: u32,
    /// The priority at which `goto` continues.
    pub goto: Option<u32>,
    /// The rule matches the packets that don't match the selectors (`not`).
    pub inverted: bool,
    /// The network of source addresses.
    pub source: Option<IpNet>,
    /// The network of destination addresses.
    pub destination: Option<IpNet>,
    /// The name of the link that packets arrive by; `lo` for this host's own.
    pub iif: Option<String>,
    /// The name of the link that the sending socket is bound to.
    pub oif: Option<String>,
    /// The mark, and the mask of its compared bits.
    pub mark: Option<(u32, u32)>,
    /// The type of service; 0 is any.
    pub tos: u8,
    /// The users that send the packets, first and last.
    pub uids: Option<(u32, u32)>,
    /// The transport protocol.
    pub ip_protocol: Option<Protocol>,
    /// The source ports.
    pub source_ports: Option<PortRange>,
    /// The destination ports.
    pub destination_ports: Option<PortRange>,
    /// The table is that of the packet's VRF.
    pub l3mdev: bool,
    /// The id of the tunnel that packets arrive by.
    pub tunnel_id: Option<u64>,
    /// Routes with prefixes of this length and shorter are ignored.
    pub suppress_prefix_length: Option<u32>,
    /// Routes out of links of this group are ignored.
    pub suppress_group: Option<u32>,
    /// The realm of packets.
    pub realm: Option<u32>,
    /// The maker of the rule, by number: 2 is the kernel, 78 netloom.
    pub protocol: u8,
    pub(super) partial: bool,
}

impl PolicyRuleInfo {
    /// A rule that matches all packets and does nothing yet.
    pub(super) fn new(ipv6: bool, protocol: u8) -> Self {
        Self {
            ipv6,
            priority: 0,
            action: PolicyRuleAction::Other(0),
            table: 0,
            goto: None,
            inverted: false,
            source: None,
            destination: None,
            iif: None,
            oif: None,
            mark: None,
            tos: 0,
            uids: None,
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            l3mdev: false,
            tunnel_id: None,
            suppress_prefix_length: None,
            suppress_group: None,
            realm: None,
            protocol,
            partial: false,
        }
    }

    /// Reads `struct fib_rule_hdr` and its attributes. `None` for another family.
    pub(super) fn read(message: Message<'_>) -> Option<Self> {
        let (header, attributes) = message.split::<HEADER>()?;
        let [family, to, from, tos, table, _, _, action, flags @ ..] = *header;
        if ![AF_INET, AF_INET6].contains(&family) {
            return None;
        }
        let mut rule = Self::new(family == AF_INET6, 0);
        (rule.tos, rule.table, rule.action) = (tos, table.into(), action.into());
        rule.inverted = u32::from_ne_bytes(flags) & FIB_RULE_INVERT != 0;
        let mut mark = (0, 0);
        for attribute in attributes.parse() {
            match attribute {
                Ok(RuleAttribute::Source(address)) => rule.source = IpNet::new(address, from).ok(),
                Ok(RuleAttribute::Destination(address)) => {
                    rule.destination = IpNet::new(address, to).ok();
                }
                Ok(RuleAttribute::FwMark(value)) => mark.0 = value,
                Ok(RuleAttribute::FwMask(mask)) => mark.1 = mask,
                Ok(RuleAttribute::Other(other)) => rule.partial |= is_unknown(&other),
                Ok(attribute) => rule.take(attribute),
                Err(_) => rule.partial = true,
            }
        }
        // For mark 0 the kernel lists the mask alone.
        rule.mark = Some(mark).filter(|mark| *mark != (0, 0));
        let everything = |bits| match (bits, rule.ipv6) {
            (0, _) => None,
            (bits, true) => IpNet::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), bits).ok(),
            (bits, false) => IpNet::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), bits).ok(),
        };
        rule.source = rule.source.or(everything(from));
        rule.destination = rule.destination.or(everything(to));
        Some(rule)
    }

    fn take(&mut self, attribute: RuleAttribute) {
        const NONE: u32 = u32::MAX;
        let ports = |range: RulePortRange| Some(PortRange::from(range.start..=range.end));
        match attribute {
            RuleAttribute::Priority(priority) => self.priority = priority,
            RuleAttribute::Table(table) => self.table = table,
            RuleAttribute::Goto(target) => self.goto = Some(target),
            RuleAttribute::Iifname(name) => self.iif = Some(name),
            RuleAttribute::Oifname(name) => self.oif = Some(name),
            RuleAttribute::UidRange(range) => self.uids = Some((range.start, range.end)),
            RuleAttribute::IpProtocol(protocol) => {
                self.ip_protocol = Some(Protocol::new(protocol.into()));
            }
            RuleAttribute::SourcePortRange(range) => self.source_ports = ports(range),
            RuleAttribute::DestinationPortRange(range) => self.destination_ports = ports(range),
            RuleAttribute::L3MDev(on) => self.l3mdev = on,
            RuleAttribute::TunId(id) => self.tunnel_id = Some(id),
            RuleAttribute::SuppressPrefixLen(length) => {
                self.suppress_prefix_length = Some(length).filter(|length| *length != NONE);
            }
            RuleAttribute::SuppressIfGroup(group) => {
                self.suppress_group = Some(group).filter(|group| *group != NONE);
            }
            RuleAttribute::Realm(realm) => {
                self.realm = Some(u32::from(realm.source) << 16 | u32::from(realm.destination));
            }
            RuleAttribute::Protocol(protocol) => self.protocol = protocol.into(),
            _ => {}
        }
    }

    /// Returns the `struct fib_rule_hdr` of a request.
    pub(super) fn header(&self) -> [u8; HEADER] {
        let bits = |net: Option<IpNet>| net.map_or(0, |net| net.prefix_len());
        let family = if self.ipv6 { AF_INET6 } else { AF_INET };
        let flags = if self.inverted { FIB_RULE_INVERT } else { 0 };
        let [f0, f1, f2, f3] = flags.to_ne_bytes();
        // The header has room for 8 bits; FRA_TABLE has the whole number.
        let table = u8::try_from(self.table).unwrap_or(0);
        let (to, from, action) = (bits(self.destination), bits(self.source), self.action.into());
        [family, to, from, self.tos, table, 0, 0, action, f0, f1, f2, f3]
    }

    /// Appends the attributes of a request. Without a priority the kernel chooses one.
    pub(super) fn write(&self, priority: Option<u32>, out: &mut Writer<'_>) {
        let ports = |range: PortRange| RulePortRange { start: range.first(), end: range.last() };
        let mut emit = |attribute: Option<RuleAttribute>| {
            if let Some(attribute) = attribute {
                out.emit(&attribute);
            }
        };
        emit(priority.map(RuleAttribute::Priority));
        emit(Some(RuleAttribute::Table(self.table)).filter(|_| self.table != 0));
        emit(self.goto.map(RuleAttribute::Goto));
        emit(self.source.map(|net| RuleAttribute::Source(net.addr())));
        emit(self.destination.map(|net| RuleAttribute::Destination(net.addr())));
        emit(self.iif.clone().map(RuleAttribute::Iifname));
        emit(self.oif.clone().map(RuleAttribute::Oifname));
        emit(self.mark.map(|(value, _)| RuleAttribute::FwMark(value)));
        emit(self.mark.map(|(_, mask)| RuleAttribute::FwMask(mask)));
        emit(self.uids.map(|(start, end)| RuleAttribute::UidRange(RuleUidRange { start, end })));
        emit(self.ip_protocol.map(|it| RuleAttribute::IpProtocol(it.number().into())));
        emit(self.source_ports.map(|range| RuleAttribute::SourcePortRange(ports(range))));
        emit(self.destination_ports.map(|range| RuleAttribute::DestinationPortRange(ports(range))));
        emit(Some(RuleAttribute::L3MDev(true)).filter(|_| self.l3mdev));
        emit(self.tunnel_id.map(RuleAttribute::TunId));
        emit(self.suppress_prefix_length.map(RuleAttribute::SuppressPrefixLen));
        emit(self.suppress_group.map(RuleAttribute::SuppressIfGroup));
        emit(Some(RuleAttribute::Protocol(RouteProtocol::from(self.protocol))));
    }

    /// Reports whether the kernel listed an attribute that netloom could not read.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Reports whether the kernel can take a listed rule for this one in a request to delete. It
    /// compares neither the inversion nor the target, nor a mark of 0 (`net/core/fib_rules.c`,
    /// `rule_find`).
    pub(super) fn deletes(&self, listed: &Self) -> bool {
        let mut asked = self.clone();
        (asked.inverted, asked.goto) = (listed.inverted, listed.goto);
        asked.mark = asked.mark.filter(|(value, _)| *value != 0);
        listed.is_found_by(&asked)
    }

    /// Reports whether the kernel would take this rule for the one to delete by a request for
    /// `asked`: all that is set there is the same here (`net/core/fib_rules.c`, `rule_find`).
    pub(super) fn is_found_by(&self, asked: &Self) -> bool {
        fn is<T: PartialEq>(asked: Option<&T>, found: Option<&T>) -> bool {
            asked.is_none() || asked == found
        }
        self.ipv6 == asked.ipv6
            && self.priority == asked.priority
            && (asked.table == 0 || asked.table == self.table)
            && self.action == asked.action
            && (!asked.inverted || self.inverted)
            && (asked.protocol == 0 || asked.protocol == self.protocol)
            && (asked.tos == 0 || asked.tos == self.tos)
            && (!asked.l3mdev || self.l3mdev)
            && is(asked.goto.as_ref(), self.goto.as_ref())
            && is(asked.source.as_ref(), self.source.as_ref())
            && is(asked.destination.as_ref(), self.destination.as_ref())
            && is(asked.iif.as_ref(), self.iif.as_ref())
            && is(asked.oif.as_ref(), self.oif.as_ref())
            && is(asked.mark.as_ref(), self.mark.as_ref())
            && is(asked.uids.as_ref(), self.uids.as_ref())
            && is(asked.ip_protocol.as_ref(), self.ip_protocol.as_ref())
            && is(asked.source_ports.as_ref(), self.source_ports.as_ref())
            && is(asked.destination_ports.as_ref(), self.destination_ports.as_ref())
            && is(asked.tunnel_id.as_ref(), self.tunnel_id.as_ref())
            && is(asked.suppress_group.as_ref(), self.suppress_group.as_ref())
            && is(asked.suppress_prefix_length.as_ref(), self.suppress_prefix_length.as_ref())
    }

    fn write_selectors(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.inverted { "not from " } else { "from " })?;
        match self.source {
            Some(source) => write!(f, "{source}")?,
            None => f.write_str("all")?,
        }
        part(f, " to ", self.destination)?;
        part(f, " tos ", Some(format_args!("{:#04x}", self.tos)).filter(|_| self.tos != 0))?;
        match self.mark {
            Some((value, u32::MAX)) => write!(f, " fwmark {value:#x}")?,
            Some((value, mask)) => write!(f, " fwmark {value:#x}/{mask:#x}")?,
            None => {}
        }
        part(f, " iif ", self.iif.as_deref().map(Escaped))?;
        part(f, " oif ", self.oif.as_deref().map(Escaped))?;
        if self.l3mdev {
            f.write_str(" l3mdev")?;
        }
        if let Some((first, last)) = self.uids {
            write!(f, " uidrange {first}-{last}")?;
        }
        part(f, " ipproto ", self.ip_protocol)?;
        part(f, " sport ", self.source_ports)?;
        part(f, " dport ", self.destination_ports)?;
        part(f, " tun_id ", self.tunnel_id)
    }
}

/// Reports whether an attribute restricts the rule in a way that this type does not hold.
///
/// `FRA_PAD` carries nothing. Since 6.15 the kernel lists a mask of all bits for a single port
/// (`net/core/fib_rules.c`, `fib_nl2rule`).
fn is_unknown(attribute: &DefaultNla) -> bool {
    const FRA_PAD: u16 = 18;
    const FRA_SPORT_MASK: u16 = 28;
    const FRA_DPORT_MASK: u16 = 29;
    match attribute.kind() {
        FRA_PAD => false,
        FRA_SPORT_MASK | FRA_DPORT_MASK => {
            let mut value = [0; 2];
            let is_mask = attribute.value_len() == value.len();
            if is_mask {
                attribute.emit_value(&mut value);
            }
            value != [u8::MAX; 2]
        }
        _ => true,
    }
}

/// Returns the first and the last of a range of users.
pub(super) fn ends(range: &RangeInclusive<u32>) -> (u32, u32) {
    (*range.start(), *range.end())
}

/// Formats the rule as a line of `ip rule` with its priority.
impl fmt::Display for PolicyRuleInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.priority)?;
        self.write_selectors(f)?;
        match (self.action, self.goto) {
            (PolicyRuleAction::Lookup, _) if self.l3mdev => {
                f.write_str(" lookup [l3mdev-table]")?;
            }
            (PolicyRuleAction::Lookup, _) => write!(f, " lookup {}", self.table)?,
            (PolicyRuleAction::Goto, Some(target)) => write!(f, " goto {target}")?,
            (action, _) => write!(f, " {action}")?,
        }
        part(f, " suppress_prefixlength ", self.suppress_prefix_length)?;
        part(f, " suppress_ifgroup ", self.suppress_group)?;
        part(f, " realms ", self.realm)?;
        part(f, " proto ", Some(self.protocol).filter(|protocol| *protocol != 0))
    }
}
