//! The handle of a network namespace.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::enter::socket_inside;
use super::identity::{LazyId, NetnsId};
use super::label::{Label, Quoted};
use super::name_file::NameFile;
use super::socket_pool;
use super::sockets::{NfTables, Sockets};
use crate::error::{Cause, Error};
use crate::netlink::{Batch, Protocol, Requests, Socket, Subscription};
use crate::owned::sealed::{Remove, Removed};
use crate::sys::process::PerProcess;
use crate::wire::message::Message;

/// A handle of a network namespace, which contains links, addresses, routes and rules.
///
/// Clones are cheap and share one set of sockets. The sockets were opened inside, so no thread
/// enters the namespace to use them. Two handles are equal if they refer to the same namespace. A
/// handle keeps its namespace alive; dropping it deletes nothing. Handles of objects inside (a
/// [`Link`](crate::Link), a [`RouteHandle`](crate::RouteHandle), a
/// [`SysctlHandle`](crate::SysctlHandle), …) contain one, so they keep it alive too.
///
/// Threads share the sockets. If no further socket can be opened (no descriptor left, or entering
/// is forbidden), threads wait for a free one. A forked process opens its own sockets inside the
/// namespace, which requires `CAP_SYS_ADMIN` unless the process is in that namespace.
///
/// [`Namespace`](crate::Namespace) creates namespaces.
#[derive(Clone)]
pub struct Netns(Arc<Called>);

/// A namespace and the name of a handle. Both are in one allocation, because every handle of an
/// object inside clones it.
struct Called {
    label: Label,
    /// The lock file of the name, if this process owns the name.
    name_file: PerProcess<Option<NameFile>>,
    inner: Arc<Inner>,
}

struct Inner {
    /// The identity, read at the first use.
    id: LazyId,
    sockets: Sockets,
}

impl Netns {
    /// Makes the handle of an existing namespace, which other processes may use.
    pub(super) fn of_existing(file: OwnedFd, label: Label, route: Socket) -> Result<Self, Cause> {
        let id = NetnsId::of(&file)?;
        let inner = Inner { id: id.into(), sockets: Sockets::new(file, route, false) };
        Ok(Self::called(Arc::new(inner), label, None))
    }

    /// Makes the handle of a new namespace. The namespace ends with this process, unless it gets a
    /// name.
    pub(super) fn born(file: OwnedFd, route: Socket) -> Self {
        let inner = Inner { id: LazyId::default(), sockets: Sockets::new(file, route, true) };
        Self::called(Arc::new(inner), Label::Anonymous, None)
    }

    fn called(inner: Arc<Inner>, label: Label, name_file: Option<NameFile>) -> Self {
        Self(Arc::new(Called { label, name_file: PerProcess::new(name_file), inner }))
    }

    pub(super) fn sockets(&self) -> &Sockets {
        &self.0.inner.sockets
    }

    /// Returns the same namespace, with the same sockets, under a name that this process owns.
    pub(super) fn named(&self, name: &str, file: NameFile) -> Self {
        Self::called(Arc::clone(&self.0.inner), Label::Named(name.to_owned()), Some(file))
    }

    /// Releases the lock of the name, as SIGKILL would.
    #[cfg(test)]
    pub(crate) fn release_name(&self) {
        drop(self.0.name_file.lock().take());
    }

    /// Returns the identity of the namespace.
    pub fn id(&self) -> NetnsId {
        self.0.inner.id.get(|| NetnsId::of_open(self.fd()))
    }

    /// Returns whether two handles share one set of sockets. Makes no system call.
    pub(crate) fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0.inner, &other.0.inner)
    }

    /// Returns the name under `/run/netns`, if the namespace was created or opened by name.
    pub fn name(&self) -> Option<&str> {
        match &self.0.label {
            Label::Named(name) => Some(name),
            _ => None,
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.sockets().namespace.as_fd()
    }

    /// Runs one or more exchanges on an rtnetlink socket inside the namespace.
    pub(crate) fn rtnetlink<T>(
        &self,
        exchange: impl FnOnce(&mut Socket) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        self.sockets().with(Protocol::Route, exchange)
    }

    /// Runs exchanges on a new route socket, which is closed afterwards.
    pub(crate) fn with_new_socket<T>(
        &self,
        exchange: impl FnOnce(&mut Socket) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        exchange(&mut socket_pool::open(Protocol::Route, self.fd())?)
    }

    /// Runs exchanges on a netfilter socket without tables: for connection tracking, and for lists.
    pub(crate) fn netfilter<T>(
        &self,
        exchange: impl FnOnce(&mut Socket) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        self.sockets().with(Protocol::Netfilter, exchange)
    }

    /// Runs exchanges on a `sock_diag` socket, which lists the sockets of the namespace.
    pub(super) fn diagnosis<T>(
        &self,
        exchange: impl FnOnce(&mut Socket) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        self.sockets().with(Protocol::SocketDiagnosis, exchange)
    }

    /// Opens a socket inside that receives the notifications of multicast groups.
    pub(crate) fn subscribe(
        &self,
        protocol: Protocol,
        groups: &[u32],
        room: usize,
    ) -> Result<Subscription, Cause> {
        let socket = socket_inside(self.fd(), protocol.new_socket())?;
        Subscription::join(socket, groups, room)
    }

    /// Uses the `nf_tables` socket inside, which is always the same one: a table with the owner
    /// flag belongs to it.
    pub(crate) fn nf_tables<T>(
        &self,
        exchange: impl FnOnce(&mut NfTables) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        self.sockets().nf_tables(exchange)
    }

    /// Reads a whole list, named `what` in errors.
    pub(crate) fn dump<T>(
        &self,
        what: &'static str,
        request: impl FnOnce(&mut Batch) -> usize,
        mut read: impl FnMut(Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        self.fold(what, request, Vec::new, |list, message| list.extend(read(message)))
    }

    /// Reads a list, named `what` in errors, item by item without storing it.
    pub(crate) fn fold<A>(
        &self,
        what: &'static str,
        request: impl FnOnce(&mut Batch) -> usize,
        start: impl FnMut() -> A,
        visit: impl FnMut(&mut A, Message<'_>),
    ) -> Result<A, Error> {
        let mut batch = Batch::default();
        request(&mut batch);
        self.rtnetlink(|socket| socket.fold(&mut batch, start, visit))
            .map_err(|cause| cause.doing("list", what).in_namespace(self))
    }

    /// Sends named requests. An error says which request failed, and in which namespace.
    pub(crate) fn send(&self, requests: Requests<'_>) -> Result<(), Error> {
        self.send_for_echo(requests, |_| None::<()>).map(drop)
    }

    /// Sends named requests, and returns what `read` finds in the last echo.
    pub(crate) fn send_for_echo<T>(
        &self,
        requests: Requests<'_>,
        read: impl FnMut(Message<'_>) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.rtnetlink(|socket| Ok(requests.send(socket, read)))
            .map_err(|cause| cause.doing("open a socket", "in it"))
            .flatten()
            .map_err(|error| error.in_namespace(self))
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd()
    }
}

impl PartialEq for Netns {
    fn eq(&self, other: &Self) -> bool {
        self.is_clone_of(other) || self.id() == other.id()
    }
}

impl Eq for Netns {}

impl Hash for Netns {
    fn hash<S: Hasher>(&self, state: &mut S) {
        self.id().hash(state);
    }
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.label {
            Label::Anonymous => write!(f, "namespace {}", self.id()),
            Label::Named(name) => write!(f, "namespace `{name}`"),
            Label::Path(path) => write!(f, "namespace {}", path.display()),
            Label::Pid(pid) => write!(f, "namespace of process {pid}"),
            Label::Current => write!(f, "the current namespace {}", self.id()),
        }
    }
}

#[allow(clippy::missing_fields_in_debug)] // who it is says more than its sockets
impl fmt::Debug for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netns").field("id", &self.id()).field("label", &self.0.label).finish()
    }
}

/// Deletes the name, if the handle has one. The namespace itself ends with its last user.
impl Remove for Netns {
    fn remove(&self) -> Result<Removed, Error> {
        let Some(name) = self.name() else { return Ok(Removed::Deleted) };
        let delete = |file: &NameFile| file.delete(Some(self.id()), Some(self.fd()));
        let removed = match &*self.0.name_file.lock() {
            Some(file) => delete(file),
            None => NameFile::unowned(name).and_then(|file| delete(&file)),
        };
        removed.map_err(|cause| cause.doing("delete namespace", Quoted(name)))
    }

    fn kept(&self) {
        let Some(file) = self.0.name_file.lock().take() else { return };
        if let Err(error) = file.keep() {
            let error =
                Cause::from(error).doing("keep namespace", Quoted(self.name().unwrap_or("")));
            log::warn!("`reap` will delete this kept name after this process has ended: {error}");
        }
    }

    fn adopted(&self) {
        let Some(name) = self.name() else { return };
        let mut file = self.0.name_file.lock();
        if file.is_some() {
            return;
        }
        match NameFile::adopt(name) {
            Ok(Some(adopted)) => *file = Some(adopted),
            Ok(None) => log::debug!("the name {} has another owner", Quoted(name)),
            Err(cause) => {
                let error = cause.doing("own namespace", Quoted(name));
                log::warn!("`reap` will not find this name after this process has ended: {error}");
            }
        }
    }
}
