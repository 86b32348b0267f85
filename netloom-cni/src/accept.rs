//! Forwarding beside another program's packet filter that drops packets, such as Docker's `iptables
//! -P FORWARD DROP`. Two rules for each bridge accept its packets there, in a form that `iptables`
//! lists and keeps. The plugin's own table then drops the incoming connections that the policy
//! dropped.

use netloom::nft::{ChainHandle, Family, Policy, Rule, RuleHandle};
use netloom::{Netns, Owned};

use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::gateway;

/// The table of `iptables` and `ip6tables`.
const TABLE: &str = "filter";
const FORWARD: &str = "FORWARD";
/// The chains that other programs reserve for foreign rules, the preferred one first.
const FOR_OTHERS: [&str; 2] = ["DOCKER-USER", "CNI-ADMIN"];

/// Returns the chains that need rules: one in the table of each family whose `FORWARD` chain drops.
pub(crate) fn chains(host: &Netns, config: &Config) -> Result<Vec<ChainHandle>, Failure> {
    if !config.accept_forward || !config.routes() {
        return Ok(Vec::new());
    }
    let mut chains = Vec::new();
    for family in [Family::Ip, Family::Ip6] {
        let Some(forward) = find(host, family, FORWARD)? else { continue };
        if forward.read()?.policy_of() != Policy::Drop {
            continue;
        }
        let mut for_others = None;
        for name in FOR_OTHERS {
            for_others = for_others.or(find(host, family, name)?);
        }
        chains.push(for_others.unwrap_or(forward));
    }
    Ok(chains)
}

fn find(host: &Netns, family: Family, chain: &str) -> Result<Option<ChainHandle>, Failure> {
    let found = host.nft_table(family, TABLE).and_then(|table| table.chain(chain));
    match found {
        Err(error) if error.is_not_found() => Ok(None),
        found => Ok(Some(found?)),
    }
}

/// Returns the rules of a network's link: for packets from the link and for packets to it.
fn rules(config: &Config) -> [Rule; 2] {
    let link = gateway::name(config);
    let comment = format!("netloom-cni {link}");
    [Rule::new().iifname(&*link), Rule::new().oifname(&*link)]
        .map(|rule| rule.counter().accept().comment(&comment))
}

/// Adds the rules that the chains lack.
pub(crate) fn ensure(
    chains: &[ChainHandle],
    config: &Config,
) -> Result<Vec<Owned<RuleHandle>>, Failure> {
    let mut made = Vec::new();
    for chain in chains {
        let there = chain.rules()?;
        for rule in rules(config) {
            if there.iter().any(|(_, one)| *one == rule) {
                continue;
            }
            made.push(match there.last() {
                // The rule precedes rules that refuse packets, as in the reference plugin.
                _ if chain.name() == FORWARD => rule.insert(chain)?,
                // The rule follows the administrator's rules, which may refuse packets.
                Some((last, end)) if is_end(end) => rule.insert_before(last)?,
                _ => rule.create(chain)?,
            });
        }
    }
    Ok(made)
}

/// Returns whether a rule ends its chain for all packets, such as Docker's `-j RETURN`.
fn is_end(rule: &Rule) -> bool {
    [Rule::new().back(), Rule::new().counter().back()].contains(rule)
}

pub(crate) fn check(chains: &[ChainHandle], config: &Config) -> Result<(), Failure> {
    for chain in chains {
        let there = chain.rules()?;
        for rule in rules(config) {
            if !there.iter().any(|(_, one)| *one == rule) {
                let problem = format!("rule `{rule}` of chain {chain} is missing");
                return Err(Failure::new(Code::Missing, problem));
            }
        }
    }
    Ok(())
}

/// Removes the rules of a network without containers from all chains.
pub(crate) fn remove(host: &Netns, config: &Config) -> Result<(), Failure> {
    let rules = rules(config);
    for family in [Family::Ip, Family::Ip6] {
        for name in FOR_OTHERS.into_iter().chain([FORWARD]) {
            let Some(chain) = find(host, family, name)? else { continue };
            for (rule, _) in chain.rules()?.into_iter().filter(|(_, one)| rules.contains(one)) {
                Owned::adopt(rule).delete().map_err(netloom::Error::from)?;
            }
        }
    }
    Ok(())
}
