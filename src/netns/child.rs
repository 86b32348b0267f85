//! The owner of a running command.

use std::io;
use std::mem;
use std::process::{self, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::error::{Cause, Error};
use crate::fault;
use crate::process::Process;

/// A command that runs, and the duty to end it: dropped, it is killed and waited for.
///
/// It is killed as well when this process dies, be it by SIGKILL; in a process that was forked from this
/// one, dropping does nothing. From
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
    /// Its standard input, where that is a pipe.
    pub stdin: Option<ChildStdin>,
    /// Its standard output, where that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// Its standard error, where that is a pipe.
    pub stderr: Option<ChildStderr>,
    program: String,
    /// The process that started it, and whose duty it is.
    process: Process,
    /// None once it was detached or waited for.
    inner: Option<process::Child>,
    /// The thread that started it, which is what the kernel takes for its parent
    /// (`PR_SET_PDEATHSIG` in prctl(2)): it ends with the command, not before.
    parent: Option<JoinHandle<()>>,
    /// Whether that thread is the one to wait for it.
    detached: Arc<AtomicBool>,
}

impl Child {
    /// Starts a command on a thread that lives as long as it; the command comes back.
    pub(super) fn start(
        mut command: process::Command,
    ) -> Result<(process::Command, Result<Self, Cause>), Cause> {
        let (started, starts) = mpsc::channel();
        let detached = Arc::new(AtomicBool::new(false));
        let is_detached = Arc::clone(&detached);
        let parent = move || {
            let child = fault::system_call("fork").map_err(io::Error::from);
            let child = child.and_then(|()| command.spawn());
            let pid = child.as_ref().ok().map(process::Child::id);
            started.send((command, child)).ok();
            if let Some(pid) = pid {
                let id = || Id::Pid(Pid::from_raw(pid.cast_signed()));
                // Whoever owns it waits for it; this only looks on.
                let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
                while waitid(id(), ended) == Err(Errno::EINTR) {}
                if is_detached.load(Ordering::Acquire) {
                    waitid(id(), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG).ok();
                }
            }
        };
        fault::system_call("clone")?;
        let parent = thread::Builder::new().name("netloom-child".into()).spawn(parent)?;
        let (command, child) = starts.recv().or(Err(Cause::from(Errno::ECHILD)))?;
        let child = child.map_err(Cause::from).map(|mut inner| Self {
            stdin: inner.stdin.take(),
            stdout: inner.stdout.take(),
            stderr: inner.stderr.take(),
            program: String::new(),
            process: Process::current(),
            inner: Some(inner),
            parent: Some(parent),
            detached,
        });
        Ok((command, child))
    }

    pub(super) fn named(mut self, program: &str) -> Self {
        program.clone_into(&mut self.program);
        self
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.inner.as_ref().map_or(0, process::Child::id)
    }

    /// Kills it. It still has to be waited for, which dropping does.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses, as for one that runs as another user. One that has ended is no error.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.with("kill", process::Child::kill)
    }

    /// Closes its standard input and waits until it ends.
    ///
    /// # Errors
    ///
    /// Where somebody else has waited for it.
    pub fn wait(&mut self) -> Result<ExitStatus, Error> {
        drop(self.stdin.take());
        let status = self.with("wait for", process::Child::wait)?;
        self.join();
        Ok(status)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        let status = self.with("wait for", process::Child::try_wait)?;
        if status.is_some() {
            self.join();
        }
        Ok(status)
    }

    /// Closes its standard input, waits until it ends, and returns what it printed to pipes.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and where reading fails.
    pub fn wait_with_output(mut self) -> Result<Output, Error> {
        drop(self.stdin.take());
        let Some(mut inner) = self.inner.take() else {
            return Err(Error::invalid("wait for", &self.program, "it was detached"));
        };
        inner.stdout = self.stdout.take();
        inner.stderr = self.stderr.take();
        let output = inner
            .wait_with_output()
            .map_err(|error| Cause::from(error).doing("wait for", &self.program))?;
        self.join();
        Ok(output)
    }

    /// Gives up the duty to end it and returns its process id; when it ends, it is waited for all the
    /// same. It still dies with this process: one that is to outlive it is started by
    /// [`Command::spawn_detached`](crate::Command::spawn_detached).
    pub fn detach(mut self) -> u32 {
        let pid = self.id();
        self.detached.store(true, Ordering::Release);
        if let Some(mut inner) = self.inner.take() {
            // It may have ended before the thread could know.
            inner.try_wait().ok();
        }
        // The thread ends with the command, by itself.
        drop(self.parent.take());
        pid
    }

    fn with<T>(
        &mut self,
        action: &'static str,
        ask: impl FnOnce(&mut process::Child) -> std::io::Result<T>,
    ) -> Result<T, Error> {
        match &mut self.inner {
            Some(inner) => {
                ask(inner).map_err(|error| Cause::from(error).doing(action, &self.program))
            }
            None => Err(Error::invalid(action, &self.program, "it was detached")),
        }
    }

    fn join(&mut self) {
        if let Some(parent) = self.parent.take() {
            parent.join().ok();
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(mut inner) = mem::take(&mut self.inner) else { return };
        if self.process != Process::current() {
            return; // a forked process has neither that child nor the thread
        }
        // Nothing to do, and nothing done, where it was waited for.
        if let Err(error) = inner.kill() {
            log::warn!("left running: {} ({}): {error}", self.program, inner.id());
            return;
        }
        inner.wait().ok();
        self.join();
    }
}
