//! Facts about a packet at a point in a rule: family, network protocol, transport protocol.
//!
//! In a table of several families, `ip saddr` is only valid after `meta nfproto ipv4`. `nft` adds
//! such a match if it is needed and hides it in listings. So does netloom.

use std::net::IpAddr;

use super::family::Family;
use super::field::{Field, Needs};
use super::network::Network;

/// The numbers of TCP, UDP, DCCP, SCTP and UDP-Lite.
pub(crate) const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];
const PORTS_OF: &str = "ports of which protocol? call tcp() or udp() before";
/// The error for a map of addresses if the rule does not determine a family.
pub(crate) const NO_FAMILY: &str = "addresses of which family? call ipv4() or ipv6() before";

/// The transport protocols of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Any,
    One(u8),
    Several,
}

/// A fact that a match establishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    Network(Network),
    Protocol(Protocol),
    Ethernet(bool),
}

/// All facts at a point in a rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    pub(crate) family: Family,
    pub(crate) network: Option<Network>,
    protocol: Protocol,
    is_ethernet: bool,
}

impl Context {
    pub(crate) fn new(family: Family) -> Self {
        let network = match family {
            Family::Ip => Some(Network::Ip4),
            Family::Ip6 => Some(Network::Ip6),
            Family::Arp => Some(Network::Arp),
            Family::Inet | Family::Bridge | Family::Netdev => None,
        };
        let is_ethernet = family == Family::Bridge;
        Self { family, network, protocol: Protocol::Any, is_ethernet }
    }

    pub(crate) fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::Network(network) => self.network = Some(network),
            Fact::Protocol(protocol) => self.protocol = protocol,
            Fact::Ethernet(is_ethernet) => self.is_ethernet = is_ethernet,
        }
    }

    /// Returns the facts that `needs` requires and that are not established yet.
    pub(crate) fn missing(self, needs: Needs) -> impl Iterator<Item = Fact> {
        let (network, protocol, is_ethernet) = match needs {
            Needs::Nothing | Needs::Ports | Needs::OneWithPorts => (None, None, false),
            Needs::Network(network) => (Some(network), None, false),
            Needs::Protocol(number) => (None, Some(number), false),
            Needs::ProtocolIn(network, number) => (Some(network), Some(number), false),
            Needs::Ethernet => (None, None, true),
        };
        let network = network.filter(|network| self.network != Some(*network)).map(Fact::Network);
        let protocol = protocol.map(Protocol::One).filter(|protocol| self.protocol != *protocol);
        let ethernet = (is_ethernet && !self.is_ethernet).then_some(Fact::Ethernet(true));
        network.into_iter().chain(protocol.map(Fact::Protocol)).chain(ethernet)
    }

    /// Returns whether a field can be read here without a further match, as part of this key. A
    /// port beside its protocol is a port of that.
    pub(crate) fn has(self, field: Field, key: &[Field]) -> bool {
        match field.needs() {
            Needs::Ports => self.has_ports() || key.contains(&Field::Protocol),
            needs => self.missing(needs).next().is_none(),
        }
    }

    pub(crate) fn is_protocol(self, number: u8) -> bool {
        self.protocol == Protocol::One(number)
    }

    /// Returns whether the protocol has ports. If there are several, the rule's author is trusted.
    fn has_ports(self) -> bool {
        match self.protocol {
            Protocol::Any => false,
            Protocol::One(number) => WITH_PORTS.contains(&number),
            Protocol::Several => true,
        }
    }

    /// Refuses a field that `nft` can't load in a table of this family.
    pub(crate) fn check_field(self, field: Field) -> Result<(), String> {
        match field {
            Field::NetfilterProtocol if self.family != Family::Inet => {
                Err("`meta nfproto` is for tables of the family inet".into())
            }
            Field::CtOriginalIp4Destination if matches!(self.family, Family::Ip6 | Family::Arp) => {
                Err(format!("a table of the family {} has no IPv4 connections", self.family))
            }
            _ => Ok(()),
        }
    }

    /// Refuses ports if the protocol is unknown or one of several.
    pub(crate) fn check_one_with_ports(self) -> Result<(), String> {
        match self.protocol {
            Protocol::Several => Err("ports of which one of the protocols?".into()),
            _ => self.check_ports(),
        }
    }

    /// Refuses ports if the protocol is unknown.
    pub(crate) fn check_ports(self) -> Result<(), String> {
        if self.has_ports() { Ok(()) } else { Err(PORTS_OF.into()) }
    }

    /// Refuses an address if the packet has another family.
    pub(crate) fn check_address(self, address: Option<IpAddr>) -> Result<(), String> {
        self.check_network(address.map(Network::of_address))
    }

    /// Refuses a new address (NAT) if the packet has another family.
    pub(crate) fn check_network(self, network: Option<Network>) -> Result<(), String> {
        match (network, self.network) {
            (Some(Network::Ip4), Some(Network::Ip6)) | (Some(Network::Ip6), Some(Network::Ip4)) => {
                Err("the rule is for packets of another family than the new address".into())
            }
            _ => Ok(()),
        }
    }

    /// Refuses a fact that contradicts the established facts.
    pub(crate) fn check(self, fact: Fact) -> Result<(), String> {
        match fact {
            Fact::Network(now) => match self.network {
                Some(before) if before != now => {
                    Err(format!("families are mixed: the rule is for {before}, and for {now}"))
                }
                _ if self.family == Family::Inet && now == Network::Arp => {
                    Err("a table of the family inet sees no ARP".into())
                }
                _ => Ok(()),
            },
            Fact::Protocol(Protocol::One(now)) => match self.protocol {
                Protocol::One(before) if before != now => {
                    Err(format!("no packet has two protocols: {before} and {now}"))
                }
                _ => Ok(()),
            },
            Fact::Protocol(_) | Fact::Ethernet(_) => Ok(()),
        }
    }
}
