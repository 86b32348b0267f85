//! What a transaction made whose answer was lost: found, and taken away.

use super::chain::ChainHandle;
use super::flowtable::FlowtableHandle;
use super::generation::Generation;
use super::number::Number;
use super::object::ObjectHandle;
use super::rule::RuleHandle;
use super::ruleset;
use super::set::SetHandle;
use super::table::TableHandle;
use super::transaction::Transaction;
use crate::error::Error;
use crate::netns::Netns;
use crate::nft::model::element::Element;

/// Something that was not there before, as the kernel would have refused it otherwise.
#[derive(Debug, Clone)]
pub(crate) enum Made {
    Table(TableHandle),
    Chain(ChainHandle),
    Set(SetHandle),
    Object(ObjectHandle),
    Flowtable(FlowtableHandle),
    Rule(ChainHandle),
    /// In another one's place: it stays, and the handle has to stand for it.
    Replaced(RuleHandle),
    Elements(SetHandle, Vec<Element>),
}

impl Made {
    /// The chain that a rule is in which has a number of its own since.
    fn chain_of_rule(&self) -> Option<&ChainHandle> {
        match self {
            Self::Rule(chain) => Some(chain),
            Self::Replaced(rule) => Some(&rule.chain),
            _ => None,
        }
    }

    fn table(&self) -> &TableHandle {
        match self {
            Self::Table(table) => table,
            Self::Chain(chain) | Self::Rule(chain) => &chain.table,
            Self::Replaced(rule) => &rule.chain.table,
            Self::Object(object) => &object.table,
            Self::Flowtable(flowtable) => &flowtable.table,
            Self::Set(set) | Self::Elements(set, _) => &set.table,
        }
    }
}

/// Takes all of it away, if the transaction was done for certain, and the only one since that generation:
/// that there was one change does not say whose it was. `false`: nobody can tell whether it was done.
pub(crate) fn undo(
    netns: &Netns,
    before: Generation,
    is_done: bool,
    made: &[Made],
) -> Result<bool, Error> {
    let now = netns.nft_generation()?;
    if now == before {
        return Ok(true);
    }
    if !is_done || now.0 != before.0.wrapping_add(1) {
        return Ok(false);
    }
    let mut transaction = Transaction::undoing(netns);
    transaction.if_unchanged_since(now);
    for one in made {
        if let Made::Table(table) = one {
            table.number.doubt();
            transaction.delete_table(&by_name(table));
        }
    }
    let is_in_made = |one: &Made, whose: fn(&Made) -> bool| {
        made.iter().any(|other| whose(other) && other.table() == one.table())
    };
    let rest: Vec<_> = made
        .iter()
        .filter(|one| !is_in_made(one, |other| matches!(other, Made::Table(_))))
        .collect();
    let made_chains = |chain: &ChainHandle| {
        rest.iter().any(|one| matches!(one, Made::Chain(made) if made.name == chain.name))
    };
    // What refers to others first.
    for one in &rest {
        if let Made::Elements(set, elements) = one {
            transaction.delete_elements(set, elements.iter().cloned());
        }
    }
    let mut looked_at: Vec<&ChainHandle> = Vec::new();
    for one in &rest {
        if let Made::Chain(chain) = one {
            transaction.flush_chain(chain);
        }
        let Some(chain) = one.chain_of_rule() else { continue };
        if made_chains(chain) || looked_at.contains(&chain) {
            continue;
        }
        looked_at.push(chain);
        let rules: Vec<_> =
            rest.iter().filter(|other| other.chain_of_rule() == Some(chain)).collect();
        for (made, rule) in rules.iter().zip(newest(chain, rules.len())?) {
            match made {
                Made::Replaced(handle) => handle.number.set(rule.number()),
                _ => drop(transaction.delete_rule(&rule)),
            }
        }
    }
    for one in &rest {
        match one {
            Made::Chain(chain) => {
                transaction.delete_chain(chain);
            }
            Made::Set(set) => {
                transaction.delete_set(set);
            }
            Made::Object(object) => {
                transaction.delete_object(object);
            }
            Made::Flowtable(flowtable) => {
                transaction.delete_flowtable(flowtable);
            }
            _ => {}
        }
    }
    transaction.commit()?;
    Ok(true)
}

/// An echo may have been read before the answer was lost, and its number is then known; the name does.
fn by_name(table: &TableHandle) -> TableHandle {
    TableHandle { number: Number::default(), ..table.clone() }
}

/// Rules are numbered upwards, wherever in the chain they are put: the last so many, in the order they were made.
fn newest(chain: &ChainHandle, count: usize) -> Result<Vec<RuleHandle>, Error> {
    let mut numbers = ruleset::rule_numbers(chain)?;
    numbers.sort_unstable();
    let handle = |number| RuleHandle { chain: chain.clone(), number: Number::known(number) };
    let older = numbers.len().saturating_sub(count);
    Ok(numbers.into_iter().skip(older).map(handle).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nft::{Family, Table};
    use crate::sandbox;

    /// A transaction that was refused, as somebody made such a table just before.
    #[test]
    fn what_may_be_anothers_stays() {
        sandbox::run(|| {
            let netns = Netns::current().unwrap();
            let before = netns.nft_generation().unwrap();
            let theirs = Table::new(Family::Inet, "t").persistent("tag").create(&netns).unwrap();
            let mut refused = Transaction::new(&netns);
            let ours = refused.create_table(&Table::new(Family::Inet, "t").persistent("tag"));
            assert!(refused.commit().is_err());
            let made = [Made::Table(ours)];
            assert!(!undo(&netns, before, false, &made).unwrap());
            assert!(theirs.read().is_ok());
            // An echo has said that it was done: the one change since is it.
            assert!(undo(&netns, before, true, &made).unwrap());
            assert!(theirs.read().unwrap_err().is_not_found());
        })
        .unwrap();
    }
}
