//! The repair of the table, of which other programs may have deleted parts.

use netloom::nft::{ChainInfo, Map, Set, SetOrMap, TableInfo, Transaction};

use super::rules::{Rules, base_chains, maps, network_chain, sets};
use super::{Filter, TABLE};
use crate::failure::{Code, Failure};
use crate::host::Host;

impl Filter {
    /// Restores the missing parts of the table: sets, maps and chains, and the rules of every
    /// network's chain. Wakes a dormant table. Elements are not restored, and a deleted table is
    /// not created again.
    pub(crate) fn repair(&self, host: &mut Host) -> Result<(), Failure> {
        let look = || match self.table.read_terse() {
            Err(error) if error.is_not_found() => Ok(None),
            there => Ok::<_, Failure>(Some(there?)),
        };
        match look()? {
            Some(there) if is_broken(&there) => {}
            _ => return Ok(()),
        }
        host.alone()?;
        // The kernel refuses new chains in the transaction that wakes a table.
        if look()?.is_some_and(|there| there.is_dormant) {
            self.table.set_dormant(false)?;
        }
        self.change(|transaction| match look()? {
            Some(there) => self.push_missing(&there, transaction),
            None => Ok(()),
        })
    }

    fn push_missing(
        &self,
        there: &TableInfo,
        transaction: &mut Transaction,
    ) -> Result<(), Failure> {
        for set in sets().into_iter().filter(|set| !has_set(there, set.name())) {
            transaction.create_set(&self.table, &set);
        }
        for map in maps().into_iter().filter(|map| !has_set(there, map.name())) {
            transaction.create_map(&self.table, &map);
        }
        for wanted in wanted(there).filter(|wanted| wanted.check(&there.chains).is_err()) {
            let name = wanted.chain.name();
            let Some(found) = find(there, name) else {
                transaction.create_chain(&self.table, &wanted.whole());
                continue;
            };
            let chain = self.table.chain(name)?;
            transaction.flush_chain(&chain);
            if found.chain == wanted.chain {
                for rule in wanted.rules() {
                    transaction.add_rule(&chain, rule);
                }
            } else {
                transaction.delete_chain(&chain);
                transaction.create_chain(&self.table, &wanted.whole());
            }
        }
        Ok(())
    }
}

fn is_broken(there: &TableInfo) -> bool {
    let lacks_set = || {
        let (sets, maps) = (sets(), maps());
        let mut names = sets.iter().map(Set::name).chain(maps.iter().map(Map::name));
        names.any(|name| !has_set(there, name))
    };
    there.is_dormant
        || lacks_set()
        || wanted(there).any(|wanted| wanted.check(&there.chains).is_err())
}

/// Returns the chains that the table must have: the base chains, and those of networks, by their
/// names.
fn wanted(there: &TableInfo) -> impl Iterator<Item = Rules> {
    let networks = there.chains.iter().filter_map(|chain| network_chain(chain.chain.name()));
    base_chains().into_iter().chain(networks)
}

fn find<'t>(there: &'t TableInfo, name: &str) -> Option<&'t ChainInfo> {
    there.chains.iter().find(|chain| chain.chain.name() == name)
}

fn has_set(there: &TableInfo, name: &str) -> bool {
    there.sets.iter().any(|set| set.set.name() == name)
}

/// Fails with the name of the first set or map that the table lacks, or that has another type.
pub(super) fn check_sets(there: &TableInfo) -> Result<(), Failure> {
    let wanted = sets().into_iter().map(SetOrMap::Set).chain(maps().into_iter().map(SetOrMap::Map));
    for wanted in wanted {
        let name = wanted.name();
        let problem = match there.sets.iter().find(|set| set.set.name() == name) {
            Some(found) if found.set == wanted => continue,
            Some(_) => format!("`{TABLE} {name}` is not as it was made"),
            None => format!("`{TABLE} {name}` is missing"),
        };
        return Err(Failure::new(Code::Missing, problem));
    }
    Ok(())
}
