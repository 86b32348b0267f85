//! The handle of a link.

use std::fmt;
use std::sync::{Arc, Weak};

use nix::errno::Errno;

use super::index::LinkIndex;
use super::message::change;
use super::shared::{Shared, Snapshot};
use crate::error::{Cause, Error};
use crate::input::link_name_to_look_up;
use crate::netlink::{Batch, Requests};
use crate::netns::{LinkIdentity, Look, Netns, Quoted};
use crate::owned::sealed::Removed;
use crate::wire::attribute::Writer;
use crate::wire::link::{LinkView, WhichLink};

/// A link that exists: a veth end, a bridge, the loopback link, a physical link.
///
/// The kernel may reuse an index. So a handle knows its link by namespace, index and kind, and by
/// one of: hardware address, netloom's tag, or name and peer. All clones of a handle share this
/// identity: a rename or a move through one of them is seen by all. Two handles are equal if their
/// namespaces and indexes are. Dropping a handle does nothing: see
/// [`Owned`](crate::Owned). A handle holds a [`Netns`], so it keeps an anonymous namespace alive.
#[derive(Clone)]
pub struct Link(Arc<Shared>);

impl Netns {
    /// Looks up a link by name or alternative name, as `ip link show NAME`.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if no link has the name.
    pub fn link(&self, name: &str) -> Result<Link, Error> {
        const ACTION: &str = "find link";
        link_name_to_look_up(name)
            .map_err(|reason| Error::invalid(ACTION, Quoted(name), reason))?;
        self.look_up_link(WhichLink::Named(name), |view| Link::of(self, view))
            .map_err(|cause| cause.doing(ACTION, Quoted(name)).in_namespace(self))
    }

    /// Looks up a link by its index.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if no link has the index.
    pub fn link_at(&self, index: impl Into<LinkIndex>) -> Result<Link, Error> {
        let index = index.into();
        let find = || match index.get() {
            // The kernel answers EINVAL, not ENODEV, to a request for index 0.
            0 => Err(Errno::ENODEV.into()),
            index => self.look_up_link(WhichLink::At(index), |view| Link::of(self, view)),
        };
        find().map_err(|cause: Cause| cause.doing("find link", index).in_namespace(self))
    }
}

impl Link {
    pub(super) fn new(netns: Netns, id: LinkIdentity) -> Self {
        Self(Arc::new(Shared::new(netns, id)))
    }

    fn of(netns: &Netns, view: LinkView<'_>) -> Option<Self> {
        Some(Self::new(netns.clone(), LinkIdentity::of(view)?))
    }

    /// Returns the current namespace and identity, which all clones of the handle share.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.0.read()
    }

    /// Updates the namespace and identity that all clones of the handle share, after this process
    /// changed the link.
    pub(super) fn renew(&self, change: impl FnOnce(&mut Snapshot)) {
        self.0.change(change);
    }

    /// Connects the handles of both ends of a new veth pair. Call it before any thread shares the
    /// handles.
    pub(super) fn pair_with(&self, peer: &Self) {
        self.0.peer.get_or_init(|| Arc::downgrade(&peer.0));
        peer.0.peer.get_or_init(|| Arc::downgrade(&self.0));
    }

    /// Updates the index of this link that the peer's identity contains, after a move.
    pub(super) fn renew_in_peer(&self, index: u32) {
        if let Some(peer) = self.0.peer.get().and_then(Weak::upgrade) {
            peer.change(|snapshot| snapshot.id.link = Some(index));
        }
    }

    /// Returns the name that the link had when netloom last saw or changed it.
    pub fn name(&self) -> String {
        self.snapshot().id.name.as_ref().to_owned()
    }

    /// Returns the index of the link in its namespace. A move to another namespace may change it.
    pub fn index(&self) -> LinkIndex {
        self.snapshot().id.index.into()
    }

    /// Returns the namespace that the link is in.
    pub fn namespace(&self) -> Netns {
        self.snapshot().netns.clone()
    }

    /// Checks whether the link still exists and is the same.
    pub(crate) fn look(&self) -> Result<Look, Error> {
        let snapshot = self.snapshot();
        snapshot.id.look(&snapshot.netns).map_err(|cause| snapshot.failure("look at link", cause))
    }

    /// Checks that the link is still the same, and returns its namespace and identity for a request
    /// that names the link by index.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link no longer exists.
    /// - `ErrorKind::Replaced` if the index may belong to another link.
    pub(super) fn verified(&self, action: &'static str) -> Result<Arc<Snapshot>, Error> {
        let snapshot = self.snapshot();
        match snapshot.id.look(&snapshot.netns) {
            Ok(Look::Same) => Ok(snapshot),
            Ok(Look::Gone) => Err(snapshot.failure(action, Errno::ENODEV.into())),
            Ok(Look::Differs(text)) => Err(snapshot.failure(action, Cause::Replaced(text))),
            Err(cause) => Err(snapshot.failure(action, cause)),
        }
    }

    /// Checks that the link is still the same, and returns its index.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link no longer exists.
    /// - `ErrorKind::Replaced` if the index may belong to another link.
    pub(crate) fn verified_index(
        &self,
        action: &'static str,
        object: impl fmt::Display,
    ) -> Result<u32, Error> {
        let snapshot = self.verified(action).map_err(|error| error.while_doing(action, object))?;
        Ok(snapshot.id.index)
    }

    /// Deletes a part of the link, such as an address, if the link is still the same.
    pub(crate) fn remove_part(
        &self,
        action: &'static str,
        part: impl fmt::Display,
        remove: impl FnOnce() -> Result<Removed, Error>,
    ) -> Result<Removed, Error> {
        match self.look()? {
            Look::Same => remove(),
            Look::Gone => Ok(Removed::Gone),
            Look::Differs(text) => {
                Err(Cause::Replaced(text).doing(action, part).in_namespace(self.namespace()))
            }
        }
    }

    /// Checks that the link is still the same, then sends a request about it.
    pub(super) fn request(
        &self,
        action: &'static str,
        request: impl FnOnce(&mut Batch, u32) -> usize,
    ) -> Result<(), Error> {
        let snapshot = self.verified(action)?;
        snapshot.send(action, |batch| request(batch, snapshot.id.index))
    }

    /// Checks that the link is still the same, then changes its attributes.
    pub(super) fn change(
        &self,
        action: &'static str,
        attributes: impl FnOnce(&mut Writer<'_>),
    ) -> Result<(), Error> {
        self.request(action, |batch, index| change(index, attributes)(batch))
    }
}

impl Snapshot {
    pub(super) fn failure(&self, action: &'static str, cause: Cause) -> Error {
        cause.doing(action, Quoted(&self.id.name)).in_namespace(&self.netns)
    }

    /// Sends a request about the link, without a check.
    pub(super) fn send(
        &self,
        action: &'static str,
        request: impl FnOnce(&mut Batch) -> usize,
    ) -> Result<(), Error> {
        let object = Quoted(&self.id.name);
        let mut requests = Requests::default();
        requests.push(action, &object, request);
        self.netns.send(requests)
    }

    /// Requests the link by index and reads the answer.
    pub(super) fn get<T>(
        &self,
        action: &'static str,
        read: impl FnMut(LinkView<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        let answer = self.netns.look_up_link(WhichLink::At(self.id.index), read);
        answer.map_err(|cause| self.failure(action, cause))
    }
}

impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        if Arc::ptr_eq(&self.0, &other.0) {
            return true;
        }
        let (one, other) = (self.snapshot(), other.snapshot());
        one.id.index == other.id.index && one.netns == other.netns
    }
}

impl Eq for Link {}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        write!(f, "{} in {}", Quoted(&snapshot.id.name), snapshot.netns)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        f.debug_struct("Link")
            .field("name", &snapshot.id.name)
            .field("index", &snapshot.id.index)
            .field("namespace", &snapshot.netns)
            .finish_non_exhaustive()
    }
}
