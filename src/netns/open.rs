//! The handle of a network namespace, and every way to one that exists.

use std::fmt;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::sys::statfs::{FsType, NSFS_MAGIC, fstatfs};

use super::enter::inside;
use super::identity::NetnsId;
use super::named;
use super::sockets::{NfTables, Sockets};
use super::sysctl::Held;
use crate::error::{Cause, Error};
use crate::fault;
use crate::netlink::{Protocol, Requests, Socket};
use crate::owned::sealed::Remove;
use crate::wire::message::Message;

/// A network namespace: a place that links, addresses, routes and rules are in.
///
/// Cheap to clone; clones share one set of sockets that were opened inside, so that no thread of the
/// program ever changes its namespace to talk to this one. Two handles are equal when they stand for the
/// same namespace. A handle keeps its namespace alive, whoever made it; dropping one deletes nothing.
///
/// Make one with [`Namespace`](crate::Namespace).
#[derive(Clone)]
pub struct Netns {
    inner: Arc<Inner>,
    label: Arc<Label>,
}

struct Inner {
    file: OwnedFd,
    id: NetnsId,
    sockets: Sockets,
    sysctls: Held,
}

/// How a namespace is called in texts, and what deleting it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Label {
    Anonymous,
    Named(String),
    Path(PathBuf),
    Pid(u32),
    Current,
}

impl Netns {
    /// The namespace the calling thread is in.
    ///
    /// # Errors
    ///
    /// Where `/proc` is not mounted or no netlink socket can be opened.
    pub fn current() -> Result<Self, Error> {
        let open = || {
            let file = own_file()?;
            Self::assemble(file, Label::Current, Sockets::open_here()?)
        };
        open().map_err(|cause| cause.doing("open", "the current namespace"))
    }

    /// A named one, as `ip netns` keeps them: `/run/netns/NAME`.
    ///
    /// # Errors
    ///
    /// Where there is none of that name, the name stands for no namespace any more (as after a reboot,
    /// or where the mount did not reach this mount namespace), or a privilege is missing.
    pub fn open(name: &str) -> Result<Self, Error> {
        named::check(name, "open namespace")?;
        Self::at(&named::path(name), Label::Named(name.to_owned()), "open namespace", &Quoted(name))
            .map_err(|error| {
                error.hint_on(Errno::EINVAL, || {
                    let path = named::path(name);
                    format!(
                        "{} is stale, a file left without its namespace: `ip netns delete {name}` removes it",
                        path.display()
                    )
                })
            })
    }

    /// The one that a file stands for: `/proc/PID/ns/net`, a bind mount of it.
    ///
    /// # Errors
    ///
    /// Where there is no such file, it stands for no network namespace, or a privilege is missing.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::at(path, Label::Path(path.to_owned()), "open namespace", &path.display())
    }

    /// The one a process is in.
    ///
    /// # Errors
    ///
    /// Where the process has ended ([`is_not_found`](Error::is_not_found)) or a privilege is missing.
    pub fn from_pid(pid: u32) -> Result<Self, Error> {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        Self::at(&path, Label::Pid(pid), "open namespace of process", &pid)
    }

    /// The one a process is in, by a pidfd, which never stands for another process by now.
    ///
    /// # Errors
    ///
    /// Where the process has ended ([`is_not_found`](Error::is_not_found)), the descriptor is no pidfd,
    /// or a privilege is missing: it takes `CAP_SYS_ADMIN`, and the right to look into that process.
    /// Source: setns(2), `pidfd_open(2)`.
    #[doc(alias = "pidfd_open")]
    pub fn from_pidfd(pidfd: impl AsFd) -> Result<Self, Error> {
        let pidfd = pidfd.as_fd();
        let open =
            inside(pidfd, || Self::assemble(own_file()?, Label::Anonymous, Sockets::open_here()?));
        open.flatten().map_err(|cause| match cause {
            // A namespace's own file would do for setns as well; EBADF: neither of the two.
            Cause::System(Errno::EINVAL | Errno::EBADF) => Cause::System(Errno::EINVAL)
                .doing("open namespace of", "a pidfd")
                .hint("it is not a pidfd, as pidfd_open(2) returns them"),
            cause => cause.doing("open namespace of", "a pidfd"),
        })
    }

    /// The one that an open file stands for.
    ///
    /// # Errors
    ///
    /// Where it stands for no network namespace, or a privilege is missing.
    pub fn from_fd(file: OwnedFd) -> Result<Self, Error> {
        Self::of_file(file, Label::Anonymous).map_err(|cause| {
            cause
                .doing("open namespace of", "a file descriptor")
                .hint_on(Errno::EINVAL, || NOT_ONE.into())
        })
    }

    /// The named ones, as `ip netns list`, in the order of their names.
    ///
    /// # Errors
    ///
    /// Where `/run/netns` is there but can't be read.
    pub fn list() -> Result<Vec<NamedNetns>, Error> {
        let list = named::list().map_err(|cause| cause.doing("list", named::DIRECTORY))?;
        Ok(list.into_iter().map(|(name, id)| NamedNetns { name, id }).collect())
    }

    fn at(
        path: &Path,
        label: Label,
        action: &'static str,
        object: &dyn fmt::Display,
    ) -> Result<Self, Error> {
        // Without O_NONBLOCK a FIFO of that name would hang us.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        nix::fcntl::open(path, flags, Mode::empty())
            .map_err(Cause::from)
            .and_then(|file| Self::of_file(file, label))
            .map_err(|cause| match cause {
                Cause::System(Errno::ENXIO | Errno::EINVAL) => {
                    Cause::System(Errno::EINVAL).doing(action, object).hint(NOT_ONE)
                }
                cause => cause.doing(action, object),
            })
    }

    fn of_file(file: OwnedFd, label: Label) -> Result<Self, Cause> {
        if fstatfs(&file)?.filesystem_type() != NAMESPACES {
            return Err(Errno::EINVAL.into());
        }
        // Entering answers EINVAL for a namespace of another kind.
        let sockets = inside(file.as_fd(), Sockets::open_here)??;
        Self::assemble(file, label, sockets)
    }

    pub(super) fn assemble(file: OwnedFd, label: Label, sockets: Sockets) -> Result<Self, Cause> {
        let id = NetnsId::of(&file)?;
        let inner = Arc::new(Inner { file, id, sockets, sysctls: Held::default() });
        Ok(Self { inner, label: Arc::new(label) })
    }

    /// The same namespace, with the same sockets, under a name.
    pub(super) fn relabeled(&self, label: Label) -> Self {
        Self { inner: Arc::clone(&self.inner), label: Arc::new(label) }
    }

    /// Its identity.
    pub fn id(&self) -> NetnsId {
        self.inner.id
    }

    /// Its name under `/run/netns`, if it was made or opened by one.
    pub fn name(&self) -> Option<&str> {
        match &*self.label {
            Label::Named(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn held_sysctls(&self) -> &Held {
        &self.inner.sysctls
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.inner.file.as_fd()
    }

    /// Uses a socket inside, for one exchange or more.
    pub(crate) fn route<T>(
        &self,
        exchange: impl FnOnce(&mut Socket) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        self.inner.sockets.with(Protocol::Route, self.fd(), exchange)
    }

    /// Uses a netfilter socket inside that owns nothing: for connection tracking, and to read.
    pub(crate) fn netfilter<T>(
        &self,
        exchange: impl FnOnce(&mut Socket) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        self.inner.sockets.with(Protocol::Netfilter, self.fd(), exchange)
    }

    /// Uses the `nf_tables` socket inside, which is always the same one: a table with the owner flag
    /// belongs to it.
    pub(crate) fn nf_tables<T>(
        &self,
        exchange: impl FnOnce(&mut NfTables) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        self.inner.sockets.nf_tables(self.fd(), exchange)
    }

    pub(super) fn sockets(&self) -> &Sockets {
        &self.inner.sockets
    }

    /// Reads a whole list, named `what` in errors.
    pub(crate) fn dump<T>(
        &self,
        what: &'static str,
        request: &RouteNetlinkMessage,
        read: impl FnMut(Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        self.route(|socket| socket.dump(request, read))
            .map_err(|cause| cause.doing("list", what).in_namespace(self))
    }

    /// Sends named requests and says, in an error, where they went.
    pub(crate) fn send(
        &self,
        requests: Requests<'_>,
        on_answer: impl FnMut(usize, Message<'_>),
    ) -> Result<(), Error> {
        let mut result = Ok(());
        self.route(|socket| {
            result = requests.send(socket, on_answer);
            Ok(())
        })
        .map_err(|cause| cause.doing("open a socket", "in it"))
        .and(result)
        .map_err(|error| error.in_namespace(self))
    }
}

/// The calling thread's namespace.
pub(super) fn own_file() -> Result<OwnedFd, Cause> {
    fault::system_call("open")?;
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

const NAMESPACES: FsType = NSFS_MAGIC;
const NOT_ONE: &str = "it is not a network namespace";

/// A name in the backticks that texts put around names.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd()
    }
}

impl PartialEq for Netns {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
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
        match &*self.label {
            Label::Anonymous => write!(f, "namespace {}", self.id()),
            Label::Named(name) => write!(f, "namespace `{name}`"),
            Label::Path(path) => write!(f, "namespace {}", path.display()),
            Label::Pid(pid) => write!(f, "namespace of process {pid}"),
            Label::Current => write!(f, "the current namespace {}", self.id()),
        }
    }
}

impl fmt::Debug for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netns").field("id", &self.inner.id).field("label", &self.label).finish()
    }
}

/// Deletes the name, where there is one. The namespace itself goes when nobody holds it any more.
impl Remove for Netns {
    fn remove(&self) -> Result<(), Error> {
        match self.name() {
            Some(name) => named::delete(name, self.id())
                .map_err(|cause| cause.doing("delete namespace", Quoted(name))),
            None => Ok(()),
        }
    }

    fn kept(&self) {
        self.untag_name();
    }
}

/// A name under `/run/netns`, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedNetns {
    /// The name.
    pub name: String,
    /// Which namespace it stands for; none where it is stale, a file left without its namespace.
    pub id: Option<NetnsId>,
}
