//! Every way to a network namespace that exists.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::sys::statfs::{FsType, NSFS_MAGIC, fstatfs};

use super::enter::inside;
use super::identity::NetnsId;
use super::named;
use super::open::{Label, Netns, Quoted};
use super::sockets::Sockets;
use crate::error::{Cause, Error};
use crate::fault;

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
}

/// The calling thread's namespace.
pub(super) fn own_file() -> Result<OwnedFd, Cause> {
    fault::system_call("open")?;
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

const NAMESPACES: FsType = NSFS_MAGIC;
const NOT_ONE: &str = "it is not a network namespace";

/// A name under `/run/netns`, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedNetns {
    /// The name.
    pub name: String,
    /// Which namespace it stands for; none where it is stale, a file left without its namespace.
    pub id: Option<NetnsId>,
}
