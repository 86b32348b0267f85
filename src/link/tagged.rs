//! Links marked as a process's: the tag of the process that created them, as their group.

use super::handle::Link;
use super::info::LinkInfo;
use super::message::delete;
use crate::error::{Cause, Error};
use crate::netlink::is_tag;
use crate::netns::{Netns, Tagged};
use crate::wire::link::IFLA_GROUP;

/// Lists the links of dead processes, in the order of their indexes.
pub(crate) fn orphans(netns: &Netns) -> Result<Vec<Link>, Error> {
    // `lo` may carry a tag, and can't be deleted.
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

/// Deletes a link if the process that created it is dead. Returns `false` if the process lives or
/// the link is gone.
pub(crate) fn remove_orphan(link: &Link) -> Result<bool, Error> {
    let place = link.place();
    let group = || match link.info() {
        Err(error) if error.is_not_found() => Ok(None),
        info => info.map(|info| Some(info.group)),
    };
    let Some(tag) = group()? else { return Ok(false) };
    // The group last: a veth's index may be another link's by now, but not with this tag.
    if !is_tag(tag) || !place.netns.live_tags()?.is_dead(tag) || group()? != Some(tag) {
        return Ok(false);
    }
    match place.send("delete link", delete(place.id.index)) {
        Err(error) if error.is_not_found() => Ok(false),
        done => done.map(|()| true),
    }
}

impl Link {
    /// Takes the tag off: a kept link belongs to no process.
    pub(super) fn untag(&self) {
        if let Err(error) = self.change_tag("keep", |_| Ok(None)) {
            log::warn!("`reap` will delete this kept link after this process has ended: {error}");
        }
    }

    /// Replaces the tag of another process by this process's: an adopted link belongs to this
    /// process.
    pub(super) fn tag(&self) {
        if let Err(error) = self.change_tag("own", Netns::link_tag) {
            log::warn!("`reap` will not find this link after this process has ended: {error}");
        }
    }

    /// Changes the tag. Leaves a group that another program chose.
    fn change_tag(
        &self,
        action: &'static str,
        tag: impl FnOnce(&Netns) -> Result<Option<u32>, Cause>,
    ) -> Result<(), Error> {
        let place = self.place();
        let group = self.info()?.group;
        if group != 0 && !is_tag(group) {
            return Ok(());
        }
        let tag = tag(&place.netns).map_err(|cause| place.failure(action, cause))?;
        if group != tag.unwrap_or(0) {
            self.change(action, |link| link.u32(IFLA_GROUP, tag.unwrap_or(0)))?;
        }
        let tagged = tag.map(|tag| Tagged::new(tag, (place.netns.id(), place.id.index)));
        self.renew(|place| place.id.tag = tagged);
        Ok(())
    }

    /// Returns the group for a move to another namespace: our tag there, if the link has our tag
    /// here. The owner of another tag may live.
    pub(super) fn tag_in(&self, group: u32, there: &Netns) -> Result<Option<u32>, Error> {
        let place = self.place();
        if !is_tag(group) || place.netns.tag_number() != Some(group) {
            return Ok(None);
        }
        let tag = there.link_tag().map_err(|cause| place.failure("mark as ours", cause))?;
        Ok(Some(tag.unwrap_or(0)))
    }
}
