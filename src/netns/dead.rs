//! What of namespaces, links and names belongs to a dead process.

use super::handle::Netns;
use super::identity::NetnsId;
use super::label::Quoted;
use super::named;
use crate::error::{Cause, Error};
use crate::netlink::{LiveTags, Tag};

impl Netns {
    /// Returns the tag for a link that is made here. None in a namespace that goes with this process anyway,
    /// and where there can be no tag.
    pub(crate) fn link_tag(&self) -> Result<Option<u32>, Cause> {
        if self.goes_with_us() { Ok(None) } else { self.sockets().tag(self.fd()) }
    }

    /// Whether all that is in it goes when this process dies.
    pub(crate) fn goes_with_us(&self) -> bool {
        self.sockets().is_private()
    }

    /// The tag that is held here by this handle, if one is.
    pub(crate) fn tag_number(&self) -> Option<u32> {
        self.sockets().tag_number()
    }

    /// Lists the tags of the processes that are alive here.
    pub(crate) fn live_tags(&self) -> Result<LiveTags, Error> {
        self.sockets()
            .live_tags(self.fd())
            .map_err(|cause| cause.doing("look for the makers of", "links").in_namespace(self))
    }

    /// Takes a tag that no process has.
    pub(crate) fn fresh_tag(&self) -> Result<Tag, Cause> {
        self.sockets().new_tag(self.fd())
    }

    /// Whether a name has an owner who is dead, whatever it stands for here.
    pub(crate) fn is_name_of_the_dead(name: &str) -> Result<bool, Error> {
        named::is_of_the_dead(name)
            .map_err(|cause| cause.doing("look for the owner of name", Quoted(name)))
    }

    /// Removes its name if that is so. `false`: it is not, or somebody was faster.
    pub(crate) fn remove_dead_name(&self) -> Result<bool, Error> {
        let Some(name) = self.name() else { return Ok(false) };
        remove("delete namespace", name, Some(self.id()))
    }

    /// Removes a name that stands for nothing here if that is so.
    pub(crate) fn remove_unused_name(name: &str) -> Result<bool, Error> {
        remove("delete name", name, None)
    }
}

fn remove(action: &'static str, name: &str, id: Option<NetnsId>) -> Result<bool, Error> {
    let removed = named::remove_of_the_dead(name, id);
    match removed.map_err(|cause| cause.doing(action, Quoted(name))) {
        // Somebody was faster.
        Err(error) if error.is_not_found() => Ok(false),
        removed => removed,
    }
}
