//! Creates, replaces, reads and deletes rules in the kernel.

use nix::errno::Errno;

use super::handle::{ChainHandle, RuleHandle};
use super::single::{change, create, remove};
use super::transaction::Transaction;
use crate::error::{Cause, Error};
use crate::nft::model::rule::Rule;
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};

impl Rule {
    /// Adds the rule to the end of a chain.
    ///
    /// Values that are known to be wrong are refused before any system call: mixed families, a port
    /// without a protocol, an empty range, a statement after a verdict.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the chain, or an object that the rule names, is
    /// missing.
    #[doc(alias = "nft add rule")]
    pub fn create(&self, chain: &ChainHandle) -> Result<Owned<RuleHandle>, Error> {
        create(&chain.table.netns, |transaction| transaction.add_rule(chain, self))
    }

    /// Inserts the rule at the beginning of a chain.
    ///
    /// # Errors
    ///
    /// The errors of [`create`](Self::create).
    #[doc(alias = "nft insert rule")]
    pub fn insert(&self, chain: &ChainHandle) -> Result<Owned<RuleHandle>, Error> {
        create(&chain.table.netns, |transaction| transaction.insert_rule(chain, self))
    }

    /// Adds the rule after another rule of its chain.
    ///
    /// # Errors
    ///
    /// The errors of [`create`](Self::create), and [`is_not_found`](Error::is_not_found) if the
    /// other rule is gone.
    pub fn create_after(&self, rule: &RuleHandle) -> Result<Owned<RuleHandle>, Error> {
        create(&rule.chain.table.netns, |transaction| transaction.add_rule_after(rule, self))
    }

    /// Inserts the rule before another rule of its chain.
    ///
    /// # Errors
    ///
    /// The errors of [`create`](Self::create), and [`is_not_found`](Error::is_not_found) if the
    /// other rule is gone.
    pub fn insert_before(&self, rule: &RuleHandle) -> Result<Owned<RuleHandle>, Error> {
        create(&rule.chain.table.netns, |transaction| transaction.insert_rule_before(rule, self))
    }
}

impl RuleHandle {
    /// Replaces the rule. Afterwards this handle and its owner identify the new rule.
    ///
    /// # Errors
    ///
    /// The errors of [`Rule::create`], and [`is_not_found`](Error::is_not_found) if the rule is
    /// gone.
    #[doc(alias = "nft replace rule")]
    pub fn replace(&self, rule: &Rule) -> Result<(), Error> {
        change(&self.chain.table.netns, |transaction| transaction.replace_rule(self, rule))
    }

    /// Finds the rule by its number, in the chain under its current name. Fails with ENOENT if the
    /// rule is gone.
    pub(crate) fn look(&self) -> Result<Self, Error> {
        let listed = Self { chain: self.chain.look()?, number: self.number.clone() };
        listed.counter().map(|_| listed)
    }

    /// Reads the rule.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the rule is gone.
    pub fn read(&self) -> Result<Rule, Error> {
        let rules = self.chain.rules()?;
        let found = rules.into_iter().find(|(handle, _)| handle.number == self.number);
        let gone = || Cause::from(Errno::ENOENT).doing("read rule", self);
        found.map(|(_, rule)| rule).ok_or_else(gone)
    }
}

/// Deletes the rule by its number.
impl Remove for RuleHandle {
    fn remove(&self) -> Result<Removed, Error> {
        remove(&self.chain.table.netns, self, Transaction::delete_rule, || self.look())
    }
}
