//! Entering a network namespace on the calling thread, and returning.
//!
//! A thread that could not return would run later code in the wrong namespace. So the return is
//! tried first: `setns(home)` while at home requires the same permission.

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
    /// The return was tried before the thread left its namespace, and refused. The thread has not
    /// left.
    Return(Errno),
    /// Entering or creating the namespace was refused.
    Entry(Errno),
    /// The system call inside the namespace failed.
    Call(Errno),
}

/// A namespace to enter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    /// An open namespace, or the namespace of a process, by its pidfd.
    Open(BorrowedFd<'a>),
    New,
}

impl Target<'_> {
    /// Moves the calling thread into the namespace, without a return.
    pub(crate) fn enter(self) -> Result<(), Errno> {
        fault::system_call(self.call())?;
        self.go()
    }

    fn call(self) -> &'static str {
        match self {
            Self::Open(_) => "setns",
            Self::New => "unshare",
        }
    }

    fn go(self) -> Result<(), Errno> {
        match self {
            Self::Open(namespace) => setns(namespace, CloneFlags::CLONE_NEWNET),
            Self::New => unshare(CloneFlags::CLONE_NEWNET),
        }
    }
}

/// Makes system calls in another namespace, on the calling thread. `name` names the last call.
///
/// Signals are blocked meanwhile, so no handler runs inside. `calls` may neither wait nor allocate.
pub(crate) fn calls_inside<T>(
    target: Target<'_>,
    home: BorrowedFd<'_>,
    name: &'static str,
    calls: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Refused> {
    // Inject a fault before entering, because no fault may run inside.
    fault::system_call(name).map_err(Refused::Call)?;
    fault::system_call(target.call()).map_err(Refused::Entry)?;
    let _signals = BlockedSignals::new();
    let _away = Away::leave(|| target.go(), home)?;
    calls().map_err(Refused::Call)
}

/// Opens the calling thread's namespace file, and a socket in that namespace.
pub(crate) fn file_and_socket(socket: NewSocket) -> Result<(OwnedFd, OwnedFd), Errno> {
    Ok((own_namespace()?, socket.open()?))
}

fn own_namespace() -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    open(c"/proc/thread-self/ns/net", flags, Mode::empty())
}

/// Opens the calling thread's namespace, so that the thread can return to it.
pub(crate) fn own() -> Result<OwnedFd, Errno> {
    fault::system_call("open")?;
    own_namespace()
}

/// Returns the calling thread to its namespace. Tries only once.
pub(crate) fn move_home(home: BorrowedFd<'_>) -> Result<(), Errno> {
    setns(home, CloneFlags::CLONE_NEWNET)
}

/// The guard of a thread that is in another namespace. Dropping it returns the thread.
#[derive(Debug)]
pub(crate) struct Away<'a> {
    home: BorrowedFd<'a>,
}

impl<'a> Away<'a> {
    /// Takes the calling thread into a namespace.
    pub(crate) fn enter(namespace: BorrowedFd<'_>, home: BorrowedFd<'a>) -> Result<Self, Refused> {
        Self::leave(|| Target::Open(namespace).enter(), home)
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

/// The number of attempts to return, a millisecond apart. A memory shortage may be temporary.
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

/// Aborts the process, because further system calls on this thread would act on another namespace.
fn abort_away() -> ! {
    const LINE: &[u8] = b"netloom: a thread can't return to its network namespace; aborting\n";
    nix::unistd::write(io::stderr(), LINE).ok();
    std::process::abort()
}

/// A guard that blocks all signals but SIGSYS for the calling thread.
///
/// glibc's own functions leave two signals unblocked, and one of them runs `setuid` on every
/// thread. SIGSYS stays unblocked, because a seccomp filter may answer with it.
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
