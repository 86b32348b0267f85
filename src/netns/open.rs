//! Opening a network namespace: the current one, by name, path, process or descriptor.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::enter::{new_place, place_of_process};
use super::handle::Netns;
use super::identity::NetnsId;
use super::label::{Label, Quoted};
use super::name_file;
use super::named;
use super::socket_pool;
use crate::error::{Cause, Error, SYS_ADMIN};
use crate::netlink::{Protocol, Socket};
use crate::sys::NewSocket;
use crate::sys::file::{self, OFlag};
use crate::sys::namespace;

impl Netns {
    /// Opens the namespace that the calling thread is in.
    ///
    /// # Errors
    ///
    /// `/proc` is not mounted, or no netlink socket can be opened.
    pub fn current() -> Result<Self, Error> {
        let open = || {
            let file = namespace::own()?;
            let route = Socket::open(Protocol::Route)?;
            Self::of_existing(file, Label::Current, route)
        };
        open().map_err(|cause| cause.doing("open", "the current namespace"))
    }

    /// Opens a named namespace, as `ip netns` keeps them: `/run/netns/NAME`.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if there is no such name.
    /// - `is_invalid_input()` if the name refers to no namespace, as after a reboot, or if the
    ///   mount is not visible in this mount namespace.
    /// - `is_permission_denied()` without `CAP_SYS_ADMIN`, unless the thread is inside already.
    /// - ELOOP for a symbolic link, which [`from_path`](Self::from_path) follows.
    pub fn open(name: &str) -> Result<Self, Error> {
        named::check(name, "open namespace")?;
        let label = Label::Named(name.to_owned());
        Self::at(&named::path(name), OFlag::O_NOFOLLOW, label, "open namespace", &Quoted(name))
            .map_err(|error| match error.errno() {
                Some(Errno::ELOOP) => error.hint(format!(
                    "it is a symbolic link, which leads out of {}: Netns::from_path follows it",
                    named::DIRECTORY
                )),
                Some(Errno::EINVAL) if named::is_stale(name) => error.hint(named::stale(name)),
                Some(Errno::ENOENT) => {
                    error.hint(format!("there is no such name in {}", named::DIRECTORY))
                }
                _ => error,
            })
    }

    /// Opens the namespace that a file refers to: `/proc/PID/ns/net`, or a bind mount of it.
    ///
    /// # Errors
    ///
    /// The file is missing, it refers to no network namespace, or `CAP_SYS_ADMIN` is missing, as
    /// for [`open`](Self::open).
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let label = Label::Path(path.to_owned());
        Self::at(path, OFlag::empty(), label, "open namespace", &path.display())
    }

    /// Opens the namespace that a process is in.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the process has ended
    /// - `is_permission_denied()` without the right to inspect the process (ptrace(2)), or without
    ///   `CAP_SYS_ADMIN` to enter
    pub fn from_pid(pid: u32) -> Result<Self, Error> {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        let action = "open namespace of process";
        Self::at(&path, OFlag::empty(), Label::Pid(pid), action, &pid).map_err(|error| {
            let error = error.hint_on(Errno::EACCES, || INTO_PROCESS.into());
            if error.is_not_found() { error.hint(ENDED) } else { error }
        })
    }

    /// Opens the namespace of a process by pidfd. Unlike a process id, a pidfd is never reused.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the process has ended
    /// - An error if the descriptor is no pidfd
    /// - `is_permission_denied()` without the right to inspect the process, or without
    ///   `CAP_SYS_ADMIN`
    ///
    /// Source: setns(2), `pidfd_open(2)`.
    #[doc(alias = "pidfd_open")]
    pub fn from_pidfd(pidfd: impl AsFd) -> Result<Self, Error> {
        let pidfd = pidfd.as_fd();
        let open = || {
            let (file, socket) = place_of_process(pidfd, NewSocket::ROUTE)?;
            let route = Socket::of(Protocol::Route, socket)?;
            Self::of_existing(file, Label::Anonymous, route)
        };
        open().map_err(|cause| match cause {
            // setns would also accept the file of a namespace. EBADF: the descriptor is neither.
            Cause::System(Errno::EINVAL | Errno::EBADF) => Cause::System(Errno::EINVAL)
                .doing("open namespace of", "a pidfd")
                .hint("it is not a pidfd, as pidfd_open(2) returns them"),
            cause => cause
                .doing("open namespace of", "a pidfd")
                .hint_on(Errno::ESRCH, || ENDED.into())
                .hint_on(Errno::EPERM, || format!("{SYS_ADMIN}; and {INTO_PROCESS}")),
        })
    }

    /// Opens the namespace that an open file refers to.
    ///
    /// # Errors
    ///
    /// The file refers to no network namespace, or `CAP_SYS_ADMIN` is missing, as for
    /// [`open`](Self::open).
    pub fn from_fd(file: OwnedFd) -> Result<Self, Error> {
        Self::of_file(file, Label::Anonymous).map_err(|cause| {
            cause
                .doing("open namespace of", "a file descriptor")
                .hint_on(Errno::EINVAL, || NOT_ONE.into())
        })
    }

    /// Lists the named namespaces, as `ip netns list`, in the order of their names.
    ///
    /// # Errors
    ///
    /// `/run/netns` exists but can't be read.
    pub fn list() -> Result<Vec<NamedNetns>, Error> {
        let list = named::list().map_err(|cause| cause.doing("list", named::DIRECTORY))?;
        Ok(list.into_iter().map(|(name, id)| NamedNetns { name, id }).collect())
    }

    /// Deletes a stale name: a file under `/run/netns` without a namespace mounted on it. A crash
    /// can leave such a file, which prevents a new namespace of this name. Mounts on the file in
    /// other mount namespaces are not detected and disappear too, as with `ip netns delete`, unless
    /// the name has a living owner.
    ///
    /// ```
    /// use netloom::{Namespace, Netns};
    /// # netloom::sandbox::enter()?;
    /// # drop(Namespace::named("other").create()?);
    ///
    /// std::fs::write("/run/netns/green", "").unwrap();
    /// assert!(Namespace::named("green").create().is_err());
    /// Netns::delete_stale("green")?;
    /// let _green = Namespace::named("green").create()?;
    /// assert!(Netns::delete_stale("green").is_err(), "it lives");
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if there is no such name
    /// - `is_already_exists()` if the name is not stale, or its owner lives
    #[doc(alias = "ip netns delete")]
    pub fn delete_stale(name: &str) -> Result<(), Error> {
        const ACTION: &str = "delete stale name";
        named::check(name, ACTION)?;
        name_file::delete_stale(name).map_err(|cause| {
            cause
                .doing(ACTION, Quoted(name))
                .hint_on(Errno::ENOENT, || format!("there is no such name in {}", named::DIRECTORY))
                .hint_on(Errno::EEXIST, || {
                    format!("it is not stale: {}", named::what_is_there(name))
                })
        })
    }

    fn at(
        path: &Path,
        follow: OFlag,
        label: Label,
        action: &'static str,
        object: &dyn fmt::Display,
    ) -> Result<Self, Error> {
        named::open_file(path, follow)
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
        if !file::is_namespace(file::fstatfs(&file)?) {
            return Err(Errno::EINVAL.into());
        }
        // Entering a namespace of another kind fails with EINVAL.
        let route = socket_pool::open(Protocol::Route, file.as_fd())?;
        Self::of_existing(file, label, route)
    }
}

const ENDED: &str = "no process has that id: it has ended";
const INTO_PROCESS: &str =
    "this needs the right to look into that process: to be its user, or CAP_SYS_PTRACE";
const NOT_ONE: &str = "it is not a network namespace";

/// Creates a namespace and its first socket.
pub(super) fn fresh() -> Result<Netns, Cause> {
    let (file, socket) = new_place(NewSocket::ROUTE)?;
    Ok(Netns::born(file, Socket::of(Protocol::Route, socket)?))
}

/// A name under `/run/netns`, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct NamedNetns {
    /// The name.
    pub name: String,
    /// The namespace that the name refers to. `None` for a stale name: a file without a namespace.
    pub id: Option<NetnsId>,
}
