//! The owner of a running command.

use std::io::{self, Read};
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{self, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Output};
use std::sync::{Arc, mpsc};

use nix::errno::Errno;

use crate::error::{Cause, Error};
use crate::sys::pidfd;
use crate::sys::process::OfProcess;
use crate::sys::thread::{self, JoinHandle};

/// The owner of a running command. Dropping it kills the command and waits for its end.
///
/// The kernel also kills the command when this process dies, even by SIGKILL. The exception are
/// programs that are set-user-ID or have file capabilities, as `ping` may: their exec clears the
/// signal (`PR_SET_PDEATHSIG`, prctl(2)). In a fork of this process, dropping does nothing.
///
/// The command is identified by its pidfd, so no signal ever hits another process.
/// [`Command::spawn`](crate::Command::spawn) returns this type.
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
    /// The thread that started the command. The kernel treats this thread as the command's parent
    /// (`PR_SET_PDEATHSIG` in prctl(2)), so it must end after the command.
    parent: JoinHandle<()>,
}

const WAIT: &str = "wait for";

impl Child {
    /// Starts a command on a thread that lives as long as the command.
    pub(super) fn start(command: &mut process::Command, program: &str) -> io::Result<Self> {
        let (lend, lent) = mpsc::channel::<process::Command>();
        let (give_back, given_back) = mpsc::channel();
        let parent = move || {
            let Ok(mut command) = lent.recv() else { return };
            let child = pidfd::spawn(&mut command).map(|(child, pidfd)| (child, Arc::new(pidfd)));
            let pidfd = child.as_ref().ok().map(|(_, pidfd)| Arc::clone(pidfd));
            give_back.send((command, child)).ok();
            if let Some(pidfd) = pidfd {
                pidfd::wait(pidfd.as_fd()).ok();
            }
        };
        let parent = thread::spawn("netloom-child", parent)?;
        lend.send(mem::replace(command, process::Command::new(""))).ok();
        let child;
        (*command, child) = given_back.recv().or(Err(Errno::ECHILD))?;
        let (mut child, pidfd) = child?;
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            program: program.to_owned(),
            id: child.id(),
            status: None,
            running: OfProcess::new(Running { pidfd, parent }),
        })
    }

    /// Returns the command's process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Kills the command. Afterwards, wait for the command or drop this value.
    ///
    /// # Errors
    ///
    /// - `is_permission_denied()` if the kernel refuses, as for a command of another user. A
    ///   command that has ended is no error.
    pub fn kill(&mut self) -> Result<(), Error> {
        if self.status.is_some() {
            return Ok(());
        }
        self.with("kill", |running| Ok(pidfd::kill(running.pidfd.as_fd())?))
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

    /// Returns how the command ended. `None` while it runs.
    ///
    /// # Errors
    ///
    /// The errors of [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        let has_ended = self.status.is_some()
            || self.with(WAIT, |running| Ok(pidfd::has_ended(running.pidfd.as_fd())?))?;
        if has_ended { self.wait().map(Some) } else { Ok(None) }
    }

    /// Closes the command's standard input and waits until the command ends. Returns its output
    /// from those streams that are pipes.
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
        if let Err(errno) = pidfd::kill(pidfd.as_fd()) {
            log::warn!("left running: {} ({}): {errno}", self.program, self.id);
            return;
        }
        pidfd::wait(pidfd.as_fd()).ok();
        pidfd::collect(pidfd.as_fd()).ok();
        parent.join().ok();
    }
}
