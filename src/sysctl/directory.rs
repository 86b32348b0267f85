//! Access to a namespace's sysctls: through a directory that is opened once, or through netlink for
//! the sysctls that netlink covers.

use std::os::fd::OwnedFd;
use std::sync::{Arc, MutexGuard, OnceLock};

use nix::errno::Errno;

use super::key::{Key, KeyPath, of_link};
use crate::error::{Cause, Error, NET_ADMIN, takes};
use crate::netlink::{Member, is_unavailable};
use crate::netns::{Lock, Netns};
use crate::sys::file::{self, Mode, OFlag};
use crate::sys::process::PerProcess;
use crate::wire::link::WhichLink;

/// A directory below `/proc/sys/net`, opened inside its namespace at the first use. Sysctls that
/// netlink covers do not need it.
///
/// An open descriptor keeps working after a chroot, or if `/proc` is unmounted or hidden by a
/// mount. A spare descriptor is reserved, so that sysctls can be restored even if the process has
/// no descriptor left.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) netns: Netns,
    top: String,
    file: OnceLock<OwnedFd>,
    /// The socket that holds the lock, opened when the lock is taken for the first time.
    lock: PerProcess<Option<Member>>,
    spare: PerProcess<Option<OwnedFd>>,
}

const READ_ONLY: &str = "nobody may write it in this namespace: it has one value for the machine, which \
     is set in the first network namespace";
const UNKNOWN: &str = "there is no such setting in this namespace, or /proc is not mounted";

/// A sysctl that the kernel changes along with a switch such as `all/forwarding`, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Follower {
    pub(super) key: String,
    pub(super) path: String,
    pub(super) value: String,
}

/// A guard for the lock of the namespace's sysctls.
pub(super) struct SettingsLock<'a> {
    member: MutexGuard<'a, Option<Member>>,
    /// Released after the lock, so that other threads of this process wait until then.
    _turn: MutexGuard<'a, ()>,
}

impl Drop for SettingsLock<'_> {
    fn drop(&mut self) {
        let Some(member) = &*self.member else { return };
        if let Err(cause) = member.set_groups(0) {
            // Closing the socket leaves the group as well, which releases the lock.
            log::debug!("the lock of settings: {cause}");
            *self.member = None;
        }
    }
}

impl Directory {
    /// Returns the directory of this name, such as `ipv4`.
    pub(super) fn of(netns: &Netns, top: &str) -> Arc<Self> {
        let (lock, spare) = (PerProcess::new(None), PerProcess::new(None));
        let (netns, top) = (netns.clone(), top.to_owned());
        Arc::new(Self { netns, top, file: OnceLock::new(), lock, spare })
    }

    fn keep_spare(&self, file: &OwnedFd) -> Result<(), Cause> {
        *self.spare.lock() = Some(file.try_clone()?);
        Ok(())
    }

    /// Runs `work`, which needs a descriptor. If the process has no descriptor left, the spare one
    /// is closed first.
    pub(super) fn with_spare<T>(&self, work: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        let done = work();
        let is_short = |error: &Error| matches!(error.errno(), Some(Errno::EMFILE | Errno::ENFILE));
        if !done.as_ref().is_err_and(is_short) {
            return done;
        }
        *self.spare.lock() = None;
        let done = work();
        self.file.get().map(|file| self.keep_spare(file).ok());
        done
    }

    /// Takes the lock of the namespace's sysctls. Returns `None` if this kernel or process cannot
    /// use the lock: owners are then not counted across programs.
    pub(super) fn lock(&self, key: &Key) -> Result<Option<SettingsLock<'_>>, Error> {
        let mut socket = self.lock.lock();
        let mut take = || {
            let member = match socket.take() {
                Some(member) => member,
                None => self.netns.lock_socket()?,
            };
            let turn = self.netns.take_own(Lock::Settings, &member)?;
            Ok((member, turn))
        };
        match take() {
            Err(cause) if is_unavailable(&cause) => Ok(None),
            Err(cause) => Err(self.explain(cause, &key.name)),
            Ok((member, turn)) => {
                *socket = Some(member);
                Ok(Some(SettingsLock { member: socket, _turn: turn }))
            }
        }
    }

    pub(super) fn read(&self, key: &Key) -> Result<String, Error> {
        match key.number() {
            Some((link, number)) => Ok(link.ipv4_setting(number)?.to_string()),
            None => self
                .path(key)
                .and_then(|path| self.read_path(&path))
                .map_err(|cause| self.explain(cause, &key.name)),
        }
    }

    pub(super) fn write(&self, key: &Key, value: &str) -> Result<(), Error> {
        let number: Result<i32, _> = value.parse();
        match (key.number(), number) {
            (Some((link, number)), Ok(value)) => {
                link.set_ipv4_setting(number, value.cast_unsigned())
            }
            (Some(_), Err(_)) => Err(self.explain(Errno::EINVAL.into(), &key.name)),
            (None, _) => self
                .path(key)
                .and_then(|path| self.write_path(&path, value))
                .map_err(|cause| self.explain(cause, &key.name)),
        }
    }

    /// Converts a cause to an error, with a hint.
    pub(super) fn explain(&self, cause: Cause, name: &str) -> Error {
        let error = cause.doing("change sysctl", name).in_namespace(&self.netns);
        error
            .hint_on(Errno::ENOENT, || UNKNOWN.into())
            .hint_on(Errno::EINVAL, || "the kernel refuses this value".into())
    }

    fn read_path(&self, path: &str) -> Result<String, Cause> {
        let file = self.at(path, OFlag::O_RDONLY)?;
        let mut bytes = vec![0; 1024];
        loop {
            // A bitmap such as reserved ports must be read with one call: the kernel returns
            // nothing for a second one.
            let length = file::read_start(&file, &mut bytes)?;
            match bytes.get(..length) {
                Some(text) if length < bytes.len() => {
                    return Ok(String::from_utf8_lossy(text).trim_end().to_owned());
                }
                _ => bytes.resize(2 * bytes.len(), 0),
            }
        }
    }

    pub(super) fn write_path(&self, path: &str, value: &str) -> Result<(), Cause> {
        // The kernel ignores a write of zero bytes.
        let value = if value.is_empty() { "\n" } else { value };
        let write = || Ok(file::write(self.at(path, OFlag::O_WRONLY)?, value.as_bytes())?);
        write().map_err(|cause: Cause| match cause {
            Cause::System(Errno::EACCES | Errno::EPERM) if self.is_read_only(path) => {
                Cause::Denied(Errno::EACCES, READ_ONLY)
            }
            Cause::System(errno) => takes(NET_ADMIN)(errno),
            cause => cause,
        })
    }

    /// Returns whether not even root can write the sysctl in this namespace.
    fn is_read_only(&self, path: &str) -> bool {
        let file = self.at(path, OFlag::O_PATH).ok();
        let file = file.and_then(|file| file::fstat(file).ok());
        file.is_some_and(|file| file.st_mode & 0o222 == 0)
    }

    /// Returns the path of a sysctl below its directory, with the current name of its link.
    fn path(&self, key: &Key) -> Result<String, Cause> {
        let (tree, link, name) = match &key.place {
            KeyPath::Namespace(path) => return Ok(path.clone()),
            KeyPath::Link { tree, link, name } => (tree, link, name),
        };
        let which = WhichLink::At(link.index().get());
        let of = self.netns.look_up_link(which, |view| Some(view.name()?.into_owned()))?;
        Ok(format!("{tree}/{of}/{name}"))
    }

    /// Writes the value of a follower. Ignores that its link is gone.
    pub(super) fn write_follower(&self, follower: &Follower) -> Result<(), Cause> {
        match self.write_path(&follower.path, &follower.value) {
            Err(cause) if is_gone(&cause) => Ok(()),
            done => done,
        }
    }

    fn at(&self, path: &str, flags: OFlag) -> Result<OwnedFd, Cause> {
        let directory = if let Some(file) = self.file.get() {
            file
        } else {
            let file = self.netns.open_sysctl_directory(&self.top)?;
            self.keep_spare(&file)?;
            self.file.get_or_init(|| file)
        };
        Ok(file::open_at(directory, path, flags, Mode::empty())?)
    }

    /// Reads all sysctls that the kernel changes along with a switch: the default for new links,
    /// each link's own, and for IPv4 forwarding `all/accept_redirects`.
    pub(super) fn followers(&self, switch: &Key) -> Result<Vec<Follower>, Error> {
        let Some(name) = switch.as_switch() else { return Ok(Vec::new()) };
        let in_namespace = |path: String| (format!("{}/{path}", self.top), path);
        let mut all = vec![in_namespace(format!("conf/default/{name}"))];
        if self.top == "ipv4" {
            all.push(in_namespace("conf/all/accept_redirects".to_owned()));
        }
        all.extend(self.netns.links()?.into_iter().map(|link| {
            let key = of_link(&self.top, "conf", link.index.get(), name);
            (key, format!("conf/{}/{name}", link.name))
        }));
        let mut found = Vec::new();
        for (key, path) in all {
            match self.read_path(&path) {
                Ok(value) => found.push(Follower { key, path, value }),
                // A link may disappear at any moment, or may lack the protocol.
                Err(cause) if is_gone(&cause) => {}
                Err(cause) => return Err(self.explain(cause, &key)),
            }
        }
        Ok(found)
    }
}

/// Returns whether a sysctl is gone, for example with its link.
pub(super) fn is_gone(cause: &Cause) -> bool {
    matches!(cause.errno(), Some(Errno::ENOENT | Errno::ENODEV))
}
