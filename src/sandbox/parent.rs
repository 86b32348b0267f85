//! The parent's side: starts the child in fresh namespaces, and reads its report.

use std::env;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic;
use std::process::{Child, Command, ExitStatus};

use super::child::{Call, MARKER, inherited_pipe, marker, report};
use super::setup;
use super::streams::Streams;
use super::target::{Start, starts};
use crate::error::{Cause, Error};
use crate::sys::file;
use crate::sys::hook::{self, pre_exec};
use crate::sys::pidfd::Signal;
use crate::sys::setup::{Pid, die_with};

/// The result of a child.
enum Verdict {
    Passed,
    /// The closure failed, with the message for its test.
    Failed(String),
    /// The child never reached the closure.
    Missed(String),
}

/// Runs a call's closure in a child. If the closure fails, this panics in the caller.
pub(super) fn run(place: &str, path: &[Call]) -> Result<(), Error> {
    let mut missed = String::new();
    for start in starts(place) {
        match attempt(&start, path)? {
            Verdict::Passed => return Ok(()),
            // The child's panic hook has printed the message, so the parent's hook is bypassed.
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

/// A guard that kills the child when it is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // If the child has ended and was waited for, killing fails, and nothing remains to be done.
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
    let open = || Ok([file::pipe()?, file::pipe()?, file::pipe()?, file::pipe()?]);
    let pipes: io::Result<_> = open();
    let pipes = pipes.map_err(|error| Cause::from(error).doing("open", "pipes"))?;
    let [(prelude, to_prelude), (stdout, to_stdout), (stderr, to_stderr), (report, to_report)] =
        pipes;
    let prepare = || {
        let pipes = [&to_report, &to_stdout, &to_stderr].map(inherited_pipe);
        let [report, stdout, stderr] = pipes;
        Ok(([report?, stdout?, stderr?], to_prelude.try_clone()?))
    };
    let prepared: io::Result<_> = prepare();
    let (inherited, second) =
        prepared.map_err(|error| Cause::from(error).doing("prepare", "pipes"))?;

    let mut command = this_program();
    command.args(&start.arguments).envs(start.variable.clone());
    command.env(MARKER, marker(&inherited, path)).stdout(to_prelude).stderr(second);
    let has_user = setup::inside(&mut command);
    let parent = Pid::this();
    pre_exec(&mut command, move || {
        // After the namespaces, because a change of credentials clears this signal.
        die_with(parent)?;
        // In the child alone, so that no other child of this process inherits the pipes.
        [&to_report, &to_stdout, &to_stderr].into_iter().try_for_each(file::leave_open)
    });
    match hook::spawn(&mut command) {
        Ok(child) => Ok((child, Streams::new([prelude, stdout, stderr, report]))),
        Err(error) => Err(setup::explain(error, has_user)),
    }
}

/// Returns the command that starts this program's file again, even if its path has changed.
pub(super) fn this_program() -> Command {
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = env::args_os().next() {
        command.arg0(name);
    }
    command.env(super::LEFT, super::network_namespace());
    command
}
