//! Creating a namespace involves no child, thread or signal of the program. A refusal is reported.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use netloom::{Namespace, Netns};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// Drops all capabilities of the calling thread but one, given by its number.
#[allow(unsafe_code)]
fn keep_only(capability: u32) {
    let header = [0x2008_0522_u32, 0]; // _LINUX_CAPABILITY_VERSION_3, this thread
    let mut sets = [0_u32; 6];
    sets[..2].fill(1 << capability);
    // SAFETY: the call reads the header and three numbers for each of two halves (capset(2)).
    let done = unsafe { nix::libc::syscall(nix::libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    assert_eq!(done, 0);
}

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;

#[test]
fn it_leaves_no_child_to_wait_for() {
    support::isolated(|| {
        let _red = Namespace::anonymous().create().unwrap();
        let any = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
        assert_eq!(waitpid(Pid::from_raw(-1), Some(any)), Err(Errno::ECHILD));
    });
}

/// Returns the network namespace and the signal mask of the calling thread, as the kernel reports
/// them.
fn of_this_thread() -> (Netns, SigSet) {
    (Netns::current().unwrap(), SigSet::thread_get_mask().unwrap())
}

#[test]
fn the_calling_thread_is_what_it_was() {
    support::isolated(|| {
        let mut blocked = SigSet::empty();
        blocked.add(Signal::SIGUSR2);
        blocked.thread_block().unwrap();
        let before = of_this_thread();
        let red = Namespace::anonymous().create().unwrap();
        assert_eq!(of_this_thread(), before);
        assert_ne!(red.id(), before.0.id());
        // A refused creation also leaves the thread unchanged.
        thread::scope(|scope| {
            let refused = scope.spawn(|| {
                keep_only(CAP_NET_ADMIN);
                let before = of_this_thread();
                let error = Namespace::anonymous().create().unwrap_err();
                assert!(error.is_permission_denied(), "{error}");
                assert!(error.to_string().contains("CAP_SYS_ADMIN"), "{error}");
                assert_eq!(of_this_thread(), before);
            });
            refused.join().unwrap();
        });
    });
}

#[test]
fn it_takes_no_other_privilege() {
    support::isolated(|| {
        thread::scope(|scope| {
            let weak = scope.spawn(|| {
                keep_only(CAP_SYS_ADMIN);
                let red = Namespace::anonymous().create().unwrap();
                assert_eq!(red.run(|| Netns::current().unwrap().id()).unwrap(), red.id());
                assert_eq!(red.links().unwrap().len(), 1);
            });
            weak.join().unwrap();
        });
    });
}

/// A seccomp filter may refuse clone(2) with namespace flags although it allows unshare(2).
#[test]
fn a_clone_that_a_filter_does_not_know_is_no_obstacle() {
    support::isolated(|| {
        let filtered = || {
            support::process::refuse_clone_of_network(Errno::ENOSYS as i32);
            let red = Namespace::anonymous().create().unwrap();
            assert_ne!(red.id(), Netns::current().unwrap().id());
            assert_eq!(red.links().unwrap().len(), 1);
        };
        thread::scope(|scope| scope.spawn(filtered).join().unwrap());
    });
}

/// Valgrind ends a program that starts a bare thread by clone(2), except if valgrind refuses the
/// flags first.
#[test]
fn valgrind_goes_on() {
    support::isolated(|| {
        let program = std::env::current_exe().unwrap();
        let helper = ["--exact", "under_valgrind", "--ignored"];
        let arguments = [&["--tool=none", "-q", program.to_str().unwrap()], &helper[..]].concat();
        if let Some(said) = support::tools::run(&support::Place::here(), "valgrind", &arguments) {
            assert!(said.contains("1 passed"), "{said}");
        }
    });
}

#[test]
#[ignore = "a helper: another test starts it under valgrind"]
fn under_valgrind() {
    let red = Namespace::anonymous().create().unwrap();
    assert_ne!(red.id(), Netns::current().unwrap().id());
    assert_eq!(red.links().unwrap().len(), 1);
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handle(_: i32) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// Signal handlers run on the program's threads, and never on the stack of the thread that creates
/// the namespace.
#[test]
#[allow(unsafe_code)]
fn signals_are_the_programs_own() {
    support::isolated(|| {
        let action = SigAction::new(SigHandler::Handler(handle), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler adds to an atomic number and does nothing else.
        unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
        let (is_over, pid) = (AtomicBool::new(false), Pid::this());
        thread::scope(|scope| {
            scope.spawn(|| {
                // The signal goes to the process: the kernel picks any thread that does not block
                // it.
                while !is_over.load(Ordering::Relaxed) {
                    nix::sys::signal::kill(pid, Signal::SIGUSR1).unwrap();
                    thread::yield_now();
                }
            });
            let all: BTreeSet<_> =
                (0..200).map(|_| Namespace::anonymous().create().unwrap().id()).collect();
            is_over.store(true, Ordering::Relaxed);
            assert!(!all.is_empty());
        });
        let before = HANDLED.load(Ordering::Relaxed);
        raise(Signal::SIGUSR1).unwrap();
        assert!(before > 0 && HANDLED.load(Ordering::Relaxed) > before);
    });
}

/// Starts one of the helpers below in a user namespace of its own, and asserts that it succeeds.
fn in_a_user_namespace(helper: &str) {
    with_unshare("-rn", helper);
}

fn with_unshare(namespaces: &str, helper: &str) {
    let mut again = Command::new("unshare");
    again.arg(namespaces).arg(std::env::current_exe().unwrap());
    let output = again.args(["--exact", helper, "--ignored", "--nocapture"]).output().unwrap();
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success() && said[0].contains("1 passed"), "{}\n{}", said[0], said[1]);
}

/// In a user namespace that does not own its network namespace, a thread can leave the network
/// namespace but never return.
#[test]
fn where_no_thread_may_return_no_thread_of_the_programs_leaves() {
    support::isolated(|| with_unshare("-r", "without_a_way_home"));
}

#[test]
#[ignore = "a helper: another test starts it in a user namespace"]
fn without_a_way_home() {
    let before = of_this_thread();
    let red = Namespace::anonymous().create().unwrap();
    red.link("lo").unwrap().set_up().unwrap();
    let listener = red.tcp_listen("127.0.0.1:80").unwrap();
    assert_eq!(red.listeners().unwrap()[0].address, listener.local_addr().unwrap());
    let error = red.run_here(|| panic!("it must not run")).unwrap_err();
    assert!(error.is_permission_denied() && error.to_string().contains("CAP_SYS_ADMIN"), "{error}");
    assert_eq!(red.run(|| Netns::current().unwrap().id()).unwrap(), red.id());
    assert_eq!(of_this_thread(), before);
}

/// Runs in its own user namespace: the limit belongs to the user namespace, and the machine's limit
/// must not change.
#[test]
fn a_limit_is_told() {
    support::isolated(|| in_a_user_namespace("at_the_limit"));
}

#[test]
#[ignore = "a helper: another test starts it in a user namespace"]
fn at_the_limit() {
    const LIMIT: &str = "/proc/sys/user/max_net_namespaces";
    fs::write(LIMIT, "0").unwrap();
    let error = Namespace::anonymous().create().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::ENOSPC as i32), "{error}");
    assert!(error.to_string().contains("user.max_net_namespaces"), "{error}");
    fs::write(LIMIT, "10").unwrap();
    drop(Namespace::anonymous().create().unwrap());
}

/// After `unshare(CLONE_NEWPID)` the next child is the first process of the new PID namespace. Once
/// it exits, no other process can start there, so netloom must not start that child.
#[test]
fn a_process_namespace_to_come_is_left_alone() {
    support::isolated(|| in_a_user_namespace("before_the_first_process"));
}

#[test]
#[ignore = "a helper: another test starts it in a user namespace"]
fn before_the_first_process() {
    unshare(CloneFlags::CLONE_NEWPID).unwrap();
    // The kernel starts no thread after `unshare(CLONE_NEWPID)`, and netloom needs none.
    let red = Namespace::anonymous().create().unwrap();
    red.tcp_listen("0.0.0.0:80").unwrap();
    let first = Command::new("sh").args(["-c", "echo $$; true"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&first.stdout), "1\n");
}
