//! The deletion of objects, with a look at what the kernel calls missing.

use super::transaction::Transaction;
use crate::error::Error;
use crate::netns::Netns;
use crate::owned::sealed::Removed;

/// Deletes an object. If the kernel answers that a step to the object is missing, `look` decides: it
/// returns the object as it is listed, which is deleted, or "not found".
pub(crate) fn remove<H>(
    netns: &Netns,
    handle: &H,
    delete: impl Fn(&mut Transaction, &H),
    look: impl FnOnce() -> Result<H, Error>,
) -> Result<Removed, Error> {
    let commit = |handle: &H| {
        let mut transaction = Transaction::new(netns);
        delete(&mut transaction, handle);
        transaction.commit().map(|()| Removed::Deleted).map_err(Error::from)
    };
    match commit(handle) {
        Err(error) if error.is_not_found() => match look() {
            Ok(listed) => commit(&listed),
            Err(error) if error.is_not_found() => Ok(Removed::Gone),
            Err(error) => Err(error),
        },
        done => done,
    }
}
