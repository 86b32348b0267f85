//! The table's chains and rules: base chains that all networks share, and a chain for each network
//! that masquerades.

use ipnet::IpNet;
use netloom::nft::{
    Chain, ChainInfo, ChainKind, CtState, CtStatus, Family, Field, Hook, Map, Priority, Rule, Set,
    Table, Type,
};

use super::TABLE;
use super::masquerade::MASQUERADE;
use super::policy::{APART, BRIDGED, CLOSED, MASQUERADED, TOGETHER};
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::frames::PUBLISHED;

/// The prefix of the names of networks' chains.
const NETWORK: &str = "masquerade.";

/// A chain and its rules.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) chain: Chain,
    rules: Vec<Rule>,
}

impl Rules {
    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn whole(&self) -> Chain {
        self.rules.iter().cloned().fold(self.chain.clone(), Chain::rule)
    }

    /// Checks that the chain and its rules are listed in `there`. The failure names the first
    /// missing part.
    pub(super) fn check(&self, there: &[ChainInfo]) -> Result<(), Failure> {
        let name = format!("chain `{TABLE} {}`", self.chain.name());
        let Some(there) = there.iter().find(|there| there.chain.name() == self.chain.name()) else {
            return Err(Failure::new(Code::Missing, format!("{name} is missing")));
        };
        if there.chain != self.chain {
            let problem = format!("{name} has another type, hook, priority or policy");
            return Err(Failure::new(Code::Missing, problem));
        }
        // The order must match. Rules of other programs in between are ignored.
        let mut rules = there.rules.iter();
        match self.rules.iter().find(|wanted| !rules.any(|there| there.rule == **wanted)) {
            Some(rule) => {
                let problem = format!("rule `{rule}` of {name} is missing");
                Err(Failure::new(Code::Missing, problem))
            }
            None => Ok(()),
        }
    }
}

/// Returns the table as ADD creates it.
pub(super) fn table() -> Table {
    let table = Table::new(Family::Inet, TABLE).persistent(TABLE);
    let table = sets().into_iter().fold(table, Table::set);
    let table = maps().into_iter().fold(table, Table::map);
    base_chains().iter().map(Rules::whole).fold(table, Table::chain)
}

/// Returns the sets of links. Their keys are indexes, so a renamed bridge stays in the sets.
pub(super) fn sets() -> [Set; 5] {
    let pairs = |name| Set::new(name, [Type::LinkIndex, Type::LinkIndex]);
    let links = |name| Set::new(name, Type::LinkIndex);
    [links(APART), pairs(TOGETHER), pairs(BRIDGED), links(CLOSED), links(MASQUERADED)]
}

pub(super) fn maps() -> [Map; 2] {
    let [ipv4, ipv6] = MASQUERADE;
    [Map::verdicts(ipv4, Type::Ipv4), Map::verdicts(ipv6, Type::Ipv6)]
}

/// Returns the base chains with their rules.
pub(super) fn base_chains() -> [Rules; 2] {
    let sources = [Field::Ip4Source, Field::Ip6Source].into_iter().zip(MASQUERADE);
    let masquerade = sources.map(|(source, map)| Rule::new().verdict_map([source], map));
    let published = || Rule::new().ct_status(CtStatus::DESTINATION_NAT);
    let all = published().in_set([Field::Oif], MASQUERADED).masquerade();
    let postrouting = Chain::new("postrouting").kind(ChainKind::Nat);
    let [from, to] = [Field::Iif, Field::Oif];
    let forward = vec![
        // The mark lets the bridge pass these packets between isolated ports.
        published().in_set([from, to], BRIDGED).set_mark_bits(PUBLISHED, PUBLISHED),
        Rule::new().ct_state(CtState::ESTABLISHED | CtState::RELATED).accept(),
        // Connections to published ports are always allowed.
        published().accept(),
        Rule::new().in_set([from, to], TOGETHER).accept(),
        Rule::new().in_set([from], APART).in_set([to], APART).counter().drop(),
        Rule::new().not().in_set([from], CLOSED).in_set([to], CLOSED).counter().drop(),
    ];
    [
        Rules {
            chain: postrouting.hook(Hook::Postrouting, Priority::SOURCE_NAT),
            rules: masquerade.into_iter().chain([all]).collect(),
        },
        Rules {
            chain: Chain::new("forward").hook(Hook::Forward, Priority::FILTER),
            rules: forward,
        },
    ]
}

/// Returns the chains that a network's elements jump to.
pub(super) fn chains(config: &Config, addresses: &[IpNet]) -> Vec<Rules> {
    let networks = addresses.iter().map(IpNet::trunc).filter(|_| config.masquerade);
    networks.map(masquerade).collect()
}

fn masquerade(network: IpNet) -> Rules {
    let multicast = if network.addr().is_ipv4() { "224.0.0.0/4" } else { "ff00::/8" };
    let rules = vec![
        Rule::new().destination(network).back(),
        Rule::new().destination(multicast).back(),
        Rule::new().masquerade(),
    ];
    Rules { chain: Chain::new(masquerade_chain(network)), rules }
}

pub(super) fn masquerade_chain(network: IpNet) -> String {
    format!("{NETWORK}{}", network.to_string().replace(':', "_"))
}

/// Returns the chain of a network by its name. `None` for a chain of another name.
pub(super) fn network_chain(name: &str) -> Option<Rules> {
    let network: IpNet = name.strip_prefix(NETWORK)?.replace('_', ":").parse().ok()?;
    Some(masquerade(network)).filter(|rules| rules.chain.name() == name)
}
