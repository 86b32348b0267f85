//! Chains in the kernel.

use std::fmt;

use super::find;
use super::number::Number;
use super::rule::RuleHandle;
use super::ruleset;
use super::table::TableHandle;
use super::transaction::Transaction;
use crate::error::Error;
use crate::nft::model::chain::Chain;
use crate::nft::model::family::Policy;
use crate::nft::model::rule::Rule;
use crate::owned::Owned;
use crate::owned::sealed::Remove;
use crate::wire::nft::chain as wire;

impl Chain {
    /// Makes it and its rules, or nothing.
    ///
    /// # Errors
    ///
    /// What can be known wrong is refused before any system call, such as a hook that the table's family
    /// does not have. [`is_already_exists`](Error::is_already_exists) where the table has a chain of this
    /// name.
    pub fn create(&self, table: &TableHandle) -> Result<Owned<ChainHandle>, Error> {
        let mut transaction = Transaction::new(&table.netns);
        let handle = transaction.create_chain(table, self);
        transaction.commit()?;
        Ok(Owned::new(handle))
    }
}

/// A chain of ours that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHandle {
    pub(crate) table: TableHandle,
    pub(crate) name: String,
    pub(crate) number: Number,
}

impl ChainHandle {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The table it is in.
    pub fn table(&self) -> &TableHandle {
        &self.table
    }

    /// Its rules, first to last.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where it is gone.
    #[doc(alias = "nft list chain")]
    pub fn rules(&self) -> Result<Vec<(RuleHandle, Rule)>, Error> {
        let chain = ruleset::read_table(&self.table)?
            .chains
            .into_iter()
            .find(|chain| chain.number == self.number.get())
            .ok_or_else(|| find::gone("read chain", self).in_namespace(&self.table.netns))?;
        let handle = |number| RuleHandle { chain: self.clone(), number: Number::known(number) };
        Ok(chain.rules.into_iter().map(|info| (handle(info.number), info.rule)).collect())
    }

    /// It as it is, without its rules.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where it is gone.
    pub fn read(&self) -> Result<Chain, Error> {
        find::chain(self)
    }

    /// What becomes of packets that none of its rules decides on, from now on. It stays so when the handle is
    /// dropped: [`read`](Self::read) says before what it was.
    ///
    /// Replaces `nft chain FAMILY TABLE NAME '{ policy drop; }'`.
    ///
    /// ```
    /// use netloom::nft::{Chain, Family, Hook, Policy, Priority, Table};
    /// use netloom::Namespace;
    /// # netloom::sandbox::enter()?;
    ///
    /// let netns = Namespace::anonymous().create()?;
    /// let table = Table::new(Family::Inet, "filter").create(&netns)?;
    /// let input = Chain::new("in").hook(Hook::Input, Priority::FILTER).create(&table)?;
    /// // The rules come first, the closed door last.
    /// input.set_policy(Policy::Drop)?;
    /// assert_eq!(input.read()?.policy_of(), Policy::Drop);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where it is gone, [`is_unsupported`](Error::is_unsupported) where it
    /// has no hook.
    #[doc(alias = "NFTA_CHAIN_POLICY")]
    pub fn set_policy(&self, policy: Policy) -> Result<(), Error> {
        let mut transaction = Transaction::new(&self.table.netns);
        transaction.set_policy(self, policy);
        Ok(transaction.commit()?)
    }

    /// How a message names it: by its number, once that is known.
    pub(crate) fn known_as(&self) -> wire::Chain {
        match self.number.if_known() {
            Some(number) => wire::Chain::by_handle(&self.table.name, number),
            None => wire::Chain::by_name(&self.table.name, &self.name),
        }
    }

    /// Takes all its rules.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where it is gone.
    #[doc(alias = "nft flush chain")]
    pub fn flush(&self) -> Result<(), Error> {
        let mut transaction = Transaction::new(&self.table.netns);
        transaction.flush_chain(self);
        Ok(transaction.commit()?)
    }
}

impl fmt::Display for ChainHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {} {}`", self.table.family, self.table.name, self.name)
    }
}

/// With its rules. A chain that others jump to is busy (EBUSY).
impl Remove for ChainHandle {
    fn remove(&self) -> Result<(), Error> {
        let mut transaction = Transaction::new(&self.table.netns);
        transaction.flush_chain(self);
        transaction.delete_chain(self);
        Ok(transaction.commit()?)
    }
}
