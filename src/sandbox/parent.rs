//! The parent's side: starts the child in fresh namespaces, and evaluates its report.

use std::env;
use std::io::{self, PipeWriter};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic;
use std::process::{self, Child, Command, ExitStatus};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use super::child::{Call, MARKER, inherited_pipe, marker, report};
use super::setup;
use super::streams::Streams;
use super::target::{Start, starts};
use crate::error::{Cause, Error};
use crate::sys;

/// The result of a child.
enum Verdict {
    Passed,
    /// The closure failed, with the message for its test.
    Failed(String),
    /// The child never reached the closure.
    Missed(String),
}

/// Runs a call's closure in a child. A closure that fails is the caller's panic.
pub(super) fn run(place: &str, path: &[Call]) -> Result<(), Error> {
    let mut missed = String::new();
    for start in starts(place) {
        match attempt(&start, path)? {
            Verdict::Passed => return Ok(()),
            // The child's own panic hook has spoken already, so none here.
            Verdict::Failed(message) => panic::resume_unwind(Box::new(message)),
            Verdict::Missed(how) => {
                missed.extend(["\n  `", &start.describe(), "` ", &how]);
            }
        }
    }
    let reason = format!("the program, started anew, never came to it:{missed}\n");
    Err(Error::invalid("run in a sandbox", format!("`{place}`"), reason).hint(
        "call `sandbox::run` with a closure that is written in the test itself; a helper that takes \
         the test's closure calls `sandbox::run_wrapped`",
    ))
}

fn attempt(start: &Start, path: &[Call]) -> Result<Verdict, Error> {
    let (child, mut streams) = spawn(start, path)?;
    let mut child = Ended(child);
    let status = streams
        .follow(&mut child.0)
        .map_err(|error| Cause::from(error).doing("follow", "the sandboxed program"))?;
    let (report, prelude) = streams.into_report();
    Ok(judge(&report, &prelude, status))
}

/// A child that does not outlive this, whatever happens.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Nothing to do, and nothing done, where it has ended and was waited for.
        if self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}

fn judge(report: &[u8], prelude: &str, status: ExitStatus) -> Verdict {
    match report {
        [report::REACHED, report::PASSED] if status.success() => Verdict::Passed,
        [report::REACHED, report::FAILED, message @ ..] => {
            Verdict::Failed(String::from_utf8_lossy(message).into_owned())
        }
        [report::REACHED, ..] => {
            let message = format!("the sandboxed program ended early: {}", ending(status));
            tell(&message);
            Verdict::Failed(message)
        }
        _ => Verdict::Missed(format!("ended with {}, and had printed:\n{prelude}", ending(status))),
    }
}

/// Prints the message of the panic. libtest only prints what the panic hook prints, and this panic
/// bypasses the hook.
#[allow(clippy::print_stderr)]
fn tell(message: &str) {
    eprintln!("{message}");
}

fn ending(status: ExitStatus) -> String {
    match status.signal().map(Signal::try_from) {
        Some(Ok(signal)) => format!("signal {} ({signal})", signal as i32),
        _ => status.to_string(),
    }
}

fn spawn(start: &Start, path: &[Call]) -> Result<(Child, Streams), Error> {
    let pipe = || io::pipe().map_err(|error| Cause::from(error).doing("open", "a pipe"));
    let (prelude, to_prelude) = pipe()?;
    let (stdout, to_stdout) = pipe()?;
    let (stderr, to_stderr) = pipe()?;
    let (report, to_report) = pipe()?;
    let inherited =
        |pipe| inherited_pipe(pipe).map_err(|errno| Cause::from(errno).doing("look at", "a pipe"));
    let pipes = [inherited(&to_report)?, inherited(&to_stdout)?, inherited(&to_stderr)?];

    let mut command = this_program();
    command.args(&start.arguments).envs(start.variable.clone());
    command.env(MARKER, marker(&pipes, path));
    let second = to_prelude
        .try_clone()
        .map_err(|error| Cause::from(error).doing("duplicate", "a pipe's descriptor"))?;
    command.stdout(to_prelude).stderr(second);
    let failure = setup::inside(&mut command)?;
    let parent = process::id();
    sys::pre_exec(&mut command, move || {
        // After the namespaces: a change of credentials clears the signal.
        follow_to_death(parent)?;
        [&to_report, &to_stdout, &to_stderr].into_iter().try_for_each(hand_down)
    });
    match command.spawn() {
        Ok(child) => Ok((child, Streams::new(prelude, stdout, stderr, report))),
        Err(error) => Err(failure.explain(command, error)),
    }
}

/// This program's file, whatever has become of its path, under the name it was started with.
pub(super) fn this_program() -> Command {
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = env::args_os().next() {
        command.arg0(name);
    }
    command.env(super::LEFT, super::network_namespace());
    command
}

/// Dies with the thread that started it, which waits for it.
fn follow_to_death(parent: u32) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    // It may have died before that.
    if u32::try_from(getppid().as_raw()) == Ok(parent) { Ok(()) } else { Err(Errno::ESRCH.into()) }
}

/// Leaves a descriptor open over the exec; in the child alone, so that no other child of this
/// process gets it.
fn hand_down(fd: &PipeWriter) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}
