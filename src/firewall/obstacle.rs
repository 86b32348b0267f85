//! Base chains of others that would drop what this firewall accepts.

use std::fmt;

use crate::error::Error;
use crate::netns::Netns;
use crate::nft::{self, Family, Hook, Policy, Priority};

/// A base chain of somebody else that drops what none of its rules accepts.
///
/// In `nf_tables` a packet has to be accepted by each base chain of a hook: one that drops by its policy,
/// as Docker's `FORWARD` or a distribution's own firewall, needs a rule for our networks. Looked at is each hook
/// on the way between containers, the host's own processes and the world, but `input`: what may be asked of the
/// host is its own to say. Chains of `iptables-legacy` are none of `nf_tables` and not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Obstacle {
    /// The table's family.
    pub family: Family,
    /// The table's name.
    pub table: String,
    /// The chain's name.
    pub chain: String,
    /// Where packets come through it.
    pub hook: Hook,
    /// When, among the chains of that hook.
    pub priority: Priority,
    /// The tag of the table, if it is a persistent one of netloom's.
    pub tag: Option<String>,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, table, chain, hook, priority, tag } = self;
        let tagged = tag.as_ref().map(|tag| format!(" (tagged `{tag}`)")).unwrap_or_default();
        write!(
            f,
            "chain `{family} {table} {chain}`{tagged} drops at {hook} (priority {priority}) what none of its \
             rules accepts: it needs rules for the networks, as nf_tables asks every chain"
        )
    }
}

/// Leaves out what this handle of the namespace holds, and persistent tables with our tag.
pub(super) fn find(netns: &Netns, our_tag: Option<&str>) -> Result<Vec<Obstacle>, Error> {
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
        let is_in_force = chain.policy_of() == Policy::Drop && !maker.is_dormant;
        if is_in_force && is_on_the_way(family, hook) && !is_ours {
            let (family, table) = key;
            let (chain, tag) = (chain.name().to_owned(), maker.tag.clone());
            found.push(Obstacle { family, table, chain, hook, priority, tag });
        }
    }
    Ok(found)
}

/// ARP has no other hooks than those of the host, and without it there is no way.
fn is_on_the_way(family: Family, hook: Hook) -> bool {
    hook != Hook::Input || family == Family::Arp
}
