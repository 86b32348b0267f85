//! What NAT does to a packet, as expressions.

use std::fmt;
use std::net::IpAddr;

use super::chains::NatChain;
use super::target::NatTarget;
use crate::port::PortRange;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::immediate::Immediate;
use crate::wire::nft::expr::masq::Masq;
use crate::wire::nft::expr::nat::{Nat, NatFlags, NatType};
use crate::wire::nft::expr::redir::Redir;
use crate::wire::nft::message::Family;
use crate::wire::nft::register::Register::{R1, R2, R3, R4};

/// What is given another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Masquerade,
    Source(NatTarget),
    Destination(NatTarget),
    Redirect,
}

/// A kind with what it may have besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Translation {
    pub(super) kind: Kind,
    pub(super) ports: Option<PortRange>,
    pub(super) flags: NatFlags,
}

impl Translation {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, ports: None, flags: NatFlags::empty() }
    }

    pub(super) fn is_of_source(&self) -> bool {
        matches!(self.kind, Kind::Masquerade | Kind::Source(_))
    }

    /// The chain it belongs in.
    pub(super) fn chain(&self, locally_generated: bool) -> NatChain {
        match (self.is_of_source(), locally_generated) {
            (true, _) => NatChain::Postrouting,
            (false, false) => NatChain::Prerouting,
            (false, true) => NatChain::Output,
        }
    }

    pub(super) fn target(&self) -> Option<NatTarget> {
        match self.kind {
            Kind::Source(target) | Kind::Destination(target) => Some(target),
            Kind::Masquerade | Kind::Redirect => None,
        }
    }

    pub(super) fn expressions(&self) -> Vec<Expr> {
        let mut list = Vec::new();
        let mut flags = self.flags;
        let (port_min, port_max) = match self.target() {
            None => (R1, R2),
            Some(_) => (R3, R4),
        };
        let last_port = self.ports.map(PortRange::last).filter(|_| !self.is_one_port());
        if let Some(ports) = self.ports {
            flags |= NatFlags::PORT_SPECIFIED;
            list.push(Immediate::value(port_min, ports.first()).into());
            list.extend(last_port.map(|port| Immediate::value(port_max, port).into()));
        }
        let port_min = self.ports.map(|_| port_min);
        let port_max = last_port.map(|_| port_max);
        let (kind, target) = match self.kind {
            Kind::Masquerade => {
                list.push(Masq { flags, port_min, port_max }.into());
                return list;
            }
            Kind::Redirect => {
                list.push(Redir { port_min, port_max, flags }.into());
                return list;
            }
            Kind::Source(target) => (NatType::Source, target),
            Kind::Destination(target) => (NatType::Destination, target),
        };
        let (first, last) = target.ends();
        flags.set(NatFlags::PREFIX, target.is_prefix());
        let family = if first.is_ipv4() { Family::Ip } else { Family::Ip6 };
        list.push(Immediate::value(R1, first).into());
        list.extend(last.map(|last: IpAddr| Immediate::value(R2, last).into()));
        let nat = Nat::to_address(kind, family, R1);
        list.push(Nat { address_max: last.map(|_| R2), port_min, port_max, flags, ..nat }.into());
        list
    }

    fn is_one_port(&self) -> bool {
        self.ports.is_some_and(PortRange::is_one)
    }
}

/// In the words of `nft`.
impl fmt::Display for Translation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.kind {
            Kind::Masquerade => "masquerade",
            Kind::Source(_) => "snat",
            Kind::Destination(_) => "dnat",
            Kind::Redirect => "redirect",
        };
        f.write_str(word)?;
        if let Some(target) = self.target() {
            let family = if target.is_ipv4() { "ip" } else { "ip6" };
            let prefix = if target.is_prefix() { "prefix " } else { "" };
            write!(f, " {family} {prefix}to ")?;
            match self.ports {
                Some(_) if !target.is_ipv4() => write!(f, "[{target}]")?,
                _ => write!(f, "{target}")?,
            }
        }
        if let Some(ports) = self.ports {
            let to = if self.target().is_some() { "" } else { " to " };
            write!(f, "{to}:{ports}")?;
        }
        let words = [
            (NatFlags::RANDOM, "random"),
            (NatFlags::FULLY_RANDOM, "fully-random"),
            (NatFlags::PERSISTENT, "persistent"),
        ];
        let set = words.iter().filter(|(flag, _)| self.flags.contains(*flag));
        let set: Vec<_> = set.map(|(_, word)| *word).collect();
        if set.is_empty() { Ok(()) } else { write!(f, " {}", set.join(",")) }
    }
}
