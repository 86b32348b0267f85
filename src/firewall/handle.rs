//! Firewalls that exist.

use crate::error::Error;
use crate::input::link_name;
use crate::link::LinkRef;
use crate::nft::{Datum, Span, TableHandle, Transaction};
use crate::owned::sealed::Remove;

pub(super) const NETWORKS: &str = "networks";
pub(super) const PATHS: &str = "paths";
pub(super) const PORTS: &str = "ports";

/// A firewall that exists: its two tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirewallHandle {
    pub(super) routed: TableHandle,
    pub(super) bridged: TableHandle,
}

impl FirewallHandle {
    /// The table of what is routed.
    pub fn table(&self) -> &TableHandle {
        &self.routed
    }

    /// The table of frames that come in on guarded ports.
    pub fn bridge_table(&self) -> &TableHandle {
        &self.bridged
    }

    /// A network more; as [`Firewall::network`](crate::Firewall::network). No rule is touched.
    ///
    /// # Errors
    ///
    /// A name that no link can have is refused; [`is_not_found`](Error::is_not_found) where the firewall
    /// is gone.
    pub fn add_network(&self, link: impl Into<LinkRef>) -> Result<(), Error> {
        self.change(&link.into(), |transaction, networks, paths, name| {
            transaction.add_elements(networks, [name.clone()]);
            transaction.add_elements(paths, [(name.clone(), name)]);
        })
    }

    /// A network less.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where the firewall does not know it.
    pub fn remove_network(&self, link: impl Into<LinkRef>) -> Result<(), Error> {
        self.change(&link.into(), |transaction, networks, paths, name| {
            transaction.delete_elements(networks, [name.clone()]);
            transaction.delete_elements(paths, [(name.clone(), name)]);
        })
    }

    fn change(
        &self,
        link: &LinkRef,
        work: impl FnOnce(&mut Transaction, &crate::nft::SetHandle, &crate::nft::SetHandle, Span),
    ) -> Result<(), Error> {
        const ACTION: &str = "change networks of firewall";
        link_name(link.name())
            .map_err(|reason| Error::invalid(ACTION, &self.routed, format!("{link}: {reason}")))?;
        link.check_home(self.routed.netns(), ACTION, &self.routed)?;
        let (networks, paths) = (self.routed.set(NETWORKS)?, self.routed.set(PATHS)?);
        let mut transaction = Transaction::new(self.routed.netns());
        let name = Span::One(Datum::Name(link.name().to_owned()));
        work(&mut transaction, &networks, &paths, name);
        Ok(transaction.commit()?)
    }
}

/// Both tables, in one transaction.
impl Remove for FirewallHandle {
    fn remove(&self) -> Result<(), Error> {
        let mut transaction = Transaction::new(self.routed.netns());
        transaction.delete_table(&self.routed);
        transaction.delete_table(&self.bridged);
        Ok(transaction.commit()?)
    }
}
