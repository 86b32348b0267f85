//! Code inside a namespace: on a thread of its own, which goes home before it ends.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::resume_unwind;
use std::thread;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};

use super::identity::NetnsId;
use crate::awake;
use crate::error::{Cause, SYS_ADMIN, takes};
use crate::fault;
use crate::sys::{self, NewSocket, NotOpened};

/// Runs `closure` on a thread that is in the namespace, and passes its panic on.
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

/// Opens a socket that stays in the namespace: by a thread that makes three system calls and no more, where
/// the C library can start one.
pub(super) fn socket_inside(
    namespace: BorrowedFd<'_>,
    socket: NewSocket,
) -> Result<OwnedFd, Cause> {
    let open = || {
        fault::system_call("socket")?;
        Ok(socket.open()?)
    };
    let Some(home) = home_from(namespace)? else { return open() };
    fault::system_call("clone")?;
    let opened = sys::socket_in_namespace(socket, namespace, home.as_fd());
    if matches!(opened, Err(NotOpened::Thread(Errno::EINVAL | Errno::ENOSYS))) {
        return on_thread(|| {
            let _home = enter(namespace, Some(home))?;
            open()
        });
    }
    fault::system_call("setns")?;
    fault::system_call("socket")?;
    opened.map_err(|step| match step {
        NotOpened::Entering(errno) => takes(SYS_ADMIN)(errno),
        NotOpened::Thread(errno) | NotOpened::Socket(errno) => errno.into(),
    })
}

/// Where a thread that the calling one starts has to go home to from a namespace: nowhere, where it is
/// in it already. To be asked before the thread starts: what a thread looks up of itself in `/proc`
/// costs the kernel 1 ms when the thread ends (6.18).
pub(super) fn home_from(namespace: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Cause> {
    let own = own_file()?;
    let is_here = NetnsId::of(&own)? == NetnsId::of(namespace)?;
    Ok((!is_here).then_some(own))
}

/// Takes the calling thread inside until the value is dropped. Where it is inside already this needs no
/// privilege.
pub(super) fn enter(
    namespace: BorrowedFd<'_>,
    home: Option<OwnedFd>,
) -> Result<Option<GoHome>, Cause> {
    let Some(home) = home else { return Ok(None) };
    fault::system_call("setns")?;
    setns(namespace, CloneFlags::CLONE_NEWNET).map_err(takes(SYS_ADMIN))?;
    Ok(Some(GoHome(home)))
}

/// Runs `closure` on a thread of its own, and passes its panic on.
pub(crate) fn on_thread<T: Send>(
    closure: impl FnOnce() -> Result<T, Cause> + Send,
) -> Result<T, Cause> {
    thread::scope(|scope| {
        fault::system_call("clone")?;
        let builder = thread::Builder::new().name("netloom".into());
        let thread = builder.spawn_scoped(scope, closure)?;
        awake::until(|| thread.is_finished());
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Takes the thread home when dropped, also by a panic. A thread that can't go home ends all the same
/// and is never used again; joining does not wait for its last moments in the kernel, so that it
/// would otherwise be seen in the other namespace for a while.
pub(super) struct GoHome(pub(super) OwnedFd);

impl Drop for GoHome {
    fn drop(&mut self) {
        if let Err(errno) = setns(&self.0, CloneFlags::CLONE_NEWNET) {
            log::warn!("a thread could not leave its namespace and ends there: {errno}");
        }
    }
}

/// The calling thread's namespace.
pub(super) fn own_file() -> Result<OwnedFd, Cause> {
    fault::system_call("open")?;
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}
