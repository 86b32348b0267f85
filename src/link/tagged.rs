//! Links that tell whose they are: the tag of the process that made them, as their group.

use super::handle::Link;
use super::info::LinkInfo;
use super::message::LinkRequest;
use crate::error::{Cause, Error};
use crate::netlink::{Requests, is_tag};
use crate::netns::{Netns, Quoted};

/// Lists the links of dead processes, in the order of their indexes.
pub(crate) fn dead(netns: &Netns) -> Result<Vec<Link>, Error> {
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

/// Deletes a link if its maker is dead. Returns `false` if the maker lives or the link is gone.
pub(crate) fn remove_dead(link: &Link) -> Result<bool, Error> {
    let group = || match link.info() {
        Err(error) if error.is_not_found() => Ok(None),
        info => info.map(|info| Some(info.group)),
    };
    let Some(tag) = group()? else { return Ok(false) };
    // The group last: a veth's index may be another link's by now, but not with this tag.
    if !is_tag(tag) || !link.netns.live_tags()?.is_dead(tag) || group()? != Some(tag) {
        return Ok(false);
    }
    let object = Quoted(&link.name);
    let mut requests = Requests::new();
    requests.push("delete link", &object, &LinkRequest::at(link.index).delete(), 0);
    match link.netns.send(requests, |_, _| ()) {
        Err(error) if error.is_not_found() => Ok(false),
        done => done.map(|()| true),
    }
}

impl Link {
    /// Takes the tag off: what is kept belongs to nobody.
    pub(super) fn untag(&self) {
        if let Err(error) = self.change_tag("keep", || Ok(0)) {
            log::warn!("reaped once this process is dead: {error}");
        }
    }

    /// Puts ours on, in the place of another's: what is adopted belongs to this process.
    pub(super) fn tag(&self) {
        if let Err(error) = self.change_tag("own", || Ok(self.netns.link_tag()?.unwrap_or(0))) {
            log::warn!("not reaped once this process is dead: {error}");
        }
    }

    /// A group that somebody chose stays.
    fn change_tag(
        &self,
        action: &'static str,
        tag: impl FnOnce() -> Result<u32, Cause>,
    ) -> Result<(), Error> {
        let group = self.info()?.group;
        if group != 0 && !is_tag(group) {
            return Ok(());
        }
        let tag = tag()
            .map_err(|cause| cause.doing(action, Quoted(&self.name)).in_namespace(&self.netns))?;
        if group == tag {
            return Ok(());
        }
        self.request(action, LinkRequest::at(self.index).group(tag), LinkRequest::change)
    }

    /// The group to have in another namespace: our tag there, where it has ours here. Another's owner may
    /// live.
    pub(super) fn group_in(&self, there: &Netns) -> Result<Option<u32>, Error> {
        let group = self.info()?.group;
        if !is_tag(group) || self.netns.tag_number() != Some(group) {
            return Ok(None);
        }
        let tag = there.link_tag().map_err(|cause: Cause| {
            cause.doing("mark as ours", Quoted(&self.name)).in_namespace(there)
        })?;
        Ok(Some(tag.unwrap_or(0)))
    }
}
