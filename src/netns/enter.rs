//! Entering a namespace: for a system call on the calling thread, or for a closure on a new thread.

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

/// Runs `closure` on a thread inside the namespace. A panic of the closure continues in the caller.
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
    calls(target, &namespace::own()?, "socket", || namespace::file_and_socket(socket))
}

/// Makes system calls inside a namespace. The calls may neither wait nor allocate. They run on the
/// calling thread, or, if that thread could not return, on a new one. `name` names the last call.
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

/// Converts a refusal to a cause. Only entering and returning require a privilege.
pub(super) fn cause_of(refused: Refused) -> Cause {
    match refused {
        Refused::Return(errno) | Refused::Entry(errno) => takes(SYS_ADMIN)(errno),
        Refused::Call(errno) => errno.into(),
    }
}

/// Opens the calling thread's namespace, to return to it. Returns `None` if the thread is in the
/// given namespace already.
///
/// Don't call this on a thread that ends soon after: creating its entry in `/proc` costs the kernel
/// 1 ms (6.18).
pub(super) fn home_from(namespace: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Cause> {
    let own = namespace::own()?;
    let is_here = NetnsId::of(&own)? == NetnsId::of(namespace)?;
    Ok((!is_here).then_some(own))
}

/// Moves one of netloom's own threads into the namespace until the returned guard is dropped. A
/// `home` of `None` means that the thread is inside already.
pub(super) fn enter(
    namespace: BorrowedFd<'_>,
    home: Option<OwnedFd>,
) -> Result<Option<GoHome>, Cause> {
    let Some(home) = home else { return Ok(None) };
    Target::Open(namespace).enter().map_err(takes(SYS_ADMIN))?;
    Ok(Some(GoHome(home)))
}

thread_local! {
    /// The threads that wait until this thread has run their closure.
    static WAITING: RefCell<Vec<ThreadId>> = const { RefCell::new(Vec::new()) };
}

/// Returns whether `thread` waits for this thread. To wait for `thread` would be a deadlock.
pub(super) fn is_waited_for_by(thread: ThreadId) -> bool {
    WAITING.with_borrow(|waiting| waiting.contains(&thread))
}

/// Runs `closure` on a new thread. A panic of the closure continues in the caller.
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

/// A guard that returns one of netloom's own threads to its namespace, even after a panic. If the
/// return fails, the thread just ends. Without a return, other processes could see the thread
/// inside for a moment after its join.
pub(super) struct GoHome(pub(super) OwnedFd);

impl Drop for GoHome {
    fn drop(&mut self) {
        if let Err(errno) = namespace::move_home(self.0.as_fd()) {
            log::warn!("a thread could not leave its namespace and ends there: {errno}");
        }
    }
}
