//! Tags of links, and the names and links that dead processes left.

use super::handle::Netns;
use super::identity::NetnsId;
use super::label::Quoted;
use super::name_file;
use crate::error::{Cause, Error};
use crate::netlink::{LiveTags, Tag};

impl Netns {
    /// Returns the tag for a link that is created here. `None` in a namespace that dies with this
    /// process, and if no tag can be had.
    pub(crate) fn link_tag(&self) -> Result<Option<u32>, Cause> {
        if self.dies_with_process() { Ok(None) } else { self.sockets().tag(self.fd()) }
    }

    /// Returns whether the kernel deletes the namespace when this process dies.
    pub(crate) fn dies_with_process(&self) -> bool {
        self.sockets().is_private()
    }

    /// Returns the tag that this handle has here.
    pub(crate) fn tag_number(&self) -> Option<u32> {
        self.sockets().tag_number()
    }

    /// Lists the tags of the processes that are alive here.
    pub(crate) fn live_tags(&self) -> Result<LiveTags, Error> {
        self.sockets()
            .live_tags(self.fd())
            .map_err(|cause| cause.doing("look for the owners of", "links").in_namespace(self))
    }

    /// Takes a tag that no process has.
    pub(crate) fn fresh_tag(&self) -> Result<Tag, Cause> {
        self.sockets().new_tag(self.fd())
    }

    /// Returns whether the owner of a name is dead. The name need not have a namespace here.
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

    /// Removes a name without a namespace if its owner is dead.
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
