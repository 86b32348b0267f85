//! The tag of a link, which names the process that created the link. It is the link's group.

use super::handle::Link;
use super::info::LinkInfo;
use super::message::delete;
use crate::error::{Cause, Error};
use crate::netlink::is_tag;
use crate::netns::{Netns, Tagged};
use crate::wire::link::IFLA_GROUP;

/// Lists the links whose creator is dead, in the order of their indexes.
pub(crate) fn orphans(netns: &Netns) -> Result<Vec<Link>, Error> {
    // `lo` may carry a tag, but cannot be deleted.
    let tagged = |info: &LinkInfo| is_tag(info.group) && info.kind.is_some();
    let tagged: Vec<_> = netns.links()?.into_iter().filter(tagged).collect();
    if tagged.is_empty() {
        return Ok(Vec::new());
    }
    let live = netns.live_tags()?;
    let mut found = Vec::new();
    for info in tagged.into_iter().filter(|info| live.is_dead(info.group)) {
        match netns.link_at(info.index) {
            Err(error) if error.is_not_found() => {}
            link => found.push(link?),
        }
    }
    Ok(found)
}

/// Deletes a link if the process that created it is dead. Returns `false` if that process lives or
/// the link is gone.
pub(crate) fn remove_orphan(link: &Link) -> Result<bool, Error> {
    let snapshot = link.snapshot();
    let group = || match link.info() {
        Err(error) if error.is_not_found() => Ok(None),
        info => info.map(|info| Some(info.group)),
    };
    let Some(tag) = group()? else { return Ok(false) };
    // Read the group again at the end: another link may have taken the index, but not with this
    // tag.
    if !is_tag(tag) || !snapshot.netns.live_tags()?.is_dead(tag) || group()? != Some(tag) {
        return Ok(false);
    }
    match snapshot.send("delete link", delete(snapshot.id.index)) {
        Err(error) if error.is_not_found() => Ok(false),
        done => done.map(|()| true),
    }
}

impl Link {
    /// Removes the tag, because a kept link belongs to no process.
    pub(super) fn untag(&self) {
        if let Err(error) = self.change_tag("keep", |_| Ok(None)) {
            log::warn!("`reap` will delete this kept link after this process has ended: {error}");
        }
    }

    /// Replaces another process's tag by the tag of this process, which adopts the link.
    pub(super) fn tag(&self) {
        if let Err(error) = self.change_tag("own", Netns::link_tag) {
            log::warn!("`reap` will not find this link after this process has ended: {error}");
        }
    }

    /// Changes the tag. Does nothing if another program chose the link's group.
    fn change_tag(
        &self,
        action: &'static str,
        tag: impl FnOnce(&Netns) -> Result<Option<u32>, Cause>,
    ) -> Result<(), Error> {
        let snapshot = self.snapshot();
        let group = self.info()?.group;
        if group != 0 && !is_tag(group) {
            return Ok(());
        }
        let tag = tag(&snapshot.netns).map_err(|cause| snapshot.failure(action, cause))?;
        if group != tag.unwrap_or(0) {
            self.change(action, |link| link.u32(IFLA_GROUP, tag.unwrap_or(0)))?;
        }
        let tagged = tag.map(|tag| Tagged::new(tag, (snapshot.netns.id(), snapshot.id.index)));
        self.renew(|snapshot| snapshot.id.tag = tagged);
        Ok(())
    }

    /// Returns the group that a link gets when it moves to another namespace: the tag of this
    /// process there, if the link has the tag of this process here. `None` leaves the group alone:
    /// another process may own the link.
    pub(super) fn tag_in(&self, group: u32, there: &Netns) -> Result<Option<u32>, Error> {
        let snapshot = self.snapshot();
        if !is_tag(group) || snapshot.netns.tag_number() != Some(group) {
            return Ok(None);
        }
        let tag = there.link_tag().map_err(|cause| snapshot.failure("mark as ours", cause))?;
        Ok(Some(tag.unwrap_or(0)))
    }
}
