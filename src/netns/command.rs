//! Commands inside a namespace, as `ip netns exec` runs them.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, ExitStatus, Output, Stdio};

use nix::errno::Errno;

use super::child::Child;
use super::command_setup::Entry;
use super::enter::on_thread;
use super::handle::Netns;
use crate::error::{Cause, Error};
use crate::sys::hook::{self, Failed, Hook};
use crate::sys::setup::{Gid, Pid, Uid, User};

/// A command to run inside a namespace, as `ip netns exec NAME CMD`.
///
/// The command runs in its own mount namespace, with the `/sys` of the network namespace. In a
/// named namespace, files of `/etc/netns/NAME` replace those of `/etc`. Otherwise, this type works
/// like [`std::process::Command`]. [`Netns::command`] returns it.
///
/// An ordinary user may run commands in the calling thread's own namespace. Such a command has no
/// mount namespace of its own, which would require `CAP_SYS_ADMIN`, so it sees the caller's `/sys`.
/// It is refused if [files](Self::file) or files in `/etc/netns/NAME` are to be replaced.
///
/// The command dies with this process, unless [`spawn_detached`](Self::spawn_detached) starts it.
#[derive(Debug)]
pub struct Command {
    inner: process::Command,
    program: String,
    namespace: Netns,
    texts: Vec<(PathBuf, String)>,
    user: User,
    directory: Option<PathBuf>,
    /// True for each standard stream that the caller has set.
    has_stream: [bool; 3],
    hook: Hook<Entry>,
}

impl Netns {
    /// Describes a command to run inside the namespace.
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
        let hook = Hook::new(&mut inner, Entry::enter);
        Command {
            inner,
            program: format!("`{}`", program.display()),
            namespace: self.clone(),
            texts: Vec::new(),
            user: User::default(),
            directory: None,
            has_stream: [false; 3],
            hook,
        }
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

    /// Sets the program's `argv[0]`. Default: the name of the program.
    pub fn arg0(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.inner.arg0(name);
        self
    }

    /// Sets an environment variable.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.inner.env(name, value);
        self
    }

    /// Sets environment variables.
    pub fn envs(
        &mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> &mut Self {
        self.inner.envs(variables);
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

    /// Sets the working directory, which the command enters as its user. In a directory below
    /// `/sys`, the command sees the `/sys` of the namespace.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Sets the standard input: inherited, unless [`output`](Self::output) is called.
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Self {
        self.inner.stdin(stdin);
        self.has_stream[0] = true;
        self
    }

    /// Sets the standard output: inherited, unless [`output`](Self::output) is called.
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Self {
        self.inner.stdout(stdout);
        self.has_stream[1] = true;
        self
    }

    /// Sets the standard error: inherited, unless [`output`](Self::output) is called.
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Self {
        self.inner.stderr(stderr);
        self.has_stream[2] = true;
        self
    }

    /// Sets the process group. 0 makes the command the leader of a new group. Default: the
    /// caller's.
    #[doc(alias = "setpgid")]
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.inner.process_group(group);
        self
    }

    /// Sets the user by number, as `setpriv --reuid`. The command changes to this user after it has
    /// entered the namespace. It gives up its supplementary groups, unless [`groups`](Self::groups)
    /// sets others.
    #[doc(alias = "setuid")]
    pub fn uid(&mut self, uid: u32) -> &mut Self {
        self.user.uid = Some(Uid::from_raw(uid));
        self
    }

    /// Sets the group by number, as `setpriv --regid`. The command changes to this group after it
    /// has entered the namespace.
    #[doc(alias = "setgid")]
    pub fn gid(&mut self, gid: u32) -> &mut Self {
        self.user.gid = Some(Gid::from_raw(gid));
        self
    }

    /// Sets the supplementary groups by number, as `setpriv --groups`. The command changes to these
    /// groups after it has entered the namespace.
    #[doc(alias = "setgroups")]
    pub fn groups(&mut self, groups: impl IntoIterator<Item = u32>) -> &mut Self {
        self.user.groups = Some(groups.into_iter().map(Gid::from_raw).collect());
        self
    }

    /// Replaces an existing file by this text, for the command only. Nothing is written to disk,
    /// and no other process sees the text.
    ///
    /// ```
    /// use netloom::Namespace;
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let seen = red.command("cat").file("/etc/passwd", "nobody").arg("/etc/passwd").output()?;
    /// assert_eq!(seen.stdout, b"nobody");
    /// # Ok::<(), netloom::Error>(())
    /// ```
    pub fn file(&mut self, path: impl AsRef<Path>, contents: impl Into<String>) -> &mut Self {
        let path = path.as_ref();
        self.texts.retain(|(other, _)| other != path);
        self.texts.push((path.to_owned(), contents.into()));
        self
    }

    /// Replaces `/etc/hosts` by this text, for the command only. A line is a host: `10.0.0.2 web`.
    /// See hosts(5).
    pub fn hosts(&mut self, contents: impl Into<String>) -> &mut Self {
        self.file("/etc/hosts", contents)
    }

    /// Replaces `/etc/resolv.conf` by this text, for the command only, such as `nameserver
    /// 10.0.0.1`. See resolv.conf(5).
    pub fn resolv_conf(&mut self, contents: impl Into<String>) -> &mut Self {
        self.file("/etc/resolv.conf", contents)
    }

    /// Returns the command of std, to inspect the program, arguments and environment.
    pub fn as_std(&self) -> &process::Command {
        &self.inner
    }

    /// Starts the command and returns while it runs. The command is killed when its owner is
    /// dropped, or when this process dies; [`Child`] names the exception.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if there is no such program.
    /// - `is_invalid_input()` if a file to replace does not exist.
    /// - `is_permission_denied()` if the kernel refuses to enter the namespace or to change the
    ///   user.
    /// - `ECHILD` for any of these, or for a command that ends within microseconds, if the program
    ///   ignores SIGCHLD: the reason is lost. std then prints the message of a panic.
    pub fn spawn(&mut self) -> Result<Child, Error> {
        let program = self.program.clone();
        self.start(true, |inner| Child::start(inner, &program))
    }

    /// Starts the command detached: netloom never kills it, and it may outlive this process.
    /// Replaces `setsid ip netns exec NAME CMD &`.
    ///
    /// # Errors
    ///
    /// The errors of [`spawn`](Self::spawn).
    pub fn spawn_detached(&mut self) -> Result<process::Child, Error> {
        self.start(false, hook::spawn)
    }

    /// Runs the command and returns its exit status.
    ///
    /// # Errors
    ///
    /// The errors of [`spawn`](Self::spawn). It is no error if the command runs and fails.
    pub fn status(&mut self) -> Result<ExitStatus, Error> {
        self.spawn()?.wait()
    }

    /// Runs the command and returns its output and exit status.
    ///
    /// # Errors
    ///
    /// The errors of [`spawn`](Self::spawn). It is no error if the command runs and fails.
    pub fn output(&mut self) -> Result<Output, Error> {
        self.set_others(Stdio::null, Stdio::piped);
        let child = self.spawn();
        self.set_others(Stdio::inherit, Stdio::inherit);
        child?.wait_with_output()
    }

    /// Sets the streams that the caller has not set.
    fn set_others(&mut self, input: fn() -> Stdio, output: fn() -> Stdio) {
        let [stdin, stdout, stderr] = self.has_stream;
        if !stdin {
            self.inner.stdin(input());
        }
        if !stdout {
            self.inner.stdout(output());
        }
        if !stderr {
            self.inner.stderr(output());
        }
    }

    /// Replaces this program by the command. Returns only if that fails; the process may then run
    /// as the command's user, and should end.
    ///
    /// No destructor runs, so owners delete nothing.
    #[doc(alias = "execvp")]
    pub fn exec(&mut self) -> Error {
        // On failure, the thread that entered the namespace ends.
        let replace = |inner: &mut process::Command| match on_thread(|| Ok(hook::exec(inner))) {
            Ok(error) => Err(error),
            Err(cause) => Err(cause.errno().unwrap_or(Errno::EAGAIN).into()),
        };
        match self.start(false, replace) {
            Err(error) => error,
            Ok(()) => Error::invalid("run", &self.program, "it could not be replaced"),
        }
    }

    fn start<T>(
        &mut self,
        dies_with_us: bool,
        start: impl FnOnce(&mut process::Command) -> io::Result<T>,
    ) -> Result<T, Error> {
        let (texts, directory) = (&self.texts, self.directory.as_deref());
        let parent = dies_with_us.then(Pid::this);
        let entry = Entry::prepare(&self.namespace, texts, &self.user, directory, parent)?;
        self.hook.set(entry);
        let started = start(&mut self.inner);
        let entry = self.hook.take();
        started.map_err(|error| {
            if let (Some(failed), Some(entry)) = (Failed::read(&error), entry) {
                return entry.explain(failed);
            }
            let error = Cause::from(error).doing("run", &self.program);
            error
                .in_namespace(&self.namespace)
                .hint_on(Errno::ENOENT, || self.not_there().into())
                .hint_on(Errno::ECHILD, || LOST.into())
        })
    }

    /// Explains ENOENT, which depends on the program: a path is not searched in PATH.
    fn not_there(&self) -> &'static str {
        if self.program.contains('/') {
            "there is no such program at this path, or the interpreter that it names is missing"
        } else {
            "there is no such program on the PATH"
        }
    }
}

const LOST: &str = "how the command ended, or why it can't start, is lost: SIGCHLD is ignored in \
     this program, or another part of it waited for the command";
