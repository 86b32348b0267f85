//! The child's side: finds the closure that it was started for, runs it, and reports the result.

use std::any::Any;
use std::collections::HashMap;
use std::env;
use std::fmt::Write as _;
use std::io::{self, PipeWriter, Write as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::panic::{self, AssertUnwindSafe};
use std::process::{ExitCode, Termination};
use std::str::FromStr;
use std::sync::LazyLock;

use crate::sys::file::{self, dup2_stderr, dup2_stdout};
use crate::sys::process::{self, PerProcess};
use crate::sys::setup::Pid;

/// The variable that tells a child which closure it was started for.
pub(super) const MARKER: &str = "NETLOOM_SANDBOX_RUN";

/// A call of `run`: the type name of its closure, and how often that name was called before.
/// Closures of one function share a type name, and a loop may run one closure repeatedly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    place: String,
    nth: usize,
}

/// Names a pipe that a child inherits: by descriptor number and inode. By the inode, the child
/// checks that the number still refers to the same pipe.
pub(super) fn inherited_pipe(pipe: &PipeWriter) -> io::Result<String> {
    Ok(format!("{}:{}", pipe.as_fd().as_raw_fd(), file::fstat(pipe)?.st_ino))
}

/// The bytes that the child writes to the report pipe.
pub(super) mod report {
    /// The closure was reached.
    pub(in crate::sandbox) const REACHED: u8 = b'R';
    /// The closure has ended without a failure.
    pub(in crate::sandbox) const PASSED: u8 = b'P';
    /// The closure has failed; the message follows.
    pub(in crate::sandbox) const FAILED: u8 = b'F';
}

/// The role of a call of `run` in this process.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The closure runs in a child process. The child finds the closure by these nested calls.
    Elsewhere(Vec<Call>),
    /// The closure that this process was started for.
    Here(Report),
    /// A closure around the one that this process was started for.
    OnTheWay,
    /// A closure before the one that this process was started for. The parent has run this closure.
    Passed,
}

/// Returns the role of a call of `run` in this process. Calls have to come in the same order in
/// parent and child.
pub(super) fn arrive(place: &str) -> Arrival {
    let mut state = STATE.lock();
    let depth = state.entered;
    let count = state.counts.entry((depth, place.to_owned())).or_default();
    let call = Call { place: place.to_owned(), nth: *count };
    *count += 1;
    match state.path.get(depth) {
        None => Arrival::Elsewhere(state.path.iter().cloned().chain([call]).collect()),
        Some(wanted) if *wanted != call => Arrival::Passed,
        Some(_) => {
            state.entered += 1;
            if state.entered < state.path.len() {
                return Arrival::OnTheWay;
            }
            state.report.take().map_or(Arrival::Passed, Arrival::Here)
        }
    }
}

/// Returns whether this process was started by `run`, and has reached its closure.
pub(super) fn has_arrived() -> bool {
    let state = STATE.lock();
    state.entered > 0 && state.entered == state.path.len()
}

static STATE: LazyLock<PerProcess<State>> =
    LazyLock::new(|| PerProcess::new(State::of_this_process()));

#[derive(Debug, Default)]
struct State {
    path: Vec<Call>,
    entered: usize,
    counts: HashMap<(usize, String), usize>,
    report: Option<Report>,
}

impl State {
    fn of_this_process() -> Self {
        let marker = env::var(MARKER).ok();
        marker.and_then(|marker| Self::from_marker(&marker)).unwrap_or_default()
    }

    /// Parses the marker. Returns `None` if the marker is for another process: a program that the
    /// closure started inherits the variable, but its parent has another process id.
    fn from_marker(marker: &str) -> Option<Self> {
        let mut lines = marker.lines();
        let mut numbers = lines.next()?.split(' ');
        if number::<i32>(numbers.next()?)? != Pid::parent().as_raw() {
            return None;
        }
        let mut inherited = || {
            let (fd, inode) = numbers.next()?.split_once(':')?;
            file::inherited(number(fd)?, number(inode)?)
        };
        let (to_parent, stdout, stderr) = (inherited()?, inherited()?, inherited()?);
        let path = lines.map(|line| {
            let (nth, place) = line.split_once(' ')?;
            Some(Call { place: place.to_owned(), nth: number(nth)? })
        });
        Some(Self {
            path: path.collect::<Option<_>>()?,
            report: Some(Report { to_parent: to_parent.into(), stdout, stderr }),
            ..Self::default()
        })
    }
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// Returns the marker for a child of this process, which names the nested calls to reach.
pub(super) fn marker(pipes: &[String; 3], path: &[Call]) -> String {
    let mut text = format!("{} {}", Pid::this(), pipes.join(" "));
    for Call { place, nth } in path {
        let _ = write!(text, "\n{nth} {place}");
    }
    text
}

/// The pipe on which the child reports to the parent.
#[derive(Debug)]
pub(super) struct Report {
    to_parent: PipeWriter,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Report {
    /// Runs the closure, reports the result, and ends the process. The code after the closure runs
    /// only in the parent.
    pub(super) fn conclude<R: Termination>(mut self, closure: impl FnOnce() -> R) -> ! {
        let outcome = match self.begin() {
            Ok(()) => panic::catch_unwind(AssertUnwindSafe(|| closure().report())),
            Err(error) => Err(Box::new(error.to_string()) as Box<dyn Any + Send>),
        };
        let failure = match outcome {
            Ok(ExitCode::SUCCESS) => None,
            Ok(_) => Some("the sandboxed closure returned an error".to_owned()),
            Err(payload) => Some(message_of(&*payload)),
        };
        // Flush before the report, because the parent stops reading after the report.
        drop(io::stdout().flush());
        let mut report = vec![if failure.is_some() { report::FAILED } else { report::PASSED }];
        report.extend_from_slice(failure.as_deref().unwrap_or_default().as_bytes());
        drop(self.to_parent.write_all(&report));
        process::exit(if failure.is_some() { 101 } else { 0 })
    }

    /// Forwards the output from now on. Before the closure, the child repeats the parent's output.
    fn begin(&mut self) -> io::Result<()> {
        io::stdout().flush()?;
        dup2_stdout(&self.stdout)?;
        dup2_stderr(&self.stderr)?;
        show_name();
        self.to_parent.write_all(&[report::REACHED])
    }
}

/// Returns the message of a panic, if it has one.
fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the sandboxed closure panicked with a value that is no text").to_owned()
}

/// The program was started as /proc/self/exe, so without this `ps` would show `exe`.
pub(super) fn show_name() {
    let program = env::args_os().next().unwrap_or_default();
    if let Some(name) = std::path::Path::new(&program).file_name() {
        // The kernel cuts the name after 15 bytes.
        file::overwrite("/proc/self/comm", name.as_encoded_bytes()).ok();
    }
}

/// Ends the process, because a closure around the wanted one ended without calling it.
pub(super) fn missed() -> ! {
    drop(io::stdout().flush());
    process::exit(101)
}
