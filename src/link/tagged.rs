//! Links that tell whose they are: the tag of the process that made them, as their group.

use std::collections::BTreeMap;

use super::handle::Link;
use super::message::LinkRequest;
use crate::error::{Cause, Error};
use crate::netlink::{Requests, is_tag};
use crate::netns::{Netns, Quoted};

/// The links of dead processes, in the order of their indexes.
pub(crate) fn dead(netns: &Netns) -> Result<Vec<Link>, Error> {
    let mut is_dead = BTreeMap::new();
    let mut found = Vec::new();
    // `lo` carries the tag of the namespace's name.
    for info in netns.links()?.into_iter().filter(|info| is_tag(info.group) && info.kind.is_some())
    {
        let dead = if let Some(dead) = is_dead.get(&info.group) {
            *dead
        } else {
            let dead = netns.take_dead_tag(info.group)?.is_some();
            is_dead.insert(info.group, dead);
            dead
        };
        if dead {
            match netns.link_at(info.index) {
                Err(error) if error.is_not_found() => {}
                link => found.push(link?),
            }
        }
    }
    Ok(found)
}

/// Deletes a link if it is still a dead process's. `false`: it is not, or gone.
pub(crate) fn remove_dead(link: &Link) -> Result<bool, Error> {
    let group = match link.info() {
        Err(error) if error.is_not_found() => return Ok(false),
        info => info?.group,
    };
    if !is_tag(group) {
        return Ok(false);
    }
    // Held until the link is gone: nobody comes to have this tag meanwhile.
    let Some(_tag) = link.netns.take_dead_tag(group)? else { return Ok(false) };
    let object = Quoted(&link.name);
    // By index and group: a veth's index may be another link's by now, but not with this tag.
    match link.info() {
        Ok(info) if info.group == group => {}
        Err(error) if !error.is_not_found() => return Err(error),
        _ => return Ok(false),
    }
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
