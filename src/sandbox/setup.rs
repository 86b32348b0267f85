//! Enters fresh namespaces, with system calls alone.

use std::collections::BTreeSet;
use std::env;
use std::ffi::{CStr, CString, OsStr};
use std::fmt;
use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;
use nix::unistd::{getegid, geteuid, mkdir};

use super::limits::Obstacle;
use crate::error::{Cause, Error};
use crate::sys;
use crate::sys::setup::{chdir, mount, open, unshare, write};

/// The data for entering the namespaces, prepared before the fork. [`apply`](Self::apply) runs
/// between fork and exec, where allocation is forbidden.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The maps of the user namespace; `None` if the process has the capabilities already.
    user: Option<UserMaps>,
    /// The directories of /run to keep: their paths, and their places on the new /run.
    kept: Vec<(CString, CString)>,
    has_run: bool,
    /// The working directory, if a new mount will cover it.
    directory: Option<CString>,
}

#[derive(Debug)]
struct UserMaps {
    uid: CString,
    gid: CString,
}

/// The failed step, reported to the parent as one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    Unshare = 1,
    UnshareWithUser,
    MapUsers,
    Private,
    Run,
    Directory,
}

impl Step {
    const ALL: [Self; 6] = [
        Self::Unshare,
        Self::UnshareWithUser,
        Self::MapUsers,
        Self::Private,
        Self::Run,
        Self::Directory,
    ];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unshare => "unshare the network and mount namespaces",
            Self::UnshareWithUser => "unshare the user, network and mount namespaces",
            Self::MapUsers => "map this user to root in a new user namespace",
            Self::Private => "make the mounts private",
            Self::Run => "mount a fresh /run",
            Self::Directory => "return to the working directory",
        })
    }
}

/// Makes `command` start inside fresh namespaces. The returned reader reports which step failed.
pub(super) fn inside(command: &mut Command) -> Result<Failure, Error> {
    let setup = Setup::prepare();
    let (reader, writer) =
        io::pipe().map_err(|error| Cause::from(error).doing("open", "a pipe for the sandbox"))?;
    let user = setup.user.is_some();
    sys::pre_exec(command, move || {
        setup.apply().map_err(|(step, errno)| tell(&writer, step, errno))
    });
    Ok(Failure { reader, user })
}

fn tell(writer: &PipeWriter, step: Step, errno: Errno) -> io::Error {
    // If the write fails, the parent still gets the errno, but not the step.
    let _ = write(writer, &[step as u8]);
    errno.into()
}

/// The reader of the step that failed.
#[derive(Debug)]
pub(super) struct Failure {
    reader: PipeReader,
    user: bool,
}

impl Failure {
    /// Explains a failed start. Drops `command` first, which holds the writing end.
    pub(super) fn explain(mut self, command: Command, error: io::Error) -> Error {
        drop(command);
        let mut byte = [0];
        let told = matches!(self.reader.read(&mut byte), Ok(1));
        let step = Step::ALL.into_iter().find(|step| told && *step as u8 == byte[0]);
        let errno = error.raw_os_error().map(Errno::from_raw);
        let Some(step) = step else {
            return Cause::from(error).doing("start", "this program anew in a sandbox");
        };
        let error = Cause::from(error).doing("enter a sandbox:", step);
        let obstacle = errno.filter(|_| self.user).and_then(Obstacle::behind);
        match (obstacle, step, errno) {
            (Some(obstacle), ..) => error.hint(format!("{obstacle}; {}", obstacle.remedy())),
            (_, Step::UnshareWithUser, Some(Errno::EINVAL)) => error.hint(
                "a process with threads cannot have a user namespace: enter the sandbox first thing \
                 in `main`",
            ),
            (_, Step::Private, Some(Errno::EINVAL)) => {
                error.hint("the root directory is no mount point, as in a chroot")
            }
            _ => error,
        }
    }
}

impl Setup {
    fn prepare() -> Self {
        let kept = needed_of_run();
        let cwd = env::current_dir().ok();
        let directory = cwd.filter(|cwd| cwd.starts_with("/run") || cwd.starts_with("/sys"));
        Self {
            user: (!is_privileged()).then(UserMaps::of_this_process),
            kept: kept.iter().filter_map(|name| both_places(name)).collect(),
            has_run: Path::new("/run").is_dir(),
            directory: directory.and_then(|path| c_string(path.as_os_str())),
        }
    }

    /// Prepares a user namespace, whatever the capabilities of the process.
    pub(crate) fn of_ordinary_user() -> Self {
        Self { user: Some(UserMaps::of_this_process()), ..Self::prepare() }
    }

    /// Enters the namespaces, and changes the mounts there. Makes only system calls.
    fn apply(&self) -> Result<(), (Step, Errno)> {
        self.namespaces()?;
        self.mounts()
    }

    /// Enters the namespaces. Makes only system calls.
    pub(crate) fn namespaces(&self) -> Result<(), (Step, Errno)> {
        let namespaces = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
        if let Some(maps) = &self.user {
            unshare(namespaces | CloneFlags::CLONE_NEWUSER)
                .map_err(|errno| (Step::UnshareWithUser, errno))?;
            maps.write().map_err(|errno| (Step::MapUsers, errno))?;
        } else {
            unshare(namespaces).map_err(|errno| (Step::Unshare, errno))?;
        }
        Ok(())
    }

    /// Makes the mounts private, with a fresh /run and /sys. Makes only system calls.
    pub(crate) fn mounts(&self) -> Result<(), (Step, Errno)> {
        let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
        mount_on(None, c"/", None, private).map_err(|errno| (Step::Private, errno))?;
        if self.has_run {
            self.fresh_run().map_err(|errno| (Step::Run, errno))?;
        }
        // Refused where parts of /sys are masked, as in containers: then it stays the old one.
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let _ = mount_on(Some(c"sysfs"), c"/sys", Some(c"sysfs"), flags).or_else(|_| {
            mount_on(Some(c"sysfs"), c"/sys", Some(c"sysfs"), flags | MsFlags::MS_RDONLY)
        });
        match &self.directory {
            Some(directory) => {
                chdir(directory.as_c_str()).map_err(|errno| (Step::Directory, errno))
            }
            None => Ok(()),
        }
    }

    fn fresh_run(&self) -> Result<(), Errno> {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        if self.kept.is_empty() {
            return mount_tmpfs(c"/run", flags);
        }
        // Put together on /sys, which gets its own right after: /run itself has to be seen until
        // all of it that is needed is bound.
        mount_tmpfs(c"/sys", flags)?;
        for (from, place) in &self.kept {
            mkdir(place.as_c_str(), Mode::from_bits_truncate(0o755))?;
            mount_on(Some(from), place, None, MsFlags::MS_BIND | MsFlags::MS_REC)?;
        }
        mount_on(Some(c"/sys"), c"/run", None, MsFlags::MS_MOVE)
    }
}

fn mount_on(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: MsFlags,
) -> Result<(), Errno> {
    mount(source, target, kind, flags, None::<&CStr>)
}

/// The source of a sandbox's /run in the table of mounts. tools/sandbox uses it, too.
const SOURCE: &CStr = c"netloom-sandbox";

/// Returns whether /run belongs to a sandbox, or doesn't exist. The environment variable alone may
/// be a leftover.
pub(super) fn has_sandboxed_run() -> bool {
    let mounts = fs::read("/proc/thread-self/mountinfo").unwrap_or_default();
    let is_ours = |line: &[u8]| line.windows(25).any(|part| part == b" - tmpfs netloom-sandbox ");
    !Path::new("/run").is_dir() || mounts.split(|byte| *byte == b'\n').any(is_ours)
}

fn mount_tmpfs(target: &CStr, flags: MsFlags) -> Result<(), Errno> {
    mount(Some(SOURCE), target, Some(c"tmpfs"), flags, Some(c"mode=755"))
}

impl UserMaps {
    fn of_this_process() -> Self {
        let line = |id: u32| CString::new(format!("0 {id} 1")).unwrap_or_default();
        Self { uid: line(geteuid().as_raw()), gid: line(getegid().as_raw()) }
    }

    fn write(&self) -> Result<(), Errno> {
        let deny = write_file(c"/proc/self/setgroups", b"deny");
        // The file came with Linux 3.19; before that nothing has to be denied.
        if deny != Err(Errno::ENOENT) {
            deny?;
        }
        write_file(c"/proc/self/uid_map", self.uid.to_bytes())?;
        write_file(c"/proc/self/gid_map", self.gid.to_bytes())
    }
}

fn write_file(path: &CStr, text: &[u8]) -> Result<(), Errno> {
    let file = open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    write(&file, text).map(drop)
}

/// Returns whether this process may create network and mount namespaces without a user namespace.
/// The user id is no proof: root in a container often lacks the capabilities.
fn is_privileged() -> bool {
    const CAP_NET_ADMIN: u32 = 12;
    const CAP_SYS_ADMIN: u32 = 21;
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    effective.is_some_and(|mask| mask >> CAP_NET_ADMIN & mask >> CAP_SYS_ADMIN & 1 == 1)
}

/// The entries of /run that this program cannot do without: its own file, its working directory,
/// its commands. On most machines none; on NixOS /run/current-system, on others /run/media.
fn needed_of_run() -> BTreeSet<CString> {
    let named = ["HOME", "TMPDIR", "CARGO_HOME", "CARGO_TARGET_DIR"].map(env::var_os);
    let searched = env::var_os("PATH").unwrap_or_default();
    let paths = named.into_iter().flatten().map(Into::into);
    let paths = paths.chain(env::split_paths(&searched));
    let paths = paths.chain(env::current_dir()).chain(env::current_exe());
    let paths = paths.flat_map(|path: PathBuf| [fs::canonicalize(&path).ok(), Some(path)]);
    paths.flatten().filter_map(|path| entry_of_run(&path)).collect()
}

/// Returns the first component below /run: `media` of `/run/media/disk/project`. Skips `netns`,
/// because the sandbox gets an empty one.
fn entry_of_run(path: &Path) -> Option<CString> {
    let mut parts = path.strip_prefix("/run").ok()?.components();
    let Component::Normal(entry) = parts.next()? else { return None };
    (entry != "netns" && Path::new("/run").join(entry).is_dir()).then(|| c_string(entry))?
}

fn both_places(name: &CStr) -> Option<(CString, CString)> {
    let name = OsStr::from_bytes(name.to_bytes());
    let at = |parent: &str| c_string(Path::new(parent).join(name).as_os_str());
    Some((at("/run")?, at("/sys")?))
}

fn c_string(text: &OsStr) -> Option<CString> {
    CString::new(text.as_bytes()).ok()
}
