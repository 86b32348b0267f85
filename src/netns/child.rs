//! The owner of a running command.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{self, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::error::{Cause, Error};
use crate::fault;
use crate::sys::pidfd;
use crate::sys::process::OfProcess;
use crate::sys::thread;

/// The owner of a running command. Dropping it kills the command and waits for its end.
///
/// The kernel kills the command as well when this process dies, also by SIGKILL. It does not if the
/// program is set-user-ID or has file capabilities, as `ping` may: their exec clears the signal
/// (`PR_SET_PDEATHSIG`, prctl(2)). In a process that was forked from this one, dropping does
/// nothing.
///
/// The command is known by its pidfd, so no signal ever reaches another process. From
/// [`Command::spawn`](crate::Command::spawn).
///
/// ```
/// use netloom::Namespace;
/// # netloom::sandbox::enter()?;
///
/// let red = Namespace::anonymous().create()?;
/// let server = red.command("sleep").arg("60").spawn()?;
/// let pid = server.id();
/// assert!(std::fs::exists(format!("/proc/{pid}")).unwrap());
/// drop(server);
/// assert!(!std::fs::exists(format!("/proc/{pid}")).unwrap());
/// # Ok::<(), netloom::Error>(())
/// ```
#[must_use = "dropping it kills the command: bind it to a name"]
#[derive(Debug)]
pub struct Child {
    /// The command's standard input, if that is a pipe.
    pub stdin: Option<ChildStdin>,
    /// The command's standard output, if that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// The command's standard error, if that is a pipe.
    pub stderr: Option<ChildStderr>,
    program: String,
    id: u32,
    status: Option<ExitStatus>,
    running: OfProcess<Running>,
}

#[derive(Debug)]
struct Running {
    pidfd: Arc<OwnedFd>,
    /// The thread that started the command, and that the kernel treats as its parent
    /// (`PR_SET_PDEATHSIG` in prctl(2)). It ends after the command.
    parent: JoinHandle<()>,
    /// If true, that thread collects the exit status.
    is_detached: Arc<AtomicBool>,
}

const KILL: &str = "kill";
const WAIT: &str = "wait for";

impl Child {
    /// Starts a command on a thread that lives as long as the command. Returns the builder with the
    /// result.
    pub(super) fn start(
        mut command: process::Command,
    ) -> Result<(process::Command, Result<Self, Cause>), Cause> {
        let (started, starts) = mpsc::channel();
        let is_detached = Arc::new(AtomicBool::new(false));
        let collects = Arc::clone(&is_detached);
        let parent = move || {
            let child = spawn(&mut command);
            let pidfd = child.as_ref().ok().map(|(_, pidfd)| Arc::clone(pidfd));
            started.send((command, child)).ok();
            if let Some(pidfd) = pidfd {
                pidfd::wait(pidfd.as_fd()).ok();
                if collects.load(Ordering::Acquire) {
                    pidfd::collect(pidfd.as_fd()).ok();
                }
            }
        };
        let parent = thread::spawn("netloom-child", parent)?;
        let (command, child) = starts.recv().or(Err(Cause::from(Errno::ECHILD)))?;
        let child = child.map(|(mut child, pidfd)| Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            program: String::new(),
            id: child.id(),
            status: None,
            running: OfProcess::new(Running { pidfd, parent, is_detached }),
        });
        Ok((command, child))
    }

    pub(super) fn named(mut self, program: &str) -> Self {
        program.clone_into(&mut self.program);
        self
    }

    /// The command's process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Kills the command. It still has to be waited for, which dropping does.
    ///
    /// # Errors
    ///
    /// - `is_permission_denied()` if the kernel refuses, as for a command of another user. A
    ///   command that has ended is no error.
    pub fn kill(&mut self) -> Result<(), Error> {
        if self.status.is_some() {
            return Ok(());
        }
        let kill = |running: &Running| match pidfd::send(running.pidfd.as_fd(), Signal::SIGKILL) {
            Err(Errno::ESRCH) => Ok(()),
            sent => Ok(sent?),
        };
        self.with(KILL, kill)
    }

    /// Closes the command's standard input, and waits until the command ends.
    ///
    /// # Errors
    ///
    /// - `ECHILD` if the exit status is lost: another part of the program has waited for the
    ///   command, or the program ignores SIGCHLD and the kernel is older than 6.15.
    pub fn wait(&mut self) -> Result<ExitStatus, Error> {
        drop(self.stdin.take());
        if let Some(status) = self.status {
            return Ok(status);
        }
        let status = self.with(WAIT, |running| {
            pidfd::wait(running.pidfd.as_fd())?;
            Ok(pidfd::collect(running.pidfd.as_fd())?)
        });
        self.join();
        let status = status.map_err(|error| error.hint_on(Errno::ECHILD, || LOST.into()))?;
        self.status = Some(status);
        Ok(status)
    }

    /// Returns how the command ended, if it has.
    ///
    /// # Errors
    ///
    /// The errors of [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        let has_ended = self.status.is_some()
            || self.with(WAIT, |running| Ok(pidfd::has_ended(running.pidfd.as_fd())?))?;
        if has_ended { self.wait().map(Some) } else { Ok(None) }
    }

    /// Closes the command's standard input, and waits until the command ends. Returns its output,
    /// if that goes to pipes.
    ///
    /// # Errors
    ///
    /// The errors of [`wait`](Self::wait), and an error if reading fails.
    pub fn wait_with_output(mut self) -> Result<Output, Error> {
        drop(self.stdin.take());
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let (stdout, stderr) = thread::scope(|scope| {
            let stderr = scope.spawn(|| read_all(stderr));
            let stdout = read_all(stdout);
            (stdout, stderr.join().unwrap_or_else(|_| Ok(Vec::new())))
        });
        let failed =
            |error: io::Error| Cause::from(error).doing("read the output of", &self.program);
        let (stdout, stderr) = (stdout.map_err(failed)?, stderr.map_err(failed)?);
        Ok(Output { status: self.wait()?, stdout, stderr })
    }

    /// Gives up the duty to end the command and returns its process id. The exit status is still
    /// collected. The command still dies with this process.
    /// [`Command::spawn_detached`](crate::Command::spawn_detached) starts one that outlives it.
    pub fn detach(mut self) -> u32 {
        if let Some(running) = self.running.take() {
            running.is_detached.store(true, Ordering::Release);
            // It may have ended before the thread could know.
            if pidfd::has_ended(running.pidfd.as_fd()) == Ok(true) {
                pidfd::collect(running.pidfd.as_fd()).ok();
            }
        }
        self.id
    }

    fn with<T>(
        &self,
        action: &'static str,
        ask: impl FnOnce(&Running) -> Result<T, Cause>,
    ) -> Result<T, Error> {
        let running = self.running.get().ok_or(Cause::from(Errno::ECHILD));
        running.and_then(ask).map_err(|cause| cause.doing(action, &self.program))
    }

    fn join(&mut self) {
        if let Some(running) = self.running.take() {
            running.parent.join().ok();
        }
    }
}

const LOST: &str = "the command has ended, and its exit status is lost: another part of this program \
     waited for it, or SIGCHLD is ignored";

/// Starts a command and opens its pidfd.
fn spawn(command: &mut process::Command) -> Result<(process::Child, Arc<OwnedFd>), Cause> {
    fault::system_call("fork")?;
    let mut child = command.spawn()?;
    match pidfd::open(child.id()) {
        Ok(pidfd) => Ok((child, Arc::new(pidfd))),
        Err(errno) => {
            // No other thread waits for the child yet, so its process id can't be reused.
            child.kill().and_then(|()| child.wait()).ok();
            Err(errno.into())
        }
    }
}

fn read_all(stream: Option<impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(Running { pidfd, parent, .. }) = self.running.take() else { return };
        match pidfd::send(pidfd.as_fd(), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => {
                log::warn!("left running: {} ({}): {errno}", self.program, self.id);
                return;
            }
        }
        pidfd::wait(pidfd.as_fd()).ok();
        pidfd::collect(pidfd.as_fd()).ok();
        parent.join().ok();
    }
}
