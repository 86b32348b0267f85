//! Base chains of others that would drop what this firewall accepts.

use std::fmt;

use crate::error::Error;
use crate::netns::Netns;
use crate::nft::{self, Family, Hook, Policy, Priority};

/// A base chain of somebody else that drops what none of its rules accepts.
///
/// In `nf_tables` a packet has to be accepted by each base chain of a hook: one that drops by its policy,
/// as Docker's `FORWARD` or a distribution's own firewall, needs a rule for our networks.
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
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, table, chain, hook, priority } = self;
        write!(
            f,
            "chain `{family} {table} {chain}` drops at {hook} (priority {priority}) what none of its \
             rules accepts: it needs rules for the networks, as nf_tables asks every chain"
        )
    }
}

pub(super) fn find(netns: &Netns) -> Result<Vec<Obstacle>, Error> {
    let ours = netns
        .nf_tables(|nf_tables| Ok(nf_tables.socket.port()))
        .map_err(|cause| cause.doing("look for", "base chains").in_namespace(netns))?;
    let owners = nft::owners(netns)?;
    let mut found = Vec::new();
    for (family, table, chain) in nft::base_chains(netns)? {
        let Some((hook, priority)) = chain.hook_of() else { continue };
        let is_on_the_way = matches!(hook, Hook::Prerouting | Hook::Forward | Hook::Postrouting)
            && family != Family::Arp;
        let key = (family, table);
        let is_ours = owners.get(&key) == Some(&Some(ours));
        if is_on_the_way && !is_ours && chain.policy_of() == Policy::Drop {
            let (family, table) = key;
            let chain = chain.name().to_owned();
            found.push(Obstacle { family, table, chain, hook, priority });
        }
    }
    Ok(found)
}
