//! The builder of rules: what they do.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::datum::{Datum, Span};
use super::element::{Element, Verdict};
use super::field::Field;
use super::interval::DataKind;
use super::limit::Limit;
use super::log::Log;
use super::lookup::addresses;
use super::name;
use super::numgen::Numgen;
use super::part::{Nat, Part};
use super::reject::Reject;
use super::rule::Rule;
use crate::wire::nft::expr::nat::NatFlags;

impl Part {
    /// Whether no further part is reached.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::Verdict(Verdict::Accept | Verdict::Drop | Verdict::Return | Verdict::Goto(_))
                | Self::Reject(_)
                | Self::RejectBoth(_)
                | Self::Queue(_)
                | Self::Fwd { .. }
        )
    }
}

impl Rule {
    /// Counts packets and bytes; read them with [`RuleHandle::counter`](crate::nft::RuleHandle::counter).
    pub fn counter(self) -> Self {
        self.with(Part::Counter)
    }

    /// Goes on only while a rate is kept: `limit rate 10/second`.
    pub fn limit(self, limit: Limit) -> Self {
        self.with(Part::Limit(limit.normal()))
    }

    /// Tells of the packet: `log prefix "…"`.
    pub fn log(self, log: Log) -> Self {
        self.with(Part::Log(log.normal()))
    }

    /// The packet goes on to the next hook.
    #[doc(alias = "ACCEPT")]
    pub fn accept(self) -> Self {
        self.verdict(Verdict::Accept)
    }

    /// The packet is gone.
    #[doc(alias = "DROP")]
    #[allow(clippy::should_implement_trait)] // the field's own word
    pub fn drop(self) -> Self {
        self.verdict(Verdict::Drop)
    }

    /// Goes through another chain of the table, and back.
    pub fn jump(self, chain: impl Into<String>) -> Self {
        self.verdict(Verdict::Jump(chain.into()))
    }

    /// Goes through another chain of the table, and not back.
    pub fn goto(self, chain: impl Into<String>) -> Self {
        self.verdict(Verdict::Goto(chain.into()))
    }

    /// Back to the rule after the jump; in a base chain, to its policy: `return`.
    pub fn back(self) -> Self {
        self.verdict(Verdict::Return)
    }

    /// Any verdict.
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        if let Verdict::Jump(chain) | Verdict::Goto(chain) = &verdict
            && let Err(reason) = name::check(chain)
        {
            self.rejected.reject("jump", chain, reason);
        }
        self.with(Part::Verdict(verdict))
    }

    /// The verdict that a map of the rule's table has for these fields: `tcp dport vmap @map`.
    #[doc(alias = "vmap")]
    pub fn verdict_map(mut self, fields: impl IntoIterator<Item = Field>, map: &str) -> Self {
        let (fields, map) = self.named("verdict_map", fields, map);
        self.with(Part::VerdictMap { fields, map })
    }

    /// The verdict for these fields, written into the rule: `tcp dport vmap { 80 : accept }`.
    pub fn verdicts(
        mut self,
        fields: impl IntoIterator<Item = Field>,
        elements: impl IntoIterator<Item = Element>,
    ) -> Self {
        let verdicts = |_: &[Element]| Ok(DataKind::Verdict);
        let (fields, map) = self.written("verdicts", fields, elements, verdicts);
        self.with(Part::VerdictMap { fields, map })
    }

    /// Refuses the packet and says so: `reject`.
    #[doc(alias = "REJECT")]
    pub fn reject(self, how: Reject) -> Self {
        self.with(Part::Reject(how))
    }

    /// Gives it the address of the link it leaves by: `masquerade`.
    #[doc(alias = "MASQUERADE")]
    pub fn masquerade(self) -> Self {
        self.with(Part::Masquerade { ports: None, flags: NatFlags::empty() })
    }

    /// Gives it another source, an address or a range of them: `snat to`.
    #[doc(alias = "SNAT")]
    pub fn snat(self, to: impl Into<Span>) -> Self {
        self.nat("snat", true, &to.into())
    }

    /// Gives it another destination, an address or a range of them: `dnat to`.
    #[doc(alias = "DNAT")]
    pub fn dnat(self, to: impl Into<Span>) -> Self {
        self.nat("dnat", false, &to.into())
    }

    /// Gives it the source that a map of the table has for these fields: `snat to ip saddr map @MAP`.
    pub fn snat_map(self, fields: impl IntoIterator<Item = Field>, map: &str) -> Self {
        self.nat_map("snat_map", (true, false), fields, map)
    }

    /// Gives it the destination that a map of the table has for these fields: `dnat to tcp dport map @MAP`.
    ///
    /// In a table of both families, [`ipv4`](Self::ipv4) or [`ipv6`](Self::ipv6) comes before, unless a
    /// field says it.
    pub fn dnat_map(self, fields: impl IntoIterator<Item = Field>, map: &str) -> Self {
        self.nat_map("dnat_map", (false, false), fields, map)
    }

    /// As [`dnat_map`](Self::dnat_map), of a map from these fields to an address and a port.
    pub fn dnat_map_to_ports(self, fields: impl IntoIterator<Item = Field>, map: &str) -> Self {
        self.nat_map("dnat_map_to_ports", (false, true), fields, map)
    }

    /// Gives it the source that stands in the rule for these fields: `snat to ip saddr map { … }`.
    pub fn snat_by(
        self,
        fields: impl IntoIterator<Item = Field>,
        elements: impl IntoIterator<Item = Element>,
    ) -> Self {
        self.nat_by("snat_by", true, fields, elements)
    }

    /// Gives it the destination that stands in the rule for these fields, an address or an address and a port:
    /// `dnat to tcp dport map { 80 : 10.0.0.2, 443 : 10.0.0.3 }`.
    pub fn dnat_by(
        self,
        fields: impl IntoIterator<Item = Field>,
        elements: impl IntoIterator<Item = Element>,
    ) -> Self {
        self.nat_by("dnat_by", false, fields, elements)
    }

    fn nat_by(
        mut self,
        setter: &'static str,
        is_source: bool,
        fields: impl IntoIterator<Item = Field>,
        elements: impl IntoIterator<Item = Element>,
    ) -> Self {
        let mut with_port = false;
        let (fields, map) = self.written(setter, fields, elements, |elements| {
            with_port = elements.first().is_some_and(|one| one.data().len() > 1);
            addresses(elements)
        });
        let flags = NatFlags::empty();
        self.with(Part::NatMap { is_source, fields, map, with_port, flags })
    }

    fn nat_map(
        mut self,
        setter: &'static str,
        (is_source, with_port): (bool, bool),
        fields: impl IntoIterator<Item = Field>,
        map: &str,
    ) -> Self {
        let (fields, map) = self.named(setter, fields, map);
        let flags = NatFlags::empty();
        self.with(Part::NatMap { is_source, fields, map, with_port, flags })
    }

    /// Gives it another destination and port: `dnat to ADDRESS:PORT`.
    pub fn dnat_to(self, to: impl Into<SocketAddr>) -> Self {
        let to = to.into();
        self.dnat(to.ip()).to_port(to.port())
    }

    /// To a port of this machine: `redirect to :PORT`.
    #[doc(alias = "REDIRECT")]
    pub fn redirect(self, port: u16) -> Self {
        self.with(Part::Redirect { ports: None, flags: NatFlags::empty() }).to_port(port)
    }

    /// The port that the address translation said before gives.
    pub fn to_port(self, port: u16) -> Self {
        self.to_ports(port..=port)
    }

    /// The ports that the address translation said before chooses from.
    pub fn to_ports(mut self, ports: RangeInclusive<u16>) -> Self {
        let chosen = (*ports.start(), *ports.end());
        if chosen.0 == 0 {
            self.rejected.reject("to_ports", 0, "there is no port 0");
        } else if ports.is_empty() {
            let shown = format!("{}-{}", chosen.0, chosen.1);
            self.rejected.reject("to_ports", shown, "the range is empty");
        }
        match self.parts.last_mut() {
            Some(Part::Masquerade { ports, .. } | Part::Redirect { ports, .. }) => {
                *ports = Some(chosen);
            }
            Some(Part::Nat(nat)) => nat.ports = Some(chosen),
            _ => self.rejected.reject("to_ports", chosen.0, NO_TRANSLATION),
        }
        self
    }

    /// The address translation said before chooses ports at random.
    pub fn random(self) -> Self {
        self.nat_flag("random", NatFlags::RANDOM)
    }

    /// The address translation said before chooses ports at random, all of them.
    pub fn fully_random(self) -> Self {
        self.nat_flag("fully_random", NatFlags::FULLY_RANDOM)
    }

    /// The address translation said before gives a client the same address each time.
    pub fn persistent_address(self) -> Self {
        self.nat_flag("persistent_address", NatFlags::PERSISTENT)
    }

    /// Marks the packet: `meta mark set`.
    pub fn set_mark(self, mark: u32) -> Self {
        self.with(Part::SetMark(mark))
    }

    /// Marks the connection: `ct mark set`.
    pub fn set_ct_mark(self, mark: u32) -> Self {
        self.with(Part::SetCtMark(mark))
    }

    /// Marks the packet with a number by which packets are spread: `meta mark set numgen …`.
    pub fn set_mark_from(self, number: Numgen) -> Self {
        self.with(Part::MarkFrom { is_ct: false, number })
    }

    /// Marks the connection with a number by which packets are spread: `ct mark set jhash …`.
    pub fn set_ct_mark_from(self, number: Numgen) -> Self {
        self.with(Part::MarkFrom { is_ct: true, number })
    }

    /// Gives the connection the packet's mark: `ct mark set meta mark`.
    pub fn save_mark(self) -> Self {
        self.with(Part::SaveMark)
    }

    /// Gives the packet its connection's mark: `meta mark set ct mark`.
    pub fn restore_mark(self) -> Self {
        self.with(Part::RestoreMark)
    }

    /// Has a TCP connection's segments fit its route, both ways. After [`tcp_syn`](Self::tcp_syn):
    /// `tcp option maxseg size set rt mtu`.
    #[doc(alias = "clamp-mss-to-pmtu")]
    pub fn clamp_mss(self) -> Self {
        self.with(Part::ClampMss(None))
    }

    /// Has a TCP connection's segments be so large at most: `tcp option maxseg size set SIZE`.
    pub fn set_mss(self, size: u16) -> Self {
        self.with(Part::ClampMss(Some(size)))
    }

    /// Leaves the packet out of connection tracking; in a chain before it (`Priority::RAW`).
    pub fn notrack(self) -> Self {
        self.with(Part::Notrack)
    }

    pub(crate) fn with(mut self, part: Part) -> Self {
        if std::mem::take(&mut self.negated) {
            self.rejected.reject("not", &part, "it is no match");
        }
        self.push(part);
        self
    }

    fn nat(mut self, setter: &'static str, is_source: bool, to: &Span) -> Self {
        let addresses: Option<(IpAddr, IpAddr)> = match to.ends() {
            (Datum::Address(first), Datum::Address(last))
                if first.is_ipv4() == last.is_ipv4() && first <= last =>
            {
                Some((first, last))
            }
            _ => None,
        };
        if addresses.is_none() {
            self.rejected.reject(setter, to, "it is no address, or range of addresses");
        }
        let flags = NatFlags::empty();
        self.with(Part::Nat(Nat { is_source, addresses, ports: None, flags }))
    }

    fn nat_flag(mut self, setter: &'static str, flag: NatFlags) -> Self {
        match self.parts.last_mut() {
            Some(
                Part::Masquerade { flags, .. }
                | Part::Redirect { flags, .. }
                | Part::NatMap { flags, .. },
            ) => *flags |= flag,
            Some(Part::Nat(nat)) => nat.flags |= flag,
            _ => self.rejected.reject(setter, "", NO_TRANSLATION),
        }
        self
    }
}

const NO_TRANSLATION: &str = "no address translation was said before";
