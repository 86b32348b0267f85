//! Creates, reads, changes and deletes chains in the kernel.

use nix::errno::Errno;

use super::handle::{ChainHandle, RuleHandle, TableHandle};
use super::reader;
use super::ruleset;
use super::single::{change, create, remove};
use crate::error::{Cause, Error};
use crate::nft::model::chain::Chain;
use crate::nft::model::family::Policy;
use crate::nft::model::rule::Rule;
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};
use crate::wire::nft::chain as wire;
use crate::wire::nft::message::MessageType;

impl Chain {
    /// Creates the chain and its rules, or nothing.
    ///
    /// Values that are known to be wrong are refused before any system call, such as a hook that
    /// the table's family does not have.
    ///
    /// # Errors
    ///
    /// [`is_already_exists`](Error::is_already_exists) if the table has a chain of this name.
    pub fn create(&self, table: &TableHandle) -> Result<Owned<ChainHandle>, Error> {
        create(&table.netns, |transaction| transaction.create_chain(table, self))
    }
}

impl ChainHandle {
    /// Reads the chain's current name by its number. Fails with ENOENT if the chain is gone.
    pub(super) fn look(&self) -> Result<Self, Error> {
        let table = &self.table;
        let chains = table.netns.nf_tables(|nf_tables| {
            table.verify(&mut nf_tables.socket)?;
            let all = wire::Chain::default();
            reader::list(&mut nf_tables.socket, MessageType::GetChain, table.family, &all)
        });
        let step = |cause: Cause| cause.doing("find chain", self).in_namespace(&table.netns);
        let is_it = |(_, chain): &(_, wire::Chain)| {
            chain.table == table.name && chain.handle == self.number.if_known()
        };
        let found = chains.map_err(step)?.into_iter().find(is_it);
        let name = found.and_then(|(_, chain)| chain.name);
        let name = name.ok_or_else(|| step(Errno::ENOENT.into()))?;
        Ok(Self { name, ..self.clone() })
    }

    /// Lists the rules in their order.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the chain is gone.
    #[doc(alias = "nft list chain")]
    pub fn rules(&self) -> Result<Vec<(RuleHandle, Rule)>, Error> {
        let table = ruleset::read_table(&self.table, false)?;
        let gone = || Cause::from(Errno::ENOENT).doing("read chain", self);
        let chain = table
            .chains
            .into_iter()
            .find(|chain| chain.number == self.number.get())
            .ok_or_else(|| gone().in_namespace(&self.table.netns))?;
        let rules = chain.rules.into_iter();
        Ok(rules.map(|info| (self.rule_read(info.number), info.rule)).collect())
    }

    /// Sets the policy: the verdict on packets that no rule of the chain decides on. Dropping the
    /// handle does not undo the change. Use [`read`](Self::read) first to get the old policy.
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
    /// // Add the rules first, so that no wanted packet is dropped in between.
    /// input.set_policy(Policy::Drop)?;
    /// assert_eq!(input.read()?.policy_of(), Policy::Drop);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`is_not_found`](Error::is_not_found) if the chain is gone
    /// - [`is_unsupported`](Error::is_unsupported) if the chain has no hook
    #[doc(alias = "NFTA_CHAIN_POLICY")]
    pub fn set_policy(&self, policy: Policy) -> Result<(), Error> {
        change(&self.table.netns, |transaction| transaction.set_policy(self, policy))
    }

    /// Deletes all rules.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the chain is gone.
    #[doc(alias = "nft flush chain")]
    pub fn flush(&self) -> Result<(), Error> {
        change(&self.table.netns, |transaction| transaction.flush_chain(self))
    }
}

/// Deletes the chain with its rules. Fails with EBUSY while rules jump to the chain.
impl Remove for ChainHandle {
    fn remove(&self) -> Result<Removed, Error> {
        let netns = &self.table.netns;
        remove(netns, self, |all, chain| all.flush_chain(chain).delete_chain(chain), || self.look())
    }
}
