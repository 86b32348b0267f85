//! Creates, changes and deletes single objects, each in a transaction of its own.

use super::transaction::Transaction;
use crate::error::Error;
use crate::netns::Netns;
use crate::owned::sealed::Removed;
use crate::owned::{Handle, Owned};

/// Creates one object.
pub(super) fn create<H: Handle>(
    netns: &Netns,
    add: impl FnOnce(&mut Transaction) -> H,
) -> Result<Owned<H>, Error> {
    let mut transaction = Transaction::new(netns);
    let handle = add(&mut transaction);
    transaction.commit()?;
    Ok(Owned::new(handle))
}

/// Changes existing objects in one transaction.
pub(super) fn change(
    netns: &Netns,
    make: impl for<'a> FnOnce(&'a mut Transaction) -> &'a mut Transaction,
) -> Result<(), Error> {
    let mut transaction = Transaction::new(netns);
    make(&mut transaction);
    Ok(transaction.commit()?)
}

/// Deletes an object. If the kernel reports ENOENT, the chain that contains the object may only
/// have been renamed. So `look` finds the object again, which is then deleted, or fails with
/// ENOENT.
pub(super) fn remove<H>(
    netns: &Netns,
    handle: &H,
    delete: impl for<'a> Fn(&'a mut Transaction, &H) -> &'a mut Transaction,
    look: impl FnOnce() -> Result<H, Error>,
) -> Result<Removed, Error> {
    let commit =
        |handle: &H| change(netns, |changes| delete(changes, handle)).map(|()| Removed::Deleted);
    match commit(handle) {
        Err(error) if error.is_not_found() => match look() {
            Ok(listed) => commit(&listed),
            Err(error) if error.is_not_found() => Ok(Removed::Gone),
            Err(error) => Err(error),
        },
        done => done,
    }
}
