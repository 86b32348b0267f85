//! Runs a closure, a test or a whole program inside fresh namespaces. Replaces `unshare -nm`, and
//! `unshare -rnm` for an ordinary user.
//!
//! Inside, the network has only a `lo` that is down, and the program has every network privilege.
//! The mounts are a private copy. /run has only the entries that the program needs, so /run/netns
//! belongs to the sandbox. /sys shows the sandbox's network and no cgroups, unless the kernel
//! refuses the mount, as in containers. The kernel removes everything when the program ends.
//! Process ids and other files are the machine's; as root, the rest of the machine can be changed
//! too.
//!
//! | what | how |
//! |---|---|
//! | a test, or any closure | [`run`] |
//! | a test whose helper does something before and after | [`run_wrapped`] |
//! | a program, from the first line of its `main` | [`enter`] |
//!
//! No process with threads is forked and continued. Instead, the program's own file is started
//! again inside, and runs up to the closure.
//!
//! See [`unshare(1)`](https://man7.org/linux/man-pages/man1/unshare.1.html) and
//! [`user_namespaces(7)`](https://man7.org/linux/man-pages/man7/user_namespaces.7.html).

mod child;
pub(crate) mod limits;
mod parent;
pub(crate) mod setup;
mod streams;
mod target;

use std::any::type_name;
use std::env;
use std::ffi::OsString;
use std::process::Termination;

use crate::error::Error;
use crate::sys::{file, hook};

/// The variable that names the network namespace outside the sandbox. The cargo runner sets it too.
const LEFT: &str = "NETLOOM_SANDBOX";

/// Runs a closure inside fresh network and mount namespaces: `unshare -rnm` for a test. Without
/// `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`, also creates a user namespace.
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
/// The closure runs in a child: the program's own file, started again inside the namespaces. The
/// child runs up to the same call, and ends with the closure. This has consequences:
///
/// - Tests run in parallel, under `cargo test` with any number of threads and under `cargo
///   nextest`.
/// - The child also runs the code before the call, but drops none of its values. Create a temporary
///   file inside the closure, for example. The child does not run the code after the call.
/// - Memory that the closure changes, changes in the child only.
/// - Calls must have the same order in each run, because the child counts them.
/// - A call inside a closure gets further namespaces. The outer closure runs again in them, up to
///   that call.
///
/// The child finds a test by the type name of its closure, so the closure must be written in the
/// test. Helpers take the test's closure and call [`run_wrapped`]. Programs other than tests are
/// started with the same arguments.
///
/// The child's output is printed by the caller, so libtest captures it. If the closure panics,
/// returns an error, exits or is killed, the caller panics with the same message. The child is
/// killed when the caller's thread or process dies.
///
/// # Errors
///
/// - The kernel refuses the namespaces. The error names the setting (such as
///   `user.max_user_namespaces`) and the remedy.
/// - The restarted program never reached the closure, so nothing was tested.
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

/// Runs a closure like [`run`], for a helper with code before and after a test's closure. `wrapper`
/// gets the closure, inside.
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
/// The errors of [`run`].
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

/// Moves the whole program inside fresh network and mount namespaces, like `unshare -rnm`. Without
/// `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`, also creates a user namespace.
///
/// The program starts again with the same arguments in the same process, and this returns once
/// inside. Call it first in `main`, before any thread starts: an ordinary user's process with
/// threads can't create a user namespace. Inside a sandbox of `enter`, [`run`] or the cargo runner
/// it does nothing.
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
/// The kernel refuses the namespaces. The error names the setting (such as
/// `user.max_user_namespaces`) and the remedy. The process may be in some of the namespaces then,
/// and should end.
#[doc(alias = "unshare")]
#[doc(alias = "unshare -rnm")]
pub fn enter() -> Result<(), Error> {
    if is_inside() {
        child::show_name();
        return Ok(());
    }
    let mut command = parent::this_program();
    command.args(env::args_os().skip(1));
    let has_user = setup::inside(&mut command);
    Err(setup::explain(hook::exec(&mut command), has_user))
}

fn is_inside() -> bool {
    let left = env::var_os(LEFT).filter(|left| left.as_encoded_bytes().starts_with(b"net:["));
    let is_elsewhere = left.is_some_and(|left| left != network_namespace());
    child::has_arrived() || is_elsewhere && setup::has_sandboxed_run()
}

/// This thread's network namespace, as `net:[4026531840]`.
fn network_namespace() -> OsString {
    file::read_link("/proc/thread-self/ns/net").unwrap_or_default().into_os_string()
}
