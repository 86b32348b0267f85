//! What is known of a packet at a place in a rule: which family, network protocol and transport.
//!
//! In a table of several families `ip saddr` means nothing before `meta nfproto ipv4`. `nft` writes such a
//! match where it is needed and hides it when it lists; so does netloom.

use std::net::IpAddr;

use super::encode::NO_FAMILY;
use super::family::Family;
use super::field::{Field, Needs, Network};
use super::part::{Dynamic, Match, Own, Part, Test};
use super::reject::Reject;
use crate::wire::nft::data::Value;

/// `ARPHRD_ETHER`.
const ETHERNET: u16 = 1;
const TCP: u8 = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Any,
    One(u8),
    Several,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    pub(crate) family: Family,
    pub(crate) network: Option<Network>,
    protocol: Protocol,
    is_ethernet: bool,
}

/// `meta l4proto PROTOCOL`.
pub(crate) fn protocol(number: u8) -> Part {
    let test = Test::Is(Value::from(number));
    Part::Match(Match { fields: vec![Field::Protocol], not: false, test })
}

fn ethernet() -> Part {
    let test = Test::Is(Value::host_u16(ETHERNET));
    Part::Match(Match { fields: vec![Field::Iiftype], not: false, test })
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

    /// The matches that have to come before this part.
    pub(crate) fn missing(self, part: &Part) -> Vec<Part> {
        let fields = match part {
            Part::Reject(Reject::TcpReset) if self.protocol != Protocol::One(TCP) => {
                return vec![protocol(TCP)];
            }
            part => fields(part),
        };
        let mut missing = Vec::new();
        for field in fields {
            for part in self.missing_for(field.needs()) {
                if !missing.contains(&part) {
                    missing.push(part);
                }
            }
        }
        missing
    }

    fn missing_for(self, needs: Needs) -> Vec<Part> {
        let network = |wanted| (self.network != Some(wanted)).then_some(Part::Network(wanted));
        let transport = |wanted| (self.protocol != Protocol::One(wanted)).then(|| protocol(wanted));
        match needs {
            Needs::Nothing | Needs::Ports => Vec::new(),
            Needs::Network(wanted) => network(wanted).into_iter().collect(),
            Needs::Protocol(wanted) => transport(wanted).into_iter().collect(),
            Needs::ProtocolIn(family, wanted) => {
                network(family).into_iter().chain(transport(wanted)).collect()
            }
            Needs::Ethernet => (!self.is_ethernet).then(ethernet).into_iter().collect(),
        }
    }

    /// Whether a field can be looked at here as it is.
    pub(crate) fn has(self, field: Field) -> bool {
        match field.needs() {
            Needs::Ports => self.protocol != Protocol::Any,
            needs => self.missing_for(needs).is_empty(),
        }
    }

    pub(crate) fn learn(&mut self, part: &Part) {
        match part {
            Part::Network(network) => self.network = Some(*network),
            Part::Match(Match { fields, not: false, test }) => match (fields.as_slice(), test) {
                ([Field::Protocol], Test::Is(value)) => {
                    let number = value.as_slice().first().copied().unwrap_or_default();
                    self.protocol = Protocol::One(number);
                }
                ([Field::Protocol], Test::In(_)) => self.protocol = Protocol::Several,
                ([Field::Iiftype], Test::Is(value)) => {
                    self.is_ethernet = *value == Value::host_u16(ETHERNET);
                }
                (
                    [Field::NetfilterProtocol | Field::LinkProtocol | Field::EtherType],
                    Test::Is(value),
                ) => {
                    self.network = network_of(value).or(self.network);
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Whether this part can hold here at all, and is clear.
    pub(crate) fn check(self, part: &Part) -> Result<(), String> {
        for dependency in self.missing(part) {
            self.check_known(&dependency)?;
        }
        self.check_known(part)?;
        for key in keys(part) {
            if let Field::Numgen(number) = key {
                number.check()?;
            }
        }
        let has_protocol = self.protocol != Protocol::Any;
        if fields(part).iter().any(|field| field.needs() == Needs::Ports) && !has_protocol {
            return Err("ports of which protocol? say tcp() or udp() before".into());
        }
        match part {
            Part::Nat(nat) => {
                if nat.ports.is_some() && !has_protocol {
                    return Err("ports of which protocol? say tcp() or udp() before".into());
                }
                match (nat.addresses.map(|(first, _)| first.is_ipv4()), self.network) {
                    (Some(true), Some(Network::Ip6)) | (Some(false), Some(Network::Ip4)) => {
                        Err("the rule is about another family than its new address".into())
                    }
                    _ => Ok(()),
                }
            }
            Part::Masquerade { ports: Some(_), .. }
            | Part::Redirect { ports: Some(_), .. }
            | Part::Tproxy { port: Some(_), .. }
                if !has_protocol =>
            {
                Err("ports of which protocol? say tcp() or udp() before".into())
            }
            Part::NatMap { fields, map, .. } => {
                let is_known = self.network.or(map.network()).is_some()
                    || fields.iter().any(|field| matches!(field.needs(), Needs::Network(_)));
                match (map.network(), self.network) {
                    _ if !is_known => Err(NO_FAMILY.into()),
                    (Some(to), Some(of)) if to != of => {
                        Err("the rule is about another family than its new address".into())
                    }
                    _ => Ok(()),
                }
            }
            Part::Limit(limit) | Part::Dynamic(Dynamic { own: Some(Own::Limit(limit)), .. }) => {
                limit.check()
            }
            Part::Quota { bytes: 0, .. } => Err("a quota of nothing".into()),
            Part::Tproxy { address, .. } => self.check_address(*address),
            Part::Dup { address, .. } => {
                self.check_address(*address).and_then(|()| match (self.family, address) {
                    (Family::Ip | Family::Ip6, None) => {
                        Err(format!("in the family {} a copy goes to an address", self.family))
                    }
                    (Family::Netdev, Some(_)) => {
                        Err("in the family netdev a copy goes to a link: dup_to_link()".into())
                    }
                    (Family::Arp | Family::Bridge | Family::Inet, _) => {
                        Err(format!("the family {} has no copies: ip, ip6, netdev", self.family))
                    }
                    _ => Ok(()),
                })
            }
            Part::Fwd { .. } if self.family != Family::Netdev => {
                Err("only in the family netdev packets go out of a link by a rule".into())
            }
            Part::FlowAdd(_) if !matches!(self.family, Family::Ip | Family::Ip6 | Family::Inet) => {
                Err(format!("the family {} has no flowtables", self.family))
            }
            Part::Queue(queue) => queue.check(),
            Part::Synproxy(_) if self.protocol != Protocol::One(TCP) => {
                Err("it is for TCP: say tcp() before".into())
            }
            Part::Synproxy(offer) => offer.check(),
            Part::Log(log) => log.check(),
            Part::Reject(_) | Part::RejectBoth(_) => Reject::check(self.family, self.network),
            _ => Ok(()),
        }
    }

    /// Refuses an address of another family than the rule is about.
    fn check_address(self, address: Option<IpAddr>) -> Result<(), String> {
        match (address.map(|address| address.is_ipv4()), self.network) {
            (Some(true), Some(Network::Ip6)) | (Some(false), Some(Network::Ip4)) => {
                Err("the rule is about another family than that address".into())
            }
            _ => Ok(()),
        }
    }

    /// Refuses what contradicts what is known.
    fn check_known(self, part: &Part) -> Result<(), String> {
        let mut after = self;
        after.learn(part);
        match (self.network, after.network) {
            (Some(before), Some(now)) if before != now => {
                Err(format!("families are mixed: it is about {before}, and about {now}"))
            }
            _ if self.family == Family::Inet && after.network == Some(Network::Arp) => {
                Err("a table of the family inet sees no ARP".into())
            }
            _ => match (self.protocol, after.protocol) {
                (Protocol::One(before), Protocol::One(now)) if before != now => {
                    Err(format!("no packet is of two protocols: {before} and {now}"))
                }
                _ => Ok(()),
            },
        }
    }
}

/// What a part looks at.
fn fields(part: &Part) -> Vec<Field> {
    keys(part).into_iter().flat_map(Field::loaded).collect()
}

/// What a part looks at, numbers as such.
fn keys(part: &Part) -> Vec<Field> {
    match part {
        Part::Match(one) => one.fields.clone(),
        Part::VerdictMap { fields, .. }
        | Part::NatMap { fields, .. }
        | Part::ObjectMap { fields, .. } => fields.clone(),
        Part::Dynamic(Dynamic { fields, data, .. }) => [fields.as_slice(), data].concat(),
        Part::MarkFrom { number, .. } => vec![Field::Numgen(*number)],
        _ => Vec::new(),
    }
}

fn network_of(value: &Value) -> Option<Network> {
    Network::ALL.into_iter().find(|network| {
        *value == Value::from(network.ether_type())
            || *value == Value::from(network.netfilter_protocol())
    })
}
