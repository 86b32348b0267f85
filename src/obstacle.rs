//! Base chains of other programs that drop the packets of published ports or of a firewall's
//! networks.

use std::fmt;

use crate::error::Error;
use crate::netns::Netns;
use crate::nft::{self, Family, Hook, Policy, Priority, reader};
use crate::wire::nft::data::{Data, Verdict};
use crate::wire::nft::expr::Expr;

/// A base chain of another program that drops packets which none of its rules accepts.
///
/// In `nf_tables`, every base chain of a hook has to accept a packet. A chain may drop the rest by
/// its policy, like Docker's `FORWARD` or a distribution's firewall, or by a last rule that matches
/// every packet. Such a chain needs a rule for the containers' networks. netloom checks all hooks
/// between containers, the host's processes and the world, except `input`: the host alone decides
/// on requests to itself. Chains of `iptables-legacy` are not part of `nf_tables`, so they are not
/// found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Obstacle {
    /// The family of the table.
    pub family: Family,
    /// The name of the table.
    pub table: String,
    /// The name of the chain.
    pub chain: String,
    /// The hook of the chain.
    pub hook: Hook,
    /// The priority of the chain at that hook.
    pub priority: Priority,
    /// The tag of the table, if it is a persistent table of netloom.
    pub tag: Option<String>,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, table, chain, hook, priority, tag } = self;
        let tagged = tag.as_ref().map(|tag| format!(" (tag `{tag}`)")).unwrap_or_default();
        write!(
            f,
            "chain `{family} {table} {chain}`{tagged} drops, at {hook} (priority {priority}), packets that \
             none of its rules accepts: it needs rules for the containers' networks"
        )
    }
}

/// Finds obstacles. Skips the tables that this `Netns` owns, and persistent tables with the tag
/// `our_tag`.
pub(crate) fn find(netns: &Netns, our_tag: Option<&str>) -> Result<Vec<Obstacle>, Error> {
    let ours = netns
        .nf_tables(|nf_tables| Ok(nf_tables.socket.port()))
        .map_err(|cause| cause.doing("look for", "base chains").in_namespace(netns))?;
    let makers = nft::makers(netns)?;
    let mut found = Vec::new();
    for (family, table, chain) in nft::base_chains(netns)? {
        let Some((hook, priority)) = chain.hook_of() else { continue };
        let key = (family, table);
        let Some(maker) = makers.get(&key) else { continue };
        let is_ours =
            maker.owner == Some(ours) || (maker.tag.is_some() && maker.tag.as_deref() == our_tag);
        // Containers use no other hook for ARP.
        let is_on_the_way = hook != Hook::Input || family == Family::Arp;
        if is_ours || maker.is_dormant || !is_on_the_way {
            continue;
        }
        let drops = chain.policy_of() == Policy::Drop
            || (hook == Hook::Forward && ends_with_drop(netns, family, &key.1, chain.name())?);
        if drops {
            let (family, table) = key;
            let (chain, tag) = (chain.name().to_owned(), maker.tag.clone());
            found.push(Obstacle { family, table, chain, hook, priority, tag });
        }
    }
    Ok(found)
}

/// Returns whether the last rule of a chain drops or rejects every packet.
fn ends_with_drop(netns: &Netns, family: Family, table: &str, chain: &str) -> Result<bool, Error> {
    let rules = netns
        .netfilter(|socket| reader::rules(socket, family, table))
        .map_err(|cause| cause.doing("read rules of chain", chain).in_namespace(netns))?;
    let last = rules.iter().rfind(|rule| rule.chain.as_deref() == Some(chain));
    let Some((end, before)) = last.and_then(|rule| rule.expressions.split_last()) else {
        return Ok(false);
    };
    let is_drop = match end {
        Expr::Immediate(immediate) => immediate.data == Data::Verdict(Verdict::Drop),
        Expr::Reject(_) => true,
        _ => false,
    };
    Ok(is_drop && before.iter().all(|expr| matches!(expr, Expr::Counter(_) | Expr::Log(_))))
}
