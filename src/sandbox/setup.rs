//! Entering fresh namespaces, with system calls only.

use std::collections::BTreeSet;
use std::env;
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;

use super::limits::Obstacle;
use crate::error::{Cause, Error};
use crate::sys::file::{self, Mode, OFlag};
use crate::sys::hook::{Failed, pre_exec};
use crate::sys::setup::{CloneFlags, MsFlags, chdir, getegid, geteuid, mkdir, mount, unshare};

/// The data for entering the namespaces, prepared before the fork. [`apply`](Self::apply) runs
/// between fork and exec, where allocation is forbidden.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The id maps of the user namespace. `None` if the process has the capabilities already.
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

// The numbers of the steps, for `Failed::step`.
const UNSHARE: u8 = 0;
const UNSHARE_WITH_USER: u8 = 1;
pub(crate) const MAP_USERS: u8 = 2;
const PRIVATE: u8 = 3;
const RUN: u8 = 4;
const DIRECTORY: u8 = 5;

/// The descriptions of the steps, for errors.
const STEPS: [&str; 6] = [
    "unshare the network and mount namespaces",
    "unshare the user, network and mount namespaces",
    "map this user to root in a new user namespace",
    "make the mounts private",
    "mount a fresh /run",
    "return to the working directory",
];

/// Makes `command` start inside fresh namespaces. Returns whether that requires a user namespace.
pub(super) fn inside(command: &mut Command) -> bool {
    let setup = Setup::prepare();
    let has_user = setup.user.is_some();
    pre_exec(command, move || setup.apply());
    has_user
}

/// Explains a failed start.
pub(super) fn explain(error: io::Error, has_user: bool) -> Error {
    let Some(Failed { step, errno, .. }) = Failed::read(&error) else {
        return Cause::from(error).doing("start", "this program anew in a sandbox");
    };
    let text = STEPS.get(usize::from(step)).copied().unwrap_or_default();
    let error = Cause::from(errno).doing("enter a sandbox:", text);
    let obstacle = if has_user { Obstacle::behind(errno) } else { None };
    match (obstacle, step, errno) {
        (Some(obstacle), ..) => error.hint(format!("{obstacle}; {}", obstacle.remedy())),
        (_, UNSHARE_WITH_USER, Errno::EINVAL) => error.hint(
            "a process with threads cannot have a user namespace: enter the sandbox first thing in \
             `main`",
        ),
        (_, PRIVATE, Errno::EINVAL) => {
            error.hint("the root directory is no mount point, as in a chroot")
        }
        _ => error,
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

    /// Prepares a user namespace, even if the process has the capabilities already.
    pub(crate) fn of_ordinary_user() -> Self {
        Self { user: Some(UserMaps::of_this_process()), ..Self::prepare() }
    }

    /// Enters the namespaces, and changes the mounts there. Makes only system calls.
    fn apply(&self) -> Result<(), Failed> {
        self.namespaces()?;
        self.mounts()
    }

    /// Enters the namespaces. Makes only system calls.
    pub(crate) fn namespaces(&self) -> Result<(), Failed> {
        let namespaces = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
        if let Some(maps) = &self.user {
            unshare(namespaces | CloneFlags::CLONE_NEWUSER)
                .map_err(Failed::at(UNSHARE_WITH_USER))?;
            maps.write().map_err(Failed::at(MAP_USERS))?;
        } else {
            unshare(namespaces).map_err(Failed::at(UNSHARE))?;
        }
        Ok(())
    }

    /// Makes the mounts private, with a fresh /run and /sys. Makes only system calls.
    pub(crate) fn mounts(&self) -> Result<(), Failed> {
        let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
        mount_on(None, c"/", None, private).map_err(Failed::at(PRIVATE))?;
        if self.has_run {
            self.fresh_run().map_err(Failed::at(RUN))?;
        }
        // In containers, parts of /sys are masked and the kernel refuses a new one: the old /sys
        // stays.
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let _ = mount_on(Some(c"sysfs"), c"/sys", Some(c"sysfs"), flags).or_else(|_| {
            mount_on(Some(c"sysfs"), c"/sys", Some(c"sysfs"), flags | MsFlags::MS_RDONLY)
        });
        let enter = |directory: &CString| chdir(directory.as_c_str());
        self.directory.as_ref().map_or(Ok(()), enter).map_err(Failed::at(DIRECTORY))
    }

    fn fresh_run(&self) -> Result<(), Errno> {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        if self.kept.is_empty() {
            return mount_tmpfs(c"/run", flags);
        }
        // Build the new /run on /sys, which is replaced right after. The old /run must stay visible
        // until everything needed from it is mounted.
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

/// The mount source by which a sandbox's /run is recognized. tools/sandbox uses the same.
const SOURCE: &CStr = c"netloom-sandbox";

/// Returns whether /run belongs to a sandbox, or doesn't exist. The environment variable alone may
/// be a leftover.
pub(super) fn has_sandboxed_run() -> bool {
    let mounts = file::read("/proc/thread-self/mountinfo").unwrap_or_default();
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
        // Linux before 3.19 lacks the file, and does not need it.
        if deny != Err(Errno::ENOENT) {
            deny?;
        }
        write_file(c"/proc/self/uid_map", self.uid.to_bytes())?;
        write_file(c"/proc/self/gid_map", self.gid.to_bytes())
    }
}

fn write_file(path: &CStr, text: &[u8]) -> Result<(), Errno> {
    file::write(file::open(path, OFlag::O_WRONLY)?, text)
}

/// Returns whether this process may create network and mount namespaces without a user namespace.
/// The user id does not tell: root in a container often lacks the capabilities.
fn is_privileged() -> bool {
    const CAP_NET_ADMIN: u32 = 12;
    const CAP_SYS_ADMIN: u32 = 21;
    let status = file::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    effective.is_some_and(|mask| mask >> CAP_NET_ADMIN & mask >> CAP_SYS_ADMIN & 1 == 1)
}

/// Returns the entries of /run that this program needs: its own file, its working directory, its
/// commands. On most machines there are none; on NixOS /run/current-system, on others /run/media.
fn needed_of_run() -> BTreeSet<CString> {
    let named = ["HOME", "TMPDIR", "CARGO_HOME", "CARGO_TARGET_DIR"].map(env::var_os);
    let searched = env::var_os("PATH").unwrap_or_default();
    let paths = named.into_iter().flatten().map(Into::into);
    let paths = paths.chain(env::split_paths(&searched));
    let paths = paths.chain(env::current_dir()).chain(env::current_exe());
    let paths = paths.flat_map(|path: PathBuf| [file::canonicalize(&path).ok(), Some(path)]);
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
