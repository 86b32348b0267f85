//! Rules that exist.

use std::fmt;

use super::chain::ChainHandle;
use super::device::resolve;
use super::find;
use super::number::Number;
use super::table::TableHandle;
use super::transaction::Transaction;
use crate::counter::Counter;
use crate::error::Error;
use crate::nft::model::encoder::Encoded;
use crate::nft::model::rule::{ACTION, Rule, encode};
use crate::owned::Owned;
use crate::owned::sealed::Remove;
use crate::wire::nft::rule as wire;
use crate::wire::nft::userdata::UserData;

impl Rule {
    /// Puts it at the end of a chain.
    ///
    /// # Errors
    ///
    /// What can be known wrong is refused before any system call: families mixed in it, a port without a
    /// protocol or 0, an empty range, a verdict that is not the last.
    #[doc(alias = "nft add rule")]
    pub fn create(&self, chain: &ChainHandle) -> Result<Owned<RuleHandle>, Error> {
        one(chain, |transaction| transaction.add_rule(chain, self))
    }

    /// Puts it at the beginning of a chain.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    #[doc(alias = "nft insert rule")]
    pub fn insert(&self, chain: &ChainHandle) -> Result<Owned<RuleHandle>, Error> {
        one(chain, |transaction| transaction.insert_rule(chain, self))
    }

    /// Puts it after another one of its chain.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create); [`is_not_found`](Error::is_not_found) where the other one is gone.
    pub fn create_after(&self, rule: &RuleHandle) -> Result<Owned<RuleHandle>, Error> {
        one(&rule.chain, |transaction| transaction.add_rule_after(rule, self))
    }

    /// Puts it before another one of its chain.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create); [`is_not_found`](Error::is_not_found) where the other one is gone.
    pub fn insert_before(&self, rule: &RuleHandle) -> Result<Owned<RuleHandle>, Error> {
        one(&rule.chain, |transaction| transaction.insert_rule_before(rule, self))
    }

    /// The message that makes it, and the sets that are written into it.
    pub(crate) fn message(
        &self,
        chain: &ChainHandle,
        next_set: &mut u32,
    ) -> Result<(wire::Rule, Encoded), Error> {
        let TableHandle { netns, family, name: table, .. } = &chain.table;
        self.check(*family)?;
        let statements = resolve(&self.statements, netns, ACTION, self)?;
        let mut encoded = encode(&statements, *family, table, next_set)
            .map_err(|reason| Error::invalid(ACTION, self, reason))?;
        let expressions = std::mem::take(&mut encoded.expressions);
        let mut rule = wire::Rule::new(table, &chain.name, expressions);
        rule.userdata = self.comment.as_deref().and_then(UserData::comment);
        Ok((rule, encoded))
    }
}

fn one(
    chain: &ChainHandle,
    work: impl FnOnce(&mut Transaction) -> RuleHandle,
) -> Result<Owned<RuleHandle>, Error> {
    let mut transaction = Transaction::new(&chain.table.netns);
    let handle = work(&mut transaction);
    transaction.commit()?;
    Ok(Owned::new(handle))
}

/// A rule of ours that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleHandle {
    pub(crate) chain: ChainHandle,
    pub(crate) number: Number,
}

impl RuleHandle {
    /// The number the kernel gave it, as `nft -a list ruleset` shows it.
    pub fn number(&self) -> u64 {
        self.number.get()
    }

    /// The chain it is in.
    pub fn chain(&self) -> &ChainHandle {
        &self.chain
    }

    /// Puts another one in its place. This handle, and its owner, stand for that one then.
    ///
    /// # Errors
    ///
    /// As [`Rule::create`]; [`is_not_found`](Error::is_not_found) where it is gone.
    #[doc(alias = "nft replace rule")]
    pub fn replace(&self, rule: &Rule) -> Result<(), Error> {
        let mut transaction = Transaction::new(&self.chain.table.netns);
        transaction.replace_rule(self, rule);
        Ok(transaction.commit()?)
    }

    /// It as the kernel has it.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where it is gone.
    pub fn read(&self) -> Result<Rule, Error> {
        let rules = self.chain.rules()?;
        let found = rules.into_iter().find(|(handle, _)| handle.number == self.number);
        found.map(|(_, rule)| rule).ok_or_else(|| find::gone("read rule", self))
    }

    /// What its counter has counted; nothing where it has none.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where it is gone.
    pub fn counter(&self) -> Result<Counter, Error> {
        find::counter(self, false)
    }

    /// What its counter has counted, which begins anew.
    ///
    /// # Errors
    ///
    /// As [`counter`](Self::counter); [`is_unsupported`](Error::is_unsupported) in kernels before 6.2.
    #[doc(alias = "nft reset rule")]
    pub fn reset_counter(&self) -> Result<Counter, Error> {
        find::counter(self, true)
    }
}

impl fmt::Display for RuleHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = &self.chain;
        let (family, table) = (chain.table.family, &chain.table.name);
        write!(f, "{} of `{family} {table} {}`", self.number(), chain.name)
    }
}

/// By its number.
impl Remove for RuleHandle {
    fn remove(&self) -> Result<(), Error> {
        let mut transaction = Transaction::new(&self.chain.table.netns);
        transaction.delete_rule(self);
        Ok(transaction.commit()?)
    }
}
