//! The set-up of a command between its fork and its exec: the namespace, the mounts, the user.
//! After the fork, it only makes system calls on prepared data.

use std::ffi::{CStr, CString};
use std::fs;
use std::io::{PipeWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{self, Path, PathBuf};
use std::process;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags};
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Pid, Uid};

use super::enter::home_from;
use super::handle::Netns;
use crate::error::{Cause, Error, SYS_ADMIN};
use crate::sys::namespace;
use crate::sys::setup::{
    become_user, chdir, die_with, fchmod, mount, open, umount2, unshare, write,
};

/// The user and groups of a command.
#[derive(Debug, Clone, Default)]
pub(super) struct User {
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) groups: Option<Vec<u32>>,
}

/// Everything that the set-up needs, prepared before the fork.
#[derive(Debug)]
pub(super) struct Entry {
    namespace: Netns,
    /// True if the calling thread is in the namespace.
    is_here: bool,
    texts: Vec<Text>,
    /// The files of `/etc/netns/NAME`, and the file that each replaces.
    files: Vec<(CString, CString)>,
    uid: Option<Uid>,
    gid: Option<Gid>,
    groups: Option<Vec<Gid>>,
    /// The process whose death kills the command.
    parent: Option<Pid>,
    /// The working directory. Std would enter it before the mounts are made, and so below another
    /// /sys.
    directory: Option<CString>,
    /// The pipe for the step that failed.
    report: Option<PipeWriter>,
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

/// The failed step, sent through the pipe with the index of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Step {
    Network,
    Mounts,
    Text,
    Sysfs,
    File,
    User,
    Parent,
    Directory,
}

const STEPS: [Step; 8] = [
    Step::Network,
    Step::Mounts,
    Step::Text,
    Step::Sysfs,
    Step::File,
    Step::User,
    Step::Parent,
    Step::Directory,
];

type Failure = (Step, usize, Errno);

impl Entry {
    /// Refuses what can be known wrong before the fork.
    pub(super) fn prepare(
        namespace: &Netns,
        texts: &[(PathBuf, String)],
        user: &User,
        directory: Option<&Path>,
        dies_with_us: bool,
        report: PipeWriter,
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
        let parent = dies_with_us.then(|| Pid::from_raw(process::id().cast_signed()));
        let home = home_from(namespace.fd()).map_err(|cause| cause.doing("enter", namespace))?;
        Ok(Self {
            namespace: namespace.clone(),
            is_here: home.is_none(),
            texts: own.collect::<Result<_, _>>()?,
            files,
            uid: user.uid.map(Uid::from_raw),
            gid: user.gid.map(Gid::from_raw),
            groups: user.groups.clone().map(|all| all.into_iter().map(Gid::from_raw).collect()),
            parent,
            directory: directory.map(into_directory).transpose()?,
            report: Some(report),
        })
    }

    /// Performs all steps, after the fork.
    pub(super) fn enter(&self) -> Result<(), Errno> {
        self.steps().map_err(|(step, place, errno)| {
            let place = u8::try_from(place).unwrap_or(u8::MAX);
            // Without the report, the parent gets only the errno.
            self.report.as_ref().map(|mut report| report.write_all(&[step as u8, place]));
            errno
        })
    }

    fn steps(&self) -> Result<(), Failure> {
        let at = |step| move |errno| (step, 0, errno);
        if !self.is_here {
            namespace::move_to(self.namespace.as_fd()).map_err(at(Step::Network))?;
        }
        let needs_mounts = !self.is_here || !self.texts.is_empty() || !self.files.is_empty();
        match private_mounts() {
            // A command of an ordinary user sees the /sys that is there.
            Err(Errno::EPERM) if !needs_mounts => {}
            mounts => {
                mounts.map_err(at(Step::Mounts))?;
                self.furnish()?;
            }
        }
        let user = become_user(self.uid, self.gid, self.groups.as_deref());
        user.map_err(at(Step::User))?;
        // As that user: a directory that is closed to it is no place for its command.
        if let Some(directory) = &self.directory {
            chdir(directory.as_c_str()).map_err(at(Step::Directory))?;
        }
        // After the change of user, which clears it.
        self.parent.map_or(Ok(()), die_with).map_err(at(Step::Parent))
    }

    fn furnish(&self) -> Result<(), Failure> {
        self.mount_texts()?;
        mount_sysfs().map_err(|errno| (Step::Sysfs, 0, errno))?;
        for (place, (source, target)) in self.files.iter().enumerate() {
            bind(source, target).map_err(|errno| (Step::File, place, errno))?;
        }
        Ok(())
    }

    /// Writes the files to a file system that no other process sees. It ends with its last file.
    fn mount_texts(&self) -> Result<(), Failure> {
        if self.texts.is_empty() {
            return Ok(());
        }
        let nothing = None::<&CStr>;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some(c"netloom"), c"/sys", Some(c"tmpfs"), flags, nothing)
            .map_err(|errno| (Step::Text, 0, errno))?;
        for (place, text) in self.texts.iter().enumerate() {
            text.write()
                .and_then(|()| bind(&text.source, &text.target))
                .map_err(|errno| (Step::Text, place, errno))?;
        }
        umount2(c"/sys", MntFlags::MNT_DETACH).map_err(|errno| (Step::Text, 0, errno))
    }

    /// Closes the parent's writing end of the pipe, so that the reader gets an end of file.
    pub(super) fn without_report(self) -> Self {
        Self { report: None, ..self }
    }

    /// Returns the error for the reported step. Without a report, the program itself did not start.
    pub(super) fn explain(&self, report: &[u8], cause: Cause) -> Result<Error, Cause> {
        let &[step, place] = report else { return Err(cause) };
        let Some(step) = STEPS.get(usize::from(step)) else { return Err(cause) };
        let place = usize::from(place);
        let shown = |path: Option<&CString>| {
            path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let error =
            match step {
                Step::Network => {
                    let error = cause.doing("enter", &self.namespace);
                    return Ok(error.hint_on(Errno::EPERM, || SYS_ADMIN.into()));
                }
                Step::Mounts => cause
                    .doing("make", "a mount namespace")
                    .hint_on(Errno::EPERM, || SYS_ADMIN.into()),
                Step::Text => cause
                    .doing("replace file", shown(self.texts.get(place).map(|text| &text.target))),
                Step::Sysfs => cause.doing("mount", "/sys"),
                Step::File => cause
                    .doing("replace file", shown(self.files.get(place).map(|(_, target)| target))),
                Step::User => self.explain_user(cause),
                Step::Directory => cause.doing("work in", shown(self.directory.as_ref())),
                Step::Parent => cause.doing("start a command for", "a process that has ended"),
            };
        Ok(error.in_namespace(&self.namespace))
    }

    fn explain_user(&self, cause: Cause) -> Error {
        let shown = |id: Option<u32>| id.map_or("the same".into(), |id| id.to_string());
        let uid = shown(self.uid.map(Uid::as_raw));
        let gid = shown(self.gid.map(Gid::as_raw));
        cause
            .doing("become", format!("user {uid}, group {gid}"))
            .hint_on(Errno::EINVAL, || {
                "one of the ids means nobody in this user namespace (/proc/self/uid_map, gid_map)"
                    .into()
            })
            .hint_on(Errno::EPERM, || "this needs CAP_SETUID and CAP_SETGID".into())
    }
}

impl Text {
    fn write(&self) -> Result<(), Errno> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o644);
        let file = open(self.source.as_c_str(), flags, mode)?;
        // Whatever the umask is.
        fchmod(&file, mode)?;
        let mut rest = self.contents.as_slice();
        while !rest.is_empty() {
            let written = write(&file, rest)?;
            rest = rest.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

fn private_mounts() -> Result<(), Errno> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let nothing = None::<&CStr>;
    mount(nothing, c"/", nothing, MsFlags::MS_SLAVE | MsFlags::MS_REC, nothing)
}

fn mount_sysfs() -> Result<(), Errno> {
    match mount(Some(c"sysfs"), c"/sys", Some(c"sysfs"), MsFlags::empty(), None::<&CStr>) {
        // A container may hide parts of /sys; then the kernel refuses a new one. EBUSY: this /sys
        // is there already.
        Err(Errno::EPERM | Errno::ENOENT | Errno::EBUSY) => Ok(()),
        result => result,
    }
}

fn bind(source: &CStr, target: &CStr) -> Result<(), Errno> {
    mount(Some(source), target, None::<&CStr>, MsFlags::MS_BIND, None::<&CStr>)
}

/// Lists the files of `/etc/netns/NAME` that replace one of `/etc`, as `ip netns exec` does.
fn overlays(name: &str) -> Vec<(CString, CString)> {
    let entries = fs::read_dir(Path::new("/etc/netns").join(name)).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let target = Path::new("/etc").join(entry.file_name());
            target.exists().then(|| Some((c_path(&entry.path())?, c_path(&target)?))).flatten()
        })
        .collect()
}

/// Makes a relative path absolute, as the caller may be below /sys.
fn into_directory(path: &Path) -> Result<CString, Error> {
    let refuse = |cause: Cause| cause.doing("work in", path.display());
    let whole = path::absolute(path).map_err(|error| refuse(error.into()))?;
    c_path(&whole)
        .ok_or_else(|| Error::invalid("work in", path.display(), "a path can't contain NUL"))
}

fn c_path(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_bytes()).ok()
}
