//! The handle of a link: its namespace and index.

use std::fmt;
use std::sync::Arc;

use nix::errno::Errno;

use super::group::{self, Doomed, Ends};
use super::index::LinkIndex;
use super::message::LinkRequest;
use crate::error::{Cause, Error};
use crate::input::link_name;
use crate::netlink::{Requests, RouteRequest};
use crate::netns::{Identity, Netns, Quoted};
use crate::owned::sealed::Remove;
use crate::together::sealed::Later;
use crate::wire::link::{LinkView, WhichLink};

/// A link that exists: a veth end, a bridge, the loopback link, a physical one.
///
/// Its identity is its namespace and its index there, and the hardware address it was seen with, which
/// tells it from a stranger that got its index; the name is what it had when netloom last saw it. Two
/// handles are equal when namespace and index are. Dropping one does nothing: see
/// [`Owned`](crate::Owned). It holds a [`Netns`], so an anonymous namespace lives while a handle of
/// anything in it does.
#[derive(Clone)]
pub struct Link {
    pub(super) netns: Netns,
    pub(super) index: u32,
    /// Shared with those that name it, which may be many.
    pub(super) name: Arc<str>,
    pub(super) identity: Identity,
}

impl Netns {
    /// Looks up one link by name (or alternative name), as `ip link show NAME`.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where there is none of that name.
    pub fn link(&self, name: &str) -> Result<Link, Error> {
        const ACTION: &str = "find link";
        link_name_to_find(name).map_err(|reason| Error::invalid(ACTION, Quoted(name), reason))?;
        self.look_up_link(WhichLink::Named(name), |view| self.handle_of(view))
            .map_err(|cause| cause.doing(ACTION, Quoted(name)).in_namespace(self))
    }

    /// Looks up one link by its index.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where there is none of that index.
    pub fn link_at(&self, index: impl Into<LinkIndex>) -> Result<Link, Error> {
        let index = index.into().get();
        self.look_up_link(WhichLink::At(index), |view| self.handle_of(view))
            .map_err(|cause| cause.doing("find link", index).in_namespace(self))
    }

    fn handle_of(&self, view: LinkView<'_>) -> Option<Link> {
        let identity = Identity::of(view);
        let name = view.name()?.into();
        Some(Link { netns: self.clone(), index: view.index, name, identity })
    }
}

/// Refuses what no link is called: an alternative name is longer than a name may be
/// (`net/core/dev.c`, `ALTIFNAMSIZ`).
fn link_name_to_find(name: &str) -> Result<(), &'static str> {
    match name.len() {
        0..=15 => link_name(name),
        16..=127 if !name.contains(['/', '\0']) => Ok(()),
        16..=127 => Err("a link's name can't contain `/` or NUL"),
        _ => Err("a link's alternative name has 127 bytes at most"),
    }
}

impl Link {
    /// Its name when it was made, looked up or renamed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its index in its namespace, as `if_nametoindex(3)`. A move to another namespace may change it.
    pub fn index(&self) -> LinkIndex {
        self.index.into()
    }

    /// The namespace it is in.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }

    /// Whether what the kernel lists with this index is this link still.
    pub(super) fn is(&self, listed: LinkView<'_>) -> bool {
        self.index == listed.index && self.identity.is(&self.name, listed)
    }

    /// Whether it is there, as far as a look at its index says.
    pub(crate) fn is_there(&self) -> Result<bool, Error> {
        let look = self.netns.look_up_link(WhichLink::At(self.index), |view| Some(self.is(view)));
        look.map_err(|cause| {
            cause.doing("look at link", Quoted(&self.name)).in_namespace(&self.netns)
        })
    }

    /// Sends one request about this link.
    pub(crate) fn request(
        &self,
        action: &'static str,
        request: LinkRequest,
        send: fn(LinkRequest) -> RouteRequest,
    ) -> Result<(), Error> {
        let object = Quoted(&self.name);
        let mut requests = Requests::new();
        requests.push(action, &object, &send(request), 0);
        self.netns.send(requests, |_, _| ())
    }
}

/// Deleted by its index while that is still its own, never by its name alone, which may be another
/// link's by now.
impl Remove for Link {
    fn remove(&self) -> Result<(), Error> {
        if !self.is_there()? {
            // Gone, and its index is a stranger's by now.
            return Err(Cause::from(Errno::ENODEV)
                .doing("delete link", Quoted(&self.name))
                .in_namespace(&self.netns));
        }
        self.request("delete link", LinkRequest::at(self.index), LinkRequest::delete).map_err(
            |error| {
                error.hint_on(Errno::EOPNOTSUPP, || {
                    "the kernel made this link and keeps it: only links that were created can be deleted"
                        .into()
                })
            },
        )
    }

    fn kept(&self) {
        self.untag();
    }

    fn adopted(&self) {
        self.tag();
    }

    fn remove_later(&self, later: &mut Later) -> bool {
        later.with(|doomed: &mut Doomed| doomed.push(self.clone(), None));
        true
    }

    fn remove_all(links: &[&Self]) -> Vec<Result<(), Error>> {
        group::remove_all(&links.iter().map(|link| Ends::from(*link)).collect::<Vec<_>>())
    }
}

impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.netns == other.netns
    }
}

impl Eq for Link {}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` in {}", self.name, self.netns)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("name", &self.name)
            .field("index", &self.index)
            .field("namespace", &self.netns)
            .finish_non_exhaustive()
    }
}
