//! Enters a namespace: for one system call on the calling thread, or for a closure on a new thread.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::resume_unwind;

use nix::errno::Errno;

use super::identity::NetnsId;
use crate::error::{Cause, SYS_ADMIN, takes};
use crate::sys::NewSocket;
use crate::sys::namespace::{self, Refused, Target};
use crate::sys::spin;
use crate::sys::thread::{self, ThreadId};

/// Runs `closure` on a thread inside the namespace, and continues its panic in the caller.
pub(super) fn inside<T: Send>(
    namespace: BorrowedFd<'_>,
    closure: impl FnOnce() -> T + Send,
) -> Result<T, Cause> {
    let home = home_from(namespace)?;
    on_thread(|| {
        let _home = enter(namespace, home)?;
        Ok(closure())
    })
}

/// Opens a socket that stays in the namespace.
pub(super) fn socket_inside(
    namespace: BorrowedFd<'_>,
    socket: NewSocket,
) -> Result<OwnedFd, Cause> {
    let Some(home) = home_from(namespace)? else { return Ok(socket.open()?) };
    calls(Target::Open(namespace), &home, "socket", || socket.open())
}

/// Makes a namespace and opens a socket inside.
pub(super) fn new_place(socket: NewSocket) -> Result<Place, Cause> {
    place(Target::New, socket)
}

/// Opens the namespace of a process, by its pidfd, and a socket inside.
pub(super) fn place_of_process(pidfd: BorrowedFd<'_>, socket: NewSocket) -> Result<Place, Cause> {
    place(Target::Open(pidfd), socket)
}

/// The file of a namespace, and a socket inside.
type Place = (OwnedFd, OwnedFd);

fn place(target: Target<'_>, socket: NewSocket) -> Result<Place, Cause> {
    calls(target, &own_file()?, "socket", || namespace::file_and_socket(socket))
}

/// Makes system calls that neither wait nor allocate in a namespace: on the calling thread, or on
/// one that ends there if the calling thread could not return. `name` is that of the last call.
pub(super) fn calls<T: Send>(
    target: Target<'_>,
    home: &OwnedFd,
    name: &'static str,
    calls: impl Fn() -> Result<T, Errno> + Send + Sync,
) -> Result<T, Cause> {
    match namespace::calls_inside(target, home.as_fd(), name, &calls) {
        Err(Refused::Return(_)) => on_thread(|| {
            target.enter().map_err(takes(SYS_ADMIN))?;
            Ok(calls()?)
        }),
        called => called.map_err(cause_of),
    }
}

/// Explains a refusal: only entry and return take a privilege.
pub(super) fn cause_of(refused: Refused) -> Cause {
    match refused {
        Refused::Return(errno) | Refused::Entry(errno) => takes(SYS_ADMIN)(errno),
        Refused::Call(errno) => errno.into(),
    }
}

/// Opens the calling thread's namespace, unless it is the given one. Then there is nothing to
/// enter.
///
/// A thread must not do this for itself just before it ends: its entry in `/proc` would cost the
/// kernel 1 ms (6.18).
pub(super) fn home_from(namespace: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Cause> {
    let own = own_file()?;
    let is_here = NetnsId::of(&own)? == NetnsId::of(namespace)?;
    Ok((!is_here).then_some(own))
}

/// Moves a thread of netloom's own inside, until the value is dropped. Without a `home`, the thread
/// is inside already.
pub(super) fn enter(
    namespace: BorrowedFd<'_>,
    home: Option<OwnedFd>,
) -> Result<Option<GoHome>, Cause> {
    let Some(home) = home else { return Ok(None) };
    Target::Open(namespace).enter().map_err(takes(SYS_ADMIN))?;
    Ok(Some(GoHome(home)))
}

thread_local! {
    /// The threads that wait for this one in netloom's code.
    static WAITING: RefCell<Vec<ThreadId>> = const { RefCell::new(Vec::new()) };
}

/// Returns whether a thread waits for this one. Waiting for that thread would be a deadlock.
pub(super) fn is_waited_for_by(thread: ThreadId) -> bool {
    WAITING.with_borrow(|waiting| waiting.contains(&thread))
}

/// Runs `closure` on a new thread, and continues its panic in the caller.
pub(crate) fn on_thread<T: Send>(
    closure: impl FnOnce() -> Result<T, Cause> + Send,
) -> Result<T, Cause> {
    let mut waiting = WAITING.with_borrow(Vec::clone);
    waiting.push(thread::current().id());
    thread::scope(|scope| {
        let thread = thread::spawn_scoped(scope, "netloom", || {
            WAITING.set(waiting);
            closure()
        })?;
        spin::until(|| thread.is_finished());
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Returns a thread of netloom's own to its namespace when dropped, also by a panic. A thread that
/// can't return ends anyway. Without the return, other processes could see it inside for a moment
/// after its join.
pub(super) struct GoHome(pub(super) OwnedFd);

impl Drop for GoHome {
    fn drop(&mut self) {
        if let Err(errno) = namespace::move_home(self.0.as_fd()) {
            log::warn!("a thread could not leave its namespace and ends there: {errno}");
        }
    }
}

/// Opens the calling thread's namespace.
pub(super) fn own_file() -> Result<OwnedFd, Cause> {
    Ok(namespace::own()?)
}
