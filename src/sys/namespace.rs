//! Entering a network namespace on the calling thread, and returning.
//!
//! A thread that could not return would break whatever runs on it next. So the return is tried
//! first: `setns(home)` at home asks the kernel for the same permission.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;

use super::NewSocket;
use crate::fault;

/// The step that the kernel refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The return. The thread has not left.
    Return(Errno),
    /// Entering the namespace, or making it.
    Entry(Errno),
    /// The call inside.
    Call(Errno),
}

/// The file of a namespace, and a socket inside.
pub(crate) type Place = (OwnedFd, OwnedFd);

/// Opens a socket in another namespace.
pub(crate) fn socket_inside(
    socket: NewSocket,
    namespace: BorrowedFd<'_>,
    home: BorrowedFd<'_>,
) -> Result<OwnedFd, Refused> {
    fault::system_call("socket").map_err(Refused::Call)?;
    fault::system_call("setns").map_err(Refused::Entry)?;
    calls_inside(|| setns(namespace, CloneFlags::CLONE_NEWNET), home, || socket.open())
}

/// Opens the network namespace of a process, by its pidfd, and a socket inside.
pub(crate) fn place_of_process(
    pidfd: BorrowedFd<'_>,
    socket: NewSocket,
    home: BorrowedFd<'_>,
) -> Result<Place, Refused> {
    fault::system_call("socket").map_err(Refused::Call)?;
    fault::system_call("setns").map_err(Refused::Entry)?;
    let calls = || Ok((own_namespace()?, socket.open()?));
    calls_inside(|| setns(pidfd, CloneFlags::CLONE_NEWNET), home, calls)
}

/// Makes a namespace and opens a socket inside.
pub(crate) fn new_place(socket: NewSocket, home: BorrowedFd<'_>) -> Result<Place, Refused> {
    fault::system_call("socket").map_err(Refused::Call)?;
    fault::system_call("unshare").map_err(Refused::Entry)?;
    let calls = || Ok((own_namespace()?, socket.open()?));
    calls_inside(|| unshare(CloneFlags::CLONE_NEWNET), home, calls)
}

/// Makes system calls in another namespace, on the calling thread.
///
/// No signal handler runs meanwhile. `calls` only makes system calls that neither wait nor
/// allocate.
fn calls_inside<T>(
    enter: impl FnOnce() -> Result<(), Errno>,
    home: BorrowedFd<'_>,
    calls: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Refused> {
    let _signals = BlockedSignals::new();
    let _away = Away::leave(enter, home)?;
    calls().map_err(Refused::Call)
}

/// Opens the file of the calling thread's namespace.
fn own_namespace() -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    open(c"/proc/thread-self/ns/net", flags, Mode::empty())
}

/// Opens the file of the calling thread's namespace, for its return.
pub(crate) fn own() -> Result<OwnedFd, Errno> {
    fault::system_call("open")?;
    own_namespace()
}

/// Returns the calling thread to its namespace. A refused return is not tried again.
pub(crate) fn move_home(home: BorrowedFd<'_>) -> Result<(), Errno> {
    setns(home, CloneFlags::CLONE_NEWNET)
}

/// Moves the calling thread into a new namespace for good.
pub(crate) fn move_to_new() -> Result<(), Errno> {
    fault::system_call("unshare")?;
    unshare(CloneFlags::CLONE_NEWNET)
}

/// Moves the calling thread into a namespace for good.
pub(crate) fn move_to(namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    fault::system_call("setns")?;
    setns(namespace, CloneFlags::CLONE_NEWNET)
}

/// The guard of a thread that is in another namespace. Dropping it returns the thread.
#[derive(Debug)]
pub(crate) struct Away<'a> {
    home: BorrowedFd<'a>,
}

impl<'a> Away<'a> {
    /// Takes the calling thread into a namespace.
    pub(crate) fn enter(namespace: BorrowedFd<'_>, home: BorrowedFd<'a>) -> Result<Self, Refused> {
        Self::leave(|| move_to(namespace), home)
    }

    fn leave(
        enter: impl FnOnce() -> Result<(), Errno>,
        home: BorrowedFd<'a>,
    ) -> Result<Self, Refused> {
        setns(home, CloneFlags::CLONE_NEWNET).map_err(Refused::Return)?;
        enter().map_err(Refused::Entry)?;
        Ok(Self { home })
    }
}

/// The limit of attempts to return, a millisecond apart. A memory limit may be temporary.
const ATTEMPTS: u32 = 1000;

impl Drop for Away<'_> {
    fn drop(&mut self) {
        for _ in 0..ATTEMPTS {
            let returns =
                fault::on_return().and_then(|()| setns(self.home, CloneFlags::CLONE_NEWNET));
            if returns.is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        abort_away();
    }
}

/// Ends the process: its next system call on this thread would act on another namespace's network.
fn abort_away() -> ! {
    const LINE: &[u8] = b"netloom: a thread can't return to its network namespace; aborting\n";
    nix::unistd::write(io::stderr(), LINE).ok();
    std::process::abort()
}

/// Blocks all signals but SIGSYS for the calling thread, until it is dropped.
///
/// glibc's own functions leave two signals open, and `setuid` of another thread arrives by one of
/// them. SIGSYS stays open because a seccomp filter may answer by it.
struct BlockedSignals {
    before: SignalSet,
}

/// The kernel's own signal set, which is smaller than the C library's.
type SignalSet = [libc::c_ulong; SIGNAL_SET / size_of::<libc::c_ulong>()];

const SIGNAL_SET: usize =
    if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 16 } else { 8 };

impl BlockedSignals {
    fn new() -> Self {
        const BITS: usize = libc::c_ulong::BITS as usize;
        let bit = libc::SIGSYS.unsigned_abs() as usize - 1;
        let mut all: SignalSet = [libc::c_ulong::MAX; SIGNAL_SET / size_of::<libc::c_ulong>()];
        if let Some(word) = all.get_mut(bit / BITS) {
            *word &= !(1 << (bit % BITS));
        }
        Self { before: set_mask(&all) }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        set_mask(&self.before);
    }
}

fn set_mask(set: &SignalSet) -> SignalSet {
    let mut before = [0; SIGNAL_SET / size_of::<libc::c_ulong>()];
    // SAFETY: the kernel reads one signal set and writes another, both of the size that it is told.
    // It refuses no valid size and no valid `how`. Both sets live until the call returns.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            ptr::from_ref(set),
            &raw mut before,
            SIGNAL_SET,
        )
    };
    before
}
