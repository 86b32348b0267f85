//! Translates a [`NatRule`] to a chain and an `nf_tables` rule.

use std::fmt;

use super::rule::{Link, NatRule, Translation};
use crate::nft::{Chain, ChainKind, Hook, Priority, Rule};
use crate::port::PortRange;
use crate::protocol::Protocol;

impl NatRule {
    pub(super) fn chain(&self) -> Chain {
        let (name, hook, priority) = match (self.changes_source(), self.locally_generated) {
            (true, _) => ("postrouting", Hook::Postrouting, Priority::SOURCE_NAT),
            (false, false) => ("prerouting", Hook::Prerouting, Priority::DESTINATION_NAT),
            (false, true) => ("output", Hook::Output, Priority::DESTINATION_NAT),
        };
        Chain::new(name).hook(hook, priority).kind(ChainKind::Nat)
    }

    fn changes_source(&self) -> bool {
        matches!(self.translation, Some(Translation::Masquerade | Translation::Source(_)))
    }

    /// Returns the rule with its matches, in the order in which `nft` writes them.
    pub(super) fn rule(&self) -> Rule {
        let mut rule = Rule::new();
        rule = match self.input.clone() {
            Some(Link::Index(link)) => rule.iif(link),
            Some(Link::Name(pattern)) => rule.iifname(pattern),
            None => rule,
        };
        rule = match self.output.clone() {
            Some(Link::Index(link)) => rule.oif(link),
            Some(Link::Name(pattern)) => rule.oifname(pattern),
            None => rule,
        };
        rule = self.source.into_iter().fold(rule, Rule::source);
        rule = self.source_not.iter().fold(rule, |rule, net| rule.not().source(*net));
        rule = self.destination.into_iter().fold(rule, Rule::destination);
        rule = self.destination_not.iter().fold(rule, |rule, net| rule.not().destination(*net));
        rule = match self.mark {
            Some((mark, u32::MAX)) => rule.mark(mark),
            Some((mark, mask)) => rule.mark_bits(mark, mask),
            None => rule,
        };
        if let Some(protocol) = self.protocol {
            rule = rule.protocol(protocol.number());
        }
        let span = |ports: PortRange| ports.first()..=ports.last();
        rule = self.sport.map(span).into_iter().fold(rule, Rule::sport);
        self.dport.map(span).into_iter().fold(rule, Rule::dport)
    }

    /// Adds the translation behind the matches.
    pub(super) fn translate(&self, mut rule: Rule) -> Rule {
        rule = match self.translation {
            None => return rule,
            Some(Translation::Masquerade) => rule.masquerade(),
            Some(Translation::Redirect) => rule.redirect(self.to_ports.map_or(0, PortRange::first)),
            Some(Translation::Source(target)) => match target.prefix() {
                Some(prefix) => rule.snat_prefix(prefix),
                None => rule.snat(target.interval()),
            },
            Some(Translation::Destination(target)) => match target.prefix() {
                Some(prefix) => rule.dnat_prefix(prefix),
                None => rule.dnat(target.interval()),
            },
        };
        if let Some(ports) = self.to_ports {
            rule = rule.to_ports(ports.iter());
        }
        if self.random {
            rule = rule.random();
        }
        if self.fully_random {
            rule = rule.fully_random();
        }
        if self.persistent_address {
            rule = rule.persistent_address();
        }
        match &self.tag {
            Some(tag) => rule.comment(tag),
            None => rule,
        }
    }

    /// Returns why the rule is invalid, apart from the checks of [`Rule`] itself.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.source_not.iter().chain(&self.destination_not).any(|net| net.prefix_len() == 0) {
            return Err("no address is outside of a prefix of length 0".into());
        }
        let has_ports = self.protocol.is_some_and(Protocol::has_ports);
        if !has_ports && [self.sport, self.dport, self.to_ports].iter().any(Option::is_some) {
            return Err("ports need a protocol that has them: tcp(), udp() or protocol(…)".into());
        }
        if let Some(Translation::Source(target) | Translation::Destination(target)) =
            self.translation
        {
            if target.is_of_no_machine() {
                return Err(format!("no machine has the address {target}"));
            }
            let nets = [self.source, self.destination];
            let nets = nets.iter().flatten().chain(&self.source_not).chain(&self.destination_not);
            if nets.into_iter().any(|net| net.addr().is_ipv4() != target.is_ipv4()) {
                return Err("IPv4 and IPv6 are mixed: no packet is both".into());
            }
        }
        match (self.changes_source(), self.locally_generated) {
            (true, true) => Err("source NAT sees locally generated packets anyway".into()),
            (false, false) if self.output.is_some() => {
                Err("destination NAT happens before routing: no oif(…) or oifname(…)".into())
            }
            (false, true) if self.input.is_some() => {
                Err("locally generated packets came in by no link: no iif(…) or iifname(…)".into())
            }
            _ => Ok(()),
        }
    }
}

/// Formats the rule as `nft` writes it, without the counter.
impl fmt::Display for NatRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.translate(self.rule()).fmt(f)
    }
}
