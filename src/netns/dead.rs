//! What of namespaces, links and names belongs to a dead process.

use netlink_packet_core::NLM_F_ACK;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};

use super::enter::inside;
use super::named;
use super::open::{Netns, Quoted};
use crate::error::{Cause, Error};
use crate::netlink::{Batch, RouteRequest, Tag, is_tag};
use crate::wire::link::LinkView;

/// The index of `lo`, the same in every namespace (net/core/dev.c: it is registered first).
const LOOPBACK: u32 = 1;

impl Netns {
    /// The tag for a link that is made here; none in a namespace that goes with us anyway.
    pub(crate) fn link_tag(&self) -> Result<Option<u32>, Cause> {
        let sockets = self.sockets();
        if sockets.is_private() { Ok(None) } else { sockets.tag(self.fd()).map(Some) }
    }

    /// The tag that is held here by this handle, if one is.
    pub(crate) fn tag_number(&self) -> Option<u32> {
        self.sockets().tag_number()
    }

    /// Holds a dead process's tag, so that nobody else comes to have it; none where its holder lives.
    pub(crate) fn take_dead_tag(&self, tag: u32) -> Result<Option<Tag>, Error> {
        inside(self.fd(), || Tag::take_here(tag))
            .flatten()
            .map_err(|cause| cause.doing("look for the maker of", "links").in_namespace(self))
    }

    pub(super) fn tag_name(&self) -> Result<(), Cause> {
        self.set_name_tag(self.sockets().tag(self.fd())?)
    }

    pub(super) fn untag_name(&self) {
        let (Some(name), Some(tag)) = (self.name(), self.tag_number()) else { return };
        let untagged = match self.name_tag() {
            Ok(Some(carried)) if carried == tag => self.set_name_tag(0),
            other => other.map(drop),
        };
        if let Err(cause) = untagged {
            let error = cause.doing("keep namespace", Quoted(name));
            log::warn!("reaped once this process is dead: {error}");
        }
    }

    /// Whether its name was given by a process that is dead.
    pub(crate) fn has_dead_name(&self) -> Result<bool, Error> {
        let tag =
            self.name_tag().map_err(|cause| cause.doing("look at", "lo").in_namespace(self))?;
        match tag {
            Some(tag) => Ok(self.take_dead_tag(tag)?.is_some()),
            None => Ok(false),
        }
    }

    /// Removes its name if that is so. `false`: it is not, or somebody was faster.
    pub(crate) fn remove_dead_name(&self) -> Result<bool, Error> {
        let Some(name) = self.name() else { return Ok(false) };
        if !self.has_dead_name()? {
            return Ok(false);
        }
        match named::delete(name, self.id(), self.fd()) {
            Ok(()) => Ok(true),
            Err(cause) => {
                let error = cause.doing("delete namespace", Quoted(name));
                if error.is_not_found() { Ok(false) } else { Err(error) }
            }
        }
    }

    /// Whether this name stands for nothing, as its maker died before it did.
    pub(crate) fn is_unused_name(name: &str) -> Result<bool, Error> {
        named::is_unused(name).map_err(|cause| cause.doing("look at name", Quoted(name)))
    }

    /// Removes such a name. `false`: it is none, or gone.
    pub(crate) fn remove_unused_name(name: &str) -> Result<bool, Error> {
        named::remove_unused(name).map_err(|cause| cause.doing("delete name", Quoted(name)))
    }

    /// The tag that `lo` carries, where netloom gave the namespace its name.
    fn name_tag(&self) -> Result<Option<u32>, Cause> {
        let mut request = LinkMessage::default();
        request.header.index = LOOPBACK;
        let request = RouteRequest::GetLink(request);
        let group =
            self.route(|socket| socket.get(&request, |answer| LinkView::read(answer)?.group()))?;
        Ok(group.filter(|group| is_tag(*group)))
    }

    /// Has `lo` carry a tag, or none: 0.
    pub(crate) fn set_name_tag(&self, tag: u32) -> Result<(), Cause> {
        let mut request = LinkMessage::default();
        request.header.index = LOOPBACK;
        request.attributes.push(LinkAttribute::Group(tag));
        let mut batch = Batch::default();
        batch.push(&RouteRequest::SetLink(request), NLM_F_ACK);
        let refusals = self.route(|socket| socket.exchange(&mut batch, |_, _| ()))?;
        refusals.into_iter().next().map_or(Ok(()), |(_, refusal)| Err(refusal.into()))
    }
}
