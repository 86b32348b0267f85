//! The set-up of a command between its fork and its exec: the namespace, the mounts, the user.
//! After the fork, it only makes system calls on prepared data.

use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{self, Path, PathBuf};

use nix::errno::Errno;

use super::enter::home_from;
use super::handle::Netns;
use crate::error::{Cause, Error, SYS_ADMIN};
use crate::sys::file::{self, AT_FDCWD, Mode, OFlag};
use crate::sys::hook::Failed;
use crate::sys::namespace::Target;
use crate::sys::setup::{
    CloneFlags, Gid, MntFlags, MsFlags, Pid, Uid, User, chdir, die_with, mount, umount, unshare,
};

/// Everything that the set-up needs, prepared before the fork.
#[derive(Debug)]
pub(super) struct Entry {
    namespace: Netns,
    /// True if the calling thread is in the namespace.
    is_here: bool,
    texts: Vec<Text>,
    /// The files of `/etc/netns/NAME`, and the file that each replaces.
    files: Vec<(CString, CString)>,
    user: User,
    /// The process whose death must kill the command.
    parent: Option<Pid>,
    /// The working directory. std would enter it before the mounts are made, and would stay below
    /// the old /sys.
    directory: Option<CString>,
}

/// A file given as a value.
#[derive(Debug)]
struct Text {
    contents: Vec<u8>,
    /// The path that the contents are written to.
    source: CString,
    /// The path of the file that they replace.
    target: CString,
}

// The numbers of the steps, for `Failed::step`.
const NETWORK: u8 = 0;
const MOUNTS: u8 = 1;
const TEXT: u8 = 2;
const SYSFS: u8 = 3;
const FILE: u8 = 4;
const USER: u8 = 5;
const DIRECTORY: u8 = 6;
const PARENT: u8 = 7;

impl Entry {
    /// Checks the command and prepares all data, before the fork.
    pub(super) fn prepare(
        namespace: &Netns,
        texts: &[(PathBuf, String)],
        user: &User,
        directory: Option<&Path>,
        parent: Option<Pid>,
    ) -> Result<Self, Error> {
        let own = texts.iter().enumerate().map(|(place, (path, contents))| {
            let refuse = |reason: &str| {
                Error::invalid("replace file", path.display(), reason).in_namespace(namespace)
            };
            if !path.is_absolute() || !path.is_file() {
                return Err(refuse("it has to be there to be replaced, as an absolute path"));
            }
            let target = c_path(path).ok_or_else(|| refuse("a path can't contain NUL"))?;
            let source = CString::new(format!("/sys/{place}")).unwrap_or_default();
            Ok(Text { contents: contents.clone().into_bytes(), source, target })
        });
        let replaced =
            |target: &CStr| texts.iter().any(|(path, _)| c_path(path).as_deref() == Some(target));
        let mut files = namespace.name().map(overlays).unwrap_or_default();
        files.retain(|(_, target)| !replaced(target));
        let home = home_from(namespace.fd()).map_err(|cause| cause.doing("enter", namespace))?;
        Ok(Self {
            namespace: namespace.clone(),
            is_here: home.is_none(),
            texts: own.collect::<Result<_, _>>()?,
            files,
            user: user.clone(),
            parent,
            directory: directory.map(into_directory).transpose()?,
        })
    }

    /// Performs all steps, after the fork.
    pub(super) fn enter(&self) -> Result<(), Failed> {
        if !self.is_here {
            let namespace = Target::Open(self.namespace.as_fd());
            namespace.enter().map_err(Failed::at(NETWORK))?;
        }
        let needs_mounts = !self.is_here || !self.texts.is_empty() || !self.files.is_empty();
        match private_mounts() {
            // An ordinary user's command needs no mount namespace: it sees the caller's /sys.
            Err(Errno::EPERM) if !needs_mounts => {}
            mounts => {
                mounts.map_err(Failed::at(MOUNTS))?;
                self.furnish()?;
            }
        }
        self.user.assume().map_err(Failed::at(USER))?;
        // Enter the directory as the new user, who may lack access to it.
        if let Some(directory) = &self.directory {
            chdir(directory.as_c_str()).map_err(Failed::at(DIRECTORY))?;
        }
        // The change of user clears this setting, so it follows.
        self.parent.map_or(Ok(()), die_with).map_err(Failed::at(PARENT))
    }

    fn furnish(&self) -> Result<(), Failed> {
        self.mount_texts()?;
        mount_sysfs().map_err(Failed::at(SYSFS))?;
        for (place, (source, target)) in self.files.iter().enumerate() {
            bind(source, target).map_err(|errno| Failed { step: FILE, place, errno })?;
        }
        Ok(())
    }

    /// Writes the texts to a file system that no other process sees. The kernel frees it with the
    /// last mount.
    fn mount_texts(&self) -> Result<(), Failed> {
        if self.texts.is_empty() {
            return Ok(());
        }
        let nothing = None::<&CStr>;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some(c"netloom"), c"/sys", Some(c"tmpfs"), flags, nothing)
            .map_err(Failed::at(TEXT))?;
        for (place, text) in self.texts.iter().enumerate() {
            text.write()
                .and_then(|()| bind(&text.source, &text.target))
                .map_err(|errno| Failed { step: TEXT, place, errno })?;
        }
        umount(c"/sys", MntFlags::MNT_DETACH).map_err(Failed::at(TEXT))
    }

    /// Converts a refused step to an error.
    pub(super) fn explain(&self, failed: Failed) -> Error {
        let shown = |path: Option<&CString>| {
            path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let text = || shown(self.texts.get(failed.place).map(|text| &text.target));
        let file = || shown(self.files.get(failed.place).map(|(_, target)| target));
        let cause = Cause::from(failed.errno);
        let error = match failed.step {
            NETWORK => {
                let error = cause.doing("enter", &self.namespace);
                return error.hint_on(Errno::EPERM, || SYS_ADMIN.into());
            }
            MOUNTS => {
                cause.doing("make", "a mount namespace").hint_on(Errno::EPERM, || SYS_ADMIN.into())
            }
            TEXT => cause.doing("replace file", text()),
            SYSFS => cause.doing("mount", "/sys"),
            FILE => cause.doing("replace file", file()),
            USER => cause
                .doing("become", self.shown_user())
                .hint_on(Errno::EINVAL, || NOBODY.into())
                .hint_on(Errno::EPERM, || "this needs CAP_SETUID and CAP_SETGID".into()),
            DIRECTORY => cause.doing("work in", shown(self.directory.as_ref())),
            _ => cause.doing("start a command for", "a process that has ended"),
        };
        error.in_namespace(&self.namespace)
    }

    fn shown_user(&self) -> String {
        let shown = |id: Option<u32>| id.map_or("the same".into(), |id| id.to_string());
        let (uid, gid) = (self.user.uid.map(Uid::as_raw), self.user.gid.map(Gid::as_raw));
        format!("user {}, group {}", shown(uid), shown(gid))
    }
}

const NOBODY: &str =
    "one of the ids means nobody in this user namespace (/proc/self/uid_map, gid_map)";

impl Text {
    fn write(&self) -> Result<(), Errno> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
        let mode = Mode::from_bits_truncate(0o644);
        let file = file::open_at(AT_FDCWD, self.source.as_c_str(), flags, mode)?;
        // Set the mode explicitly, because the umask may limit it.
        file::set_mode(&file, mode)?;
        file::write(&file, &self.contents)
    }
}

fn private_mounts() -> Result<(), Errno> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let nothing = None::<&CStr>;
    mount(nothing, c"/", nothing, MsFlags::MS_SLAVE | MsFlags::MS_REC, nothing)
}

fn mount_sysfs() -> Result<(), Errno> {
    match mount(Some(c"sysfs"), c"/sys", Some(c"sysfs"), MsFlags::empty(), None::<&CStr>) {
        // The kernel refuses a new sysfs if a container hides parts of /sys. EBUSY: the right /sys
        // is mounted already.
        Err(Errno::EPERM | Errno::ENOENT | Errno::EBUSY) => Ok(()),
        result => result,
    }
}

fn bind(source: &CStr, target: &CStr) -> Result<(), Errno> {
    mount(Some(source), target, None::<&CStr>, MsFlags::MS_BIND, None::<&CStr>)
}

/// Lists the files of `/etc/netns/NAME` that replace files of `/etc`, as `ip netns exec` does.
fn overlays(name: &str) -> Vec<(CString, CString)> {
    let entries =
        file::read_dir(Path::new("/etc/netns").join(name)).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let target = Path::new("/etc").join(entry.file_name());
            target.exists().then(|| Some((c_path(&entry.path())?, c_path(&target)?))).flatten()
        })
        .collect()
}

/// Makes a relative path absolute. The command gets another /sys, so a relative path below the
/// caller's /sys would stay in the old one.
fn into_directory(path: &Path) -> Result<CString, Error> {
    let refuse = |cause: Cause| cause.doing("work in", path.display());
    let whole = path::absolute(path).map_err(|error| refuse(error.into()))?;
    c_path(&whole)
        .ok_or_else(|| Error::invalid("work in", path.display(), "a path can't contain NUL"))
}

fn c_path(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_bytes()).ok()
}
