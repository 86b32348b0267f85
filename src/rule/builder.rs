//! The builder of policy rules.

use std::fmt;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::info::{PolicyRuleAction, PolicyRuleInfo, ends};
use crate::error::Error;
use crate::input::{FirstRejected, Input, link_name};
use crate::port::PortRange;
use crate::protocol::Protocol;
use crate::route::{Destination, PROTOCOL};

/// The builder of a policy rule: packets that match its selectors are routed by a table, or
/// rejected.
///
/// Replaces `ip rule add`. The kernel tries the rules in the order of their priorities, until a
/// table has a route. A new namespace has three: 0 for the local table, 32,766 for the main one,
/// and 32,767 for the default one.
///
/// ```
/// use netloom::{Namespace, PolicyRule, Route};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// let _lost = Route::blackhole("default").table(77).create(&host)?;
/// // ip rule add from 10.7.0.0/16 fwmark 5 table 77 priority 100
/// let rule = PolicyRule::ipv4().source("10.7.0.0/16").mark(5).table(77).priority(100);
/// let rule = rule.create(&host)?;
/// assert_eq!(rule.info()?.to_string(), "100: from 10.7.0.0/16 fwmark 0x5 lookup 77 proto 78");
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: ip-rule(8), `net/core/fib_rules.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct PolicyRule {
    pub(super) rule: PolicyRuleInfo,
    pub(super) priority: Option<u32>,
    pub(super) rejected: FirstRejected,
}

impl PolicyRule {
    /// A rule for IPv4 packets.
    pub fn ipv4() -> Self {
        Self::new(false)
    }

    /// A rule for IPv6 packets.
    pub fn ipv6() -> Self {
        Self::new(true)
    }

    fn new(ipv6: bool) -> Self {
        let rule = PolicyRuleInfo::new(ipv6, PROTOCOL);
        Self { rule, priority: None, rejected: FirstRejected::default() }
    }

    /// Sets the place among the rules, as `priority N`; the lowest is tried first. Default: the
    /// kernel's choice, before all rules but the first.
    #[doc(alias("FRA_PRIORITY", "preference", "order"))]
    pub fn priority(mut self, priority: u32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Looks the route up in this table, as `lookup N`. Without a route there, the next rule is
    /// tried.
    #[doc(alias("FRA_TABLE", "lookup"))]
    pub fn table(mut self, table: u32) -> Self {
        if table == 0 {
            self.rejected.reject("table", 0, "there is no table 0; the main one is 254");
        }
        self.rule.table = table;
        self.action(PolicyRuleAction::Lookup)
    }

    /// Continues at the rule with this priority, as `goto N`. The rule must exist, and be behind
    /// this one.
    #[doc(alias = "FRA_GOTO")]
    pub fn goto(mut self, priority: u32) -> Self {
        self.rule.goto = Some(priority);
        self.action(PolicyRuleAction::Goto)
    }

    /// Looks the route up in the table of the packet's VRF, as `l3mdev`.
    #[doc(alias = "FRA_L3MDEV")]
    pub fn l3mdev(mut self) -> Self {
        self.rule.l3mdev = true;
        self.action(PolicyRuleAction::Lookup)
    }

    /// Sets another treatment of packets, as `blackhole`, `unreachable`, `prohibit` and `nop`.
    #[doc(alias = "FR_ACT_BLACKHOLE")]
    pub fn action(mut self, action: impl Into<PolicyRuleAction>) -> Self {
        self.rule.action = action.into();
        self
    }

    /// Matches packets from this network or address, as `from PREFIX`.
    #[doc(alias("FRA_SRC", "from"))]
    pub fn source(mut self, source: impl Input<Destination>) -> Self {
        self.rule.source = self.read("source", source).or(self.rule.source);
        self
    }

    /// Matches packets to this network or address, as `to PREFIX`.
    #[doc(alias("FRA_DST", "to"))]
    pub fn destination(mut self, destination: impl Input<Destination>) -> Self {
        self.rule.destination = self.read("destination", destination).or(self.rule.destination);
        self
    }

    /// Matches packets that arrive by the link with this name, as `iif NAME`. `lo` matches packets
    /// that this host sends. The link need not exist.
    #[doc(alias = "FRA_IIFNAME")]
    pub fn iif(mut self, name: impl AsRef<str>) -> Self {
        self.check_name("iif", name.as_ref());
        self.rule.iif = Some(name.as_ref().to_owned());
        self
    }

    /// Matches packets of sockets bound to the link with this name, as `oif NAME`. The link need
    /// not exist.
    #[doc(alias = "FRA_OIFNAME")]
    pub fn oif(mut self, name: impl AsRef<str>) -> Self {
        self.check_name("oif", name.as_ref());
        self.rule.oif = Some(name.as_ref().to_owned());
        self
    }

    /// Matches packets with this mark, as `fwmark N`.
    #[doc(alias("FRA_FWMARK", "fwmark"))]
    pub fn mark(self, mark: u32) -> Self {
        self.mark_bits(mark, u32::MAX)
    }

    /// Matches packets whose mark has these bits within the mask, as `fwmark N/MASK`.
    #[doc(alias = "FRA_FWMASK")]
    pub fn mark_bits(mut self, bits: u32, mask: u32) -> Self {
        if mask == 0 {
            self.rejected.reject("mark_bits", mask, "the mask is empty");
        } else if bits & !mask != 0 {
            self.rejected.reject("mark_bits", bits, "bits outside of the mask match no packet");
        }
        self.rule.mark = Some((bits, mask));
        self
    }

    /// Matches packets with this type of service, as `tos N`. The lowest two bits, of explicit
    /// congestion notification, must be 0.
    #[doc(alias("dsfield", "DSCP"))]
    pub fn tos(mut self, tos: u8) -> Self {
        if tos & 3 != 0 {
            self.rejected.reject("tos", tos, "the lowest two bits are of ECN, and must be 0");
        }
        self.rule.tos = tos;
        self
    }

    /// Matches packets that these users of this host send, as `uidrange N-M`.
    #[doc(alias = "FRA_UID_RANGE")]
    pub fn uids(mut self, uids: RangeInclusive<u32>) -> Self {
        if uids.is_empty() || *uids.end() == u32::MAX {
            let reason = "a range of users starts before it ends, below 4,294,967,295";
            self.rejected.reject("uids", format!("{uids:?}"), reason);
        }
        self.rule.uids = Some(ends(&uids));
        self
    }

    /// Matches packets of this transport protocol, as `ipproto NAME`.
    #[doc(alias = "FRA_IP_PROTO")]
    pub fn ip_protocol(mut self, protocol: Protocol) -> Self {
        if protocol.number() == 0 {
            self.rejected.reject("ip_protocol", 0, "the kernel takes 0 for any protocol");
        }
        self.rule.ip_protocol = Some(protocol);
        self
    }

    /// Matches packets from these ports, as `sport N-M`.
    #[doc(alias = "FRA_SPORT_RANGE")]
    pub fn sport(mut self, ports: impl Into<PortRange>) -> Self {
        self.rule.source_ports = Some(self.ports("sport", ports.into()));
        self
    }

    /// Matches packets to these ports, as `dport N-M`.
    #[doc(alias = "FRA_DPORT_RANGE")]
    pub fn dport(mut self, ports: impl Into<PortRange>) -> Self {
        self.rule.destination_ports = Some(self.ports("dport", ports.into()));
        self
    }

    /// Matches packets that arrived by the tunnel with this id, as `tun_id N`.
    #[doc(alias = "FRA_TUN_ID")]
    pub fn tunnel_id(mut self, id: u64) -> Self {
        if id == 0 {
            self.rejected.reject("tunnel_id", 0, "the kernel takes 0 for any tunnel");
        }
        self.rule.tunnel_id = Some(id);
        self
    }

    /// Ignores routes of the table whose prefixes have this length or less, as
    /// `suppress_prefixlength N`. 0 ignores the default route.
    #[doc(alias = "FRA_SUPPRESS_PREFIXLEN")]
    pub fn suppress_prefix_length(mut self, length: u8) -> Self {
        if length > if self.rule.ipv6 { 128 } else { 32 } {
            self.rejected.reject("suppress_prefix_length", length, "no prefix is so long");
        }
        self.rule.suppress_prefix_length = Some(length.into());
        self
    }

    /// Ignores routes of the table out of links of this group, as `suppress_ifgroup N`.
    #[doc(alias = "FRA_SUPPRESS_IFGROUP")]
    pub fn suppress_group(mut self, group: u32) -> Self {
        if group == u32::MAX {
            self.rejected.reject("suppress_group", group, "the kernel takes it for no group");
        }
        self.rule.suppress_group = Some(group);
        self
    }

    /// Matches the packets that the selectors don't match, as `not`.
    #[doc(alias("FIB_RULE_INVERT", "not"))]
    pub fn invert(mut self) -> Self {
        self.rule.inverted = true;
        self
    }

    fn read(&mut self, setter: &'static str, input: impl Input<Destination>) -> Option<IpNet> {
        match self.rejected.read(setter, input)? {
            Destination::Network(net) if net.prefix_len() > 0 => {
                if net.addr().is_ipv6() != self.rule.ipv6 {
                    self.rejected.reject(setter, net, "the address is of another family");
                }
                Some(net)
            }
            _ => None,
        }
    }

    fn check_name(&mut self, setter: &'static str, name: &str) {
        if let Err(reason) = link_name(name) {
            self.rejected.reject(setter, name, reason);
        }
    }

    fn ports(&mut self, setter: &'static str, ports: PortRange) -> PortRange {
        // The kernel refuses both ends of the numbers (`fib_rule_port_range_valid`).
        if ports.is_empty() || ports.first() == 0 || ports.last() == u16::MAX {
            let reason = "a range of ports starts before it ends, from 1 to 65,534";
            self.rejected.reject(setter, ports, reason);
        }
        ports
    }

    /// Refuses what is known wrong before any system call.
    pub(super) fn check(&self, action: &'static str) -> Result<(), Error> {
        self.rejected.check(action, self)?;
        let rule = &self.rule;
        let backwards = |target: u32| self.priority.is_some_and(|priority| target <= priority);
        let is_lookup = rule.action == PolicyRuleAction::Lookup;
        let reason = if rule.action == PolicyRuleAction::Other(0) {
            "the rule does nothing: set table(), goto(), l3mdev() or action()"
        } else if is_lookup == (rule.table == 0 && !rule.l3mdev) {
            "a look-up needs table() or l3mdev(), and other actions have no table"
        } else if rule.l3mdev && rule.table != 0 {
            "l3mdev() chooses the table: leave out table()"
        } else if (rule.action == PolicyRuleAction::Goto) != rule.goto.is_some() {
            "goto() excludes table(), l3mdev() and action()"
        } else if rule.goto.is_some_and(backwards) {
            "goto() must lead to a rule behind this one"
        } else {
            return Ok(());
        };
        Err(Error::invalid(action, self, reason))
    }
}

/// Writes the rule as `ip rule` does, without a priority that the kernel chooses.
impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rule = self.rule.clone();
        (rule.priority, rule.protocol) = (self.priority.unwrap_or(0), 0);
        let text = rule.to_string();
        f.write_str(match self.priority {
            Some(_) => &text,
            None => text.trim_start_matches("0: "),
        })
    }
}
