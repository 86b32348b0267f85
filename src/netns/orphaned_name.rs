//! Names whose owner is dead.

use super::handle::Netns;
use super::identity::NetnsId;
use super::label::Quoted;
use super::name_file;
use crate::error::Error;

impl Netns {
    /// Returns whether the owner of a name is dead. The name may refer to no namespace.
    pub(crate) fn is_orphaned_name(name: &str) -> Result<bool, Error> {
        name_file::is_orphan(name)
            .map_err(|cause| cause.doing("look for the owner of name", Quoted(name)))
    }

    /// Removes the name if its owner is dead. Returns `false` if the owner lives or the name is
    /// gone.
    pub(crate) fn remove_orphaned_name(&self) -> Result<bool, Error> {
        let Some(name) = self.name() else { return Ok(false) };
        remove("delete namespace", name, Some(self.id()))
    }

    /// Removes a name that refers to no namespace, if its owner is dead.
    pub(crate) fn remove_unused_name(name: &str) -> Result<bool, Error> {
        remove("delete name", name, None)
    }
}

fn remove(action: &'static str, name: &str, id: Option<NetnsId>) -> Result<bool, Error> {
    let removed = name_file::remove_orphan(name, id);
    match removed.map_err(|cause| cause.doing(action, Quoted(name))) {
        // Another process removed the name first.
        Err(error) if error.is_not_found() => Ok(false),
        removed => removed,
    }
}
