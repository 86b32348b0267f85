//! The way to a namespace's settings: a directory that is opened once, and netlink for what netlink
//! knows.

use std::os::fd::OwnedFd;
use std::sync::{Arc, MutexGuard, OnceLock};

use nix::errno::Errno;

use super::key::{Key, Place, of_link};
use crate::error::{Cause, Error, NET_ADMIN, takes};
use crate::netlink::{Member, is_unavailable};
use crate::netns::{Lock, Netns};
use crate::sys::file::{self, Mode, OFlag};
use crate::sys::process::PerProcess;
use crate::wire::link::WhichLink;

/// A directory below `/proc/sys/net`, opened in its namespace at its first use. Netlink reads and
/// writes some settings without it.
///
/// A chroot, an unmounted `/proc` or a mount over it doesn't affect an open descriptor. A spare
/// descriptor is reserved, so that settings can be restored after the process has used up all
/// others.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) netns: Netns,
    top: String,
    file: OnceLock<OwnedFd>,
    /// The socket that takes the lock, once it was taken.
    lock: PerProcess<Option<Member>>,
    spare: PerProcess<Option<OwnedFd>>,
}

const READ_ONLY: &str = "nobody may write it in this namespace: it has one value for the machine, which \
     is set in the first network namespace";
const UNKNOWN: &str = "there is no such setting in this namespace, or /proc is not mounted";

/// A setting that the kernel sets along with a switch, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Follower {
    pub(super) key: String,
    pub(super) path: String,
    pub(super) value: String,
}

/// The lock of the namespace's settings, until this is dropped.
pub(super) struct SettingsLock<'a> {
    member: MutexGuard<'a, Option<Member>>,
    /// Ends after the lock is released.
    _turn: MutexGuard<'a, ()>,
}

impl Drop for SettingsLock<'_> {
    fn drop(&mut self) {
        let Some(member) = &*self.member else { return };
        if let Err(cause) = member.set_groups(0) {
            // Closed instead, which leaves the group as well.
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

    /// Runs `work`, which needs a descriptor. Frees the spare descriptor for it if no other is
    /// left.
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

    /// Takes the lock of the namespace's settings. None if there can be none: then owners are not
    /// counted across programs.
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

    /// Returns the error for a cause, with a hint for the user.
    pub(super) fn explain(&self, cause: Cause, name: &str) -> Error {
        let error = cause.doing("change sysctl", name).in_namespace(&self.netns);
        error
            .hint_on(Errno::ENOENT, || UNKNOWN.into())
            .hint_on(Errno::EINVAL, || "the kernel does not take this value for it".into())
    }

    fn read_path(&self, path: &str) -> Result<String, Cause> {
        let file = self.at(path, OFlag::O_RDONLY)?;
        let mut bytes = vec![0; 1024];
        loop {
            // In one call: of a bitmap, such as reserved ports, the kernel gives no second part.
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
        // The kernel takes a write of no bytes for none.
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

    /// Returns whether the setting can't be written in this namespace, not even by root.
    fn is_read_only(&self, path: &str) -> bool {
        let file = self.at(path, OFlag::O_PATH).ok();
        let file = file.and_then(|file| file::fstat(file).ok());
        file.is_some_and(|file| file.st_mode & 0o222 == 0)
    }

    /// The path of a setting below its directory, by the name that its link has now.
    fn path(&self, key: &Key) -> Result<String, Cause> {
        let (tree, link, name) = match &key.place {
            Place::Namespace(path) => return Ok(path.clone()),
            Place::Link { tree, link, name } => (tree, link, name),
        };
        let which = WhichLink::At(link.index().get());
        let of = self.netns.look_up_link(which, |view| Some(view.name()?.into_owned()))?;
        Ok(format!("{tree}/{of}/{name}"))
    }

    /// Writes a follower's value. A link may have gone meanwhile.
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

    /// Reads all that the kernel sets along with a switch: what new links start with, each link's
    /// own, and for IPv4 forwarding `all/accept_redirects`.
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
                // A link may go at any moment, and need not have the protocol.
                Err(cause) if is_gone(&cause) => {}
                Err(cause) => return Err(self.explain(cause, &key)),
            }
        }
        Ok(found)
    }
}

/// Reports whether a setting is gone, with its link say.
pub(super) fn is_gone(cause: &Cause) -> bool {
    matches!(cause.errno(), Some(Errno::ENOENT | Errno::ENODEV))
}
