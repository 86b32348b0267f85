//! A closure, a test or a whole program inside namespaces of its own, as root and without: what
//! `unshare -nm` and, for an ordinary user, `unshare -rnm` do.
//!
//! Inside, the network has nothing but a `lo` that is down, and every network privilege is there.
//! The mounts are a private copy. /run is empty but for what the program itself needs, so /run/netns
//! belongs to the sandbox. /sys shows the sandbox's network, and no cgroups, unless the kernel refuses
//! that, as in containers. When the program ends the kernel removes it all. The
//! process ids, the files elsewhere and, as root, the rest of the machine are still the machine's.
//!
//! | what | how |
//! |---|---|
//! | a test, or any closure | [`run`] |
//! | a test whose helper does something before and after | [`run_wrapped`] |
//! | a program, from the first line of its `main` | [`enter`] |
//!
//! Nothing here forks a process with threads and lets it go on: the program's own file is started
//! anew, inside, and finds its way to the closure by itself.
//!
//! See [`unshare(1)`](https://man7.org/linux/man-pages/man1/unshare.1.html) and
//! [`user_namespaces(7)`](https://man7.org/linux/man-pages/man7/user_namespaces.7.html).

mod child;
pub(crate) mod limits;
mod parent;
mod setup;
mod streams;
mod target;

use std::any::type_name;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Termination;

use crate::error::Error;

/// The variable that names the network namespace which was left for the sandbox. The cargo runner
/// sets it too.
const LEFT: &str = "NETLOOM_SANDBOX";

/// Runs a closure inside fresh network and mount namespaces, and a fresh user namespace unless the
/// process has `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`: `unshare -rnm` for a test.
///
/// ```
/// use netloom::sandbox;
///
/// // A test, under `#[test]`.
/// fn a_fresh_network_has_only_lo() -> Result<(), netloom::Error> {
///     sandbox::run(|| {
///         let devices = std::fs::read_to_string("/proc/net/dev").unwrap();
///         assert_eq!(devices.lines().skip(2).count(), 1);
///     })
/// }
/// # a_fresh_network_has_only_lo().unwrap();
/// ```
///
/// The closure runs in a child: the program's own file, started anew inside the namespaces, which
/// comes to the same call and ends with the closure. So
///
/// - tests run in parallel, under `cargo test` with any number of threads and under `cargo nextest`;
/// - what stands before the call runs in the child once more, and is not dropped there: a temporary
///   file, say, is made inside the closure; what stands after the call does not run in the child;
/// - what the closure changes in memory stays in the child;
/// - calls have to come in the same order each time: the child counts them;
/// - a call inside a closure gets namespaces of its own, and the outer closure runs again, in them,
///   up to that call.
///
/// A test is found by the name of its closure's type, so the closure has to be written in the test.
/// Helpers take the test's closure and call [`run_wrapped`]. A program that is no test is started
/// with the arguments it had.
///
/// What the closure prints is passed on as the caller's own, captured like that by libtest. When
/// it panics, returns an error, exits or is killed, that is the caller's panic, with the message of
/// the closure's own. The child is killed when the caller's thread or process dies.
///
/// # Errors
///
/// Where the namespaces are refused: the error says which setting is in the way (such as
/// `user.max_user_namespaces`) and what to do. And where the program, started anew, never came to
/// the closure: nothing was tested then.
#[doc(alias = "unshare")]
#[doc(alias = "unshare -rnm")]
#[doc(alias = "CLONE_NEWNET")]
pub fn run<F, R>(closure: F) -> Result<(), Error>
where
    F: FnOnce() -> R,
    R: Termination,
{
    run_wrapped(closure, |closure| closure())
}

/// [`run`] for a helper that does something before and after a test's closure: `wrapper` gets it,
/// inside.
///
/// ```
/// use netloom::sandbox;
///
/// /// A test that must not leave anything in /run.
/// fn tidy(test: impl FnOnce()) {
///     let sandboxed = sandbox::run_wrapped(test, |test| {
///         test();
///         assert_eq!(std::fs::read_dir("/run").unwrap().count(), 0);
///     });
///     sandboxed.unwrap();
/// }
///
/// tidy(|| {
///     std::fs::write("/run/note", "short").unwrap();
///     std::fs::remove_file("/run/note").unwrap();
/// });
/// ```
///
/// # Errors
///
/// As [`run`].
pub fn run_wrapped<F, R>(test: F, wrapper: impl FnOnce(F) -> R) -> Result<(), Error>
where
    R: Termination,
{
    let place = type_name::<F>();
    match child::arrive(place) {
        child::Arrival::Elsewhere(path) => parent::run(place, &path),
        child::Arrival::Here(report) => report.conclude(|| wrapper(test)),
        child::Arrival::OnTheWay => {
            drop(wrapper(test));
            child::missed()
        }
        child::Arrival::Passed => Ok(()),
    }
}

/// Moves the whole program inside fresh network and mount namespaces, and a fresh user namespace
/// unless it has `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`: what starting it by `unshare -rnm` does.
///
/// The program starts anew with the same arguments, in the same process, and this returns once inside.
/// Call it first thing in `main`, before any thread is started: an ordinary user's process with threads
/// gets no user namespace. Inside a sandbox of `enter`, [`run`] or the cargo runner it does nothing.
///
/// ```
/// fn main() -> Result<(), netloom::Error> {
///     netloom::sandbox::enter()?;
///     // From here on nothing reaches the machine's own network.
///     netloom::Netns::current()?.link("lo")?.set_up()?;
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// Where the namespaces are refused: the error says which setting is in the way (such as
/// `user.max_user_namespaces`) and what to do. The process may be in some of them by then, and
/// should end.
#[doc(alias = "unshare")]
#[doc(alias = "unshare -rnm")]
pub fn enter() -> Result<(), Error> {
    if is_inside() {
        child::show_name();
        return Ok(());
    }
    let mut command = parent::this_program();
    command.args(env::args_os().skip(1));
    let failure = setup::inside(&mut command)?;
    let error = command.exec();
    Err(failure.explain(command, error))
}

fn is_inside() -> bool {
    let left = env::var_os(LEFT).filter(|left| left.as_encoded_bytes().starts_with(b"net:["));
    let is_elsewhere = left.is_some_and(|left| left != network_namespace());
    child::has_arrived() || is_elsewhere && setup::has_sandboxed_run()
}

/// This thread's network namespace, as `net:[4026531840]`.
fn network_namespace() -> OsString {
    fs::read_link("/proc/thread-self/ns/net").unwrap_or_default().into_os_string()
}
