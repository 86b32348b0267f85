//! Commands inside a namespace, as `ip netns exec` runs them.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ExitStatus, Output, Stdio};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use super::open::Netns;
use crate::error::{Cause, Error};
use crate::sys;

/// A command to run inside a namespace, as `ip netns exec NAME CMD`.
///
/// It has a mount namespace of its own, with that network namespace's `/sys` and, for a named one, the
/// files of `/etc/netns/NAME` over those of `/etc`. Otherwise it is [`std::process::Command`].
/// From [`Netns::command`].
#[derive(Debug)]
pub struct Command {
    inner: process::Command,
    program: String,
    namespace: Netns,
}

impl Netns {
    /// A command to run inside.
    ///
    /// ```
    /// use netloom::Namespace;
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let links = red.command("ls").arg("/sys/class/net").output()?;
    /// assert_eq!(links.stdout, b"lo\n");
    /// # Ok::<(), netloom::Error>(())
    /// ```
    #[doc(alias = "ip netns exec")]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let program = program.as_ref();
        let mut inner = process::Command::new(program);
        let entry = Entry::prepare(self);
        sys::pre_exec(&mut inner, move || entry.enter().map_err(io::Error::from));
        Command { inner, program: format!("`{}`", program.display()), namespace: self.clone() }
    }
}

impl Command {
    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.inner.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> &mut Self {
        self.inner.args(arguments);
        self
    }

    /// Sets an environment variable.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.inner.env(name, value);
        self
    }

    /// Removes an environment variable.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.inner.env_remove(name);
        self
    }

    /// Starts from an empty environment.
    pub fn env_clear(&mut self) -> &mut Self {
        self.inner.env_clear();
        self
    }

    /// Sets the working directory.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.inner.current_dir(directory);
        self
    }

    /// Sets the standard input: inherited, unless [`output`](Self::output) is called.
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Self {
        self.inner.stdin(stdin);
        self
    }

    /// Sets the standard output: inherited, unless [`output`](Self::output) is called.
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Self {
        self.inner.stdout(stdout);
        self
    }

    /// Sets the standard error: inherited, unless [`output`](Self::output) is called.
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Self {
        self.inner.stderr(stderr);
        self
    }

    /// Starts it and returns while it runs.
    ///
    /// # Errors
    ///
    /// Where there is no such program, or entering is refused.
    pub fn spawn(&mut self) -> Result<Child, Error> {
        self.start(process::Command::spawn)
    }

    /// Runs it and returns how it ended.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn). A command that ran and failed is no error.
    pub fn status(&mut self) -> Result<ExitStatus, Error> {
        self.start(process::Command::status)
    }

    /// Runs it and returns what it printed and how it ended.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn). A command that ran and failed is no error.
    pub fn output(&mut self) -> Result<Output, Error> {
        self.start(process::Command::output)
    }

    fn start<T>(
        &mut self,
        start: impl FnOnce(&mut process::Command) -> io::Result<T>,
    ) -> Result<T, Error> {
        start(&mut self.inner).map_err(|error| {
            Cause::from(error).doing("run", &self.program).in_namespace(&self.namespace)
        })
    }
}

/// All that entering needs, prepared before the fork: behind it there are only system calls.
struct Entry {
    namespace: Netns,
    /// Files of `/etc/netns/NAME`, and what each goes over.
    files: Vec<(CString, CString)>,
}

impl Entry {
    fn prepare(namespace: &Netns) -> Self {
        let files = namespace.name().map(overlays).unwrap_or_default();
        Self { namespace: namespace.clone(), files }
    }

    fn enter(&self) -> Result<(), Errno> {
        setns(self.namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
        unshare(CloneFlags::CLONE_NEWNS)?;
        let nothing = None::<&std::ffi::CStr>;
        let downwards = MsFlags::MS_SLAVE | MsFlags::MS_REC;
        mount(nothing, c"/", nothing, downwards, nothing)?;
        match mount(Some(c"sysfs"), c"/sys", Some(c"sysfs"), MsFlags::empty(), nothing) {
            // In a container /sys may be hidden in part; then the kernel lets nobody see it whole.
            Ok(()) | Err(Errno::EPERM | Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        for (source, target) in &self.files {
            mount(Some(source.as_c_str()), target.as_c_str(), nothing, MsFlags::MS_BIND, nothing)?;
        }
        Ok(())
    }
}

/// What `ip netns exec` would bind: each file of `/etc/netns/NAME` that `/etc` has one for.
fn overlays(name: &str) -> Vec<(CString, CString)> {
    let directory = PathBuf::from("/etc/netns").join(name);
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let target = Path::new("/etc").join(entry.file_name());
            let pair = (
                CString::new(entry.path().as_os_str().as_bytes()).ok()?,
                CString::new(target.as_os_str().as_bytes()).ok()?,
            );
            target.exists().then_some(pair)
        })
        .collect()
}
