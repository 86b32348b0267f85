//! Changes to this process: forked, interrupted, or with fewer rights.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// Forks the process and runs `work` in the copy, which ends afterwards, without unwinding. Panics
/// if `work` takes more than half a minute, or does not return true.
#[track_caller]
pub(crate) fn in_a_fork(work: impl FnOnce() -> bool) {
    beside_a_fork(work, || ());
}

/// Does what [`in_a_fork`] does, and runs `meanwhile` in the parent at the same time.
#[track_caller]
#[allow(unsafe_code)]
pub(crate) fn beside_a_fork(work: impl FnOnce() -> bool, meanwhile: impl FnOnce()) {
    // SAFETY: no other thread of the test holds a lock that `work` could wait for; if one did, the
    // copy would be killed below.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            // SAFETY: it ends the process at once, and runs nothing.
            unsafe { libc::_exit(i32::from(!done.unwrap_or(false))) }
        }
        ForkResult::Parent { child } => {
            let meanwhile = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
            let patience = Instant::now() + Duration::from_secs(30);
            loop {
                match waitpid(child, Some(WaitPidFlag::WNOHANG)).unwrap() {
                    WaitStatus::StillAlive if Instant::now() < patience => {
                        thread::sleep(Duration::from_millis(2));
                    }
                    WaitStatus::StillAlive => {
                        nix::sys::signal::kill(child, Signal::SIGKILL).unwrap();
                        waitpid(child, None).unwrap();
                        panic!("the forked process hangs");
                    }
                    ended => {
                        meanwhile.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                        return assert_eq!(ended, WaitStatus::Exited(child, 0));
                    }
                }
            }
        }
    }
}

/// Interrupts every thread of this process a thousand times a second while `work` runs. Sooner or
/// later each interruptible system call fails with EINTR, because the handler requests no restart.
#[allow(unsafe_code)]
pub(crate) fn interrupted<T>(work: impl FnOnce() -> T) -> T {
    extern "C" fn nothing(_: i32) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // The handler stays installed, because a signal may still be pending afterwards.
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGALRM, &action) }.unwrap();
    let done = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            let own = thread_ids_of("thread-self");
            while !done.load(Ordering::Relaxed) {
                for thread in thread_ids_of("self").difference(&own) {
                    // SAFETY: three numbers; a thread that has ended meanwhile is ESRCH.
                    unsafe {
                        libc::syscall(libc::SYS_tgkill, std::process::id(), *thread, libc::SIGALRM);
                    }
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        let work = std::panic::AssertUnwindSafe(work);
        let outcome = std::panic::catch_unwind(work);
        done.store(true, Ordering::Relaxed);
        outcome
    });
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Lists the threads of this process, or only the calling one.
fn thread_ids_of(whose: &str) -> BTreeSet<u32> {
    let number = |name: &std::path::Path| name.file_name()?.to_str()?.parse().ok();
    if whose == "self" {
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        tasks.filter_map(|task| number(&task.path())).collect()
    } else {
        fs::read_link("/proc/thread-self").ok().and_then(|path| number(&path)).into_iter().collect()
    }
}

/// Removes all capabilities except these bits from the calling thread, and so from threads that it
/// starts.
#[allow(unsafe_code)]
pub(crate) fn keep_capabilities(bits: u32) {
    let header = [0x2008_0522_u32, 0]; // _LINUX_CAPABILITY_VERSION_3, this thread
    let sets = [bits, bits, 0, 0, 0, 0];
    // SAFETY: the call reads the header and three numbers for each of two halves (capset(2)).
    let done = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    assert_eq!(done, 0, "capset");
}

/// Makes the kernel refuse a system call with this errno, permanently, for the calling thread and
/// its threads.
pub(crate) fn refuse_system_call(number: libc::c_long, errno: i32) {
    refuse(number, &[], errno);
}

/// Makes the kernel refuse each clone(2) that creates a network namespace, permanently, for the
/// calling thread and its threads.
pub(crate) fn refuse_clone_of_network(errno: i32) {
    // The low half of the first argument, which holds the flags.
    let flags = if cfg!(target_endian = "big") { 20 } else { 16 };
    let is_set = jump(libc::BPF_JSET, 0, 1, libc::CLONE_NEWNET.cast_unsigned());
    refuse(libc::SYS_clone, &[load(flags), is_set], errno);
}

/// Makes the kernel refuse to create files without a name (`O_TMPFILE`), as overlayfs did before
/// Linux 6.1.
pub(crate) fn refuse_files_without_a_name() {
    // The low half of the third argument, which holds the flags.
    let flags = if cfg!(target_endian = "big") { 36 } else { 32 };
    let flag = (libc::O_TMPFILE & !libc::O_DIRECTORY).cast_unsigned();
    let is_set = jump(libc::BPF_JSET, 0, 1, flag);
    refuse(libc::SYS_openat, &[load(flags), is_set], libc::EOPNOTSUPP);
}

#[allow(clippy::cast_possible_truncation)] // codes are 16 bits of a wider constant
fn step(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}

fn load(offset: u32) -> libc::sock_filter {
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

fn jump(test: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    step(libc::BPF_JMP | test | libc::BPF_K, jt, jf, k)
}

/// Refuses a call of this number if the filter steps `more` agree. If they don't, their last step
/// must skip the refusal.
#[allow(unsafe_code)]
fn refuse(number: libc::c_long, more: &[libc::sock_filter], errno: i32) {
    let answer = |answer| step(libc::BPF_RET | libc::BPF_K, 0, 0, answer);
    let past = u8::try_from(more.len() + 1).unwrap();
    // First seccomp_data.nr.
    let mut filter = vec![load(0), jump(libc::BPF_JEQ, 0, past, u32::try_from(number).unwrap())];
    filter.extend(more);
    filter.push(answer(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()));
    filter.push(answer(libc::SECCOMP_RET_ALLOW));
    let length = u16::try_from(filter.len()).unwrap();
    let program = libc::sock_fprog { len: length, filter: filter.as_mut_ptr() };
    // SAFETY: the program and its steps live until the calls return; the kernel checks and copies
    // them.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}
