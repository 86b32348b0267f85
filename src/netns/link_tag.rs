//! The tags of links in a namespace: each names the process that owns the link.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use super::enter::socket_inside;
use super::handle::Netns;
use crate::error::{Cause, Error};
use crate::netlink::{LiveTags, Member, Tag, is_unavailable};

impl Netns {
    /// Returns this process's tag for links created in this namespace. The first call takes the
    /// tag. Returns `None` if the namespace dies with this process, without `CAP_NET_ADMIN`, or if
    /// the kernel has no `netlink_diag`.
    pub(crate) fn link_tag(&self) -> Result<Option<u32>, Cause> {
        if self.dies_with_process() {
            return Ok(None);
        }
        let mut held = self.sockets().tag.lock();
        if held.is_none() {
            *held = match self.fresh_tag() {
                Err(cause) if is_unavailable(&cause) => {
                    log::debug!("links get no owner tag: {cause}");
                    None
                }
                tag => Some(tag?),
            };
        }
        Ok(held.as_ref().map(Tag::number))
    }

    /// Returns whether the kernel deletes the namespace when this process dies.
    pub(crate) fn dies_with_process(&self) -> bool {
        self.sockets().is_private.load(Ordering::Relaxed)
    }

    /// Returns this process's tag in the namespace, if it has taken one.
    pub(crate) fn tag_number(&self) -> Option<u32> {
        self.sockets().tag.lock().as_ref().map(Tag::number)
    }

    /// Takes a tag that no other process has.
    pub(crate) fn fresh_tag(&self) -> Result<Tag, Cause> {
        let open = || socket_inside(self.fd(), Member::SOCKET);
        self.diagnosis(|diagnosis| Tag::hold(open, diagnosis))
    }

    /// Lists the tags of all living processes in the namespace.
    pub(crate) fn live_tags(&self) -> Result<LiveTags, Error> {
        socket_inside(self.fd(), Member::SOCKET)
            .and_then(|socket| self.diagnosis(|tables| LiveTags::list(socket.as_fd(), tables)))
            .map_err(|cause| cause.doing("look for the owners of", "links").in_namespace(self))
    }
}
