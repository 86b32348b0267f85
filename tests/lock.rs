//! Locks and owner tags: released by the kernel, and protected from ordinary users.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use netloom::{Bridge, Namespace, Netns};
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket,
};

use support::process::{beside_a_fork, keep_capabilities};
use support::refused;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(20);
const COUNTER: &str = "/run/counter";
const ROUNDS: u32 = 25;

const HELPER: &str = "NETLOOM_TEST_LOCK";

/// Runs one task in a separate process, which the tests below start.
#[test]
#[ignore = "a helper: another test starts it in a process of its own"]
fn process() {
    let here = Netns::current().unwrap();
    match env::var(HELPER).unwrap().as_str() {
        "count" => count(&here),
        "hold" => {
            let _lock = here.lock(LONG).unwrap();
            let _bridge = Bridge::new("left").create(&here).unwrap();
            eprintln!("held");
            thread::sleep(LONG);
        }
        _ => panic!(),
    }
}

fn start(what: &str) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "process", "--ignored", "--nocapture"]).env(HELPER, what);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Increments a number in a file without atomicity: concurrent increments would be lost.
fn count(here: &Netns) {
    for _ in 0..ROUNDS {
        let lock = here.lock(LONG).unwrap();
        let number: u32 = fs::read_to_string(COUNTER).unwrap().parse().unwrap();
        thread::sleep(Duration::from_micros(200));
        fs::write(COUNTER, (number + 1).to_string()).unwrap();
        drop(lock);
        drop(here.lock_shared(LONG).unwrap());
    }
}

#[test]
fn one_program_or_thread_has_the_lock_at_a_time() {
    support::isolated(|| {
        fs::write(COUNTER, "0").unwrap();
        let processes: Vec<_> = (0..3).map(|_| start("count")).collect();
        let here = Netns::current().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| count(&here));
            scope.spawn(|| count(&here));
        });
        for process in processes {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!(fs::read_to_string(COUNTER).unwrap(), (5 * ROUNDS).to_string());
    });
}

#[test]
fn shared_locks_exclude_the_lock_and_not_each_other() {
    support::isolated(|| {
        let (red, blue) = (Namespace::anonymous().create().unwrap(), Netns::current().unwrap());
        let shared = [(); 3].map(|()| red.lock_shared(SHORT).unwrap());
        assert!(refused(red.lock(SHORT), &["lock namespace", "another process"]).is_timed_out());
        drop(blue.lock(SHORT).unwrap());
        drop(shared);
        let alone = red.lock(SHORT).unwrap();
        assert!(refused(red.lock_shared(SHORT), &["lock"]).is_timed_out());
        assert!(refused(red.lock(Duration::ZERO), &["lock"]).is_timed_out());
        drop(alone);
        drop(red.lock_shared(Duration::ZERO).unwrap());
    });
}

/// Processes that ask for the lock later queue behind a waiting one.
#[test]
fn a_process_that_waits_for_the_lock_is_not_starved() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let first = here.lock_shared(SHORT).unwrap();
        thread::scope(|scope| {
            let waits = scope.spawn(|| here.lock(LONG).map(drop));
            let begin = Instant::now();
            while here.lock_shared(Duration::ZERO).is_ok() {
                assert!(begin.elapsed() < LONG, "the waiting process is passed over");
            }
            drop(first);
            waits.join().unwrap().unwrap();
        });
    });
}

#[test]
fn the_lock_and_the_tag_end_with_a_killed_process() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let mut process = start("hold");
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "held"));
        assert!(here.lock(SHORT).unwrap_err().is_timed_out());
        assert!(netloom::reap().unwrap().removed.is_empty());
        process.kill().unwrap();
        process.wait().unwrap();
        drop(here.lock(SHORT).unwrap());
        assert_eq!(netloom::reap().unwrap().removed.len(), 1);
        assert!(here.link("left").is_err());
    });
}

#[test]
fn a_fork_neither_releases_the_lock_nor_keeps_it() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let mut lock = Some(here.lock(SHORT).unwrap());
        let parent = std::process::id();
        beside_a_fork(
            || {
                assert_ne!(parent, std::process::id());
                // The fork holds a copy of the lock and its socket; it sleeps while the parent
                // continues.
                assert!(lock.is_some());
                thread::sleep(Duration::from_millis(500));
                true
            },
            || drop(here.lock(SHORT).unwrap_err()),
        );
        let copied = lock.take();
        beside_a_fork(
            || {
                thread::sleep(Duration::from_secs(2));
                true
            },
            || {
                assert!(here.lock(SHORT).is_err(), "it is held");
                drop(copied);
                drop(here.lock(SHORT).unwrap());
            },
        );
    });
}

/// Opens a socket of the kind that holds locks and tags.
fn member(port: u32, groups: u32) -> nix::Result<OwnedFd> {
    let (kind, flags) = (SockType::Raw, SockFlag::SOCK_CLOEXEC);
    let socket = socket(AddressFamily::Netlink, kind, flags, SockProtocol::NetlinkUserSock)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(port, groups))?;
    Ok(socket)
}

#[test]
fn an_ordinary_user_can_neither_take_nor_keep_nor_fake_them() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let mut process = start("hold");
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "held"));
        let tag = here.link("left").unwrap().info().unwrap().group;
        process.kill().unwrap();
        process.wait().unwrap();
        let sockets = thread::scope(|scope| {
            let hostile = scope.spawn(|| {
                keep_capabilities(0);
                assert!(here.lock(SHORT).unwrap_err().is_permission_denied());
                assert!(here.lock_shared(SHORT).unwrap_err().is_permission_denied());
                for group in 0..32 {
                    assert_eq!(member(0, 1 << group).unwrap_err(), nix::errno::Errno::EPERM);
                }
                // Ports that contain or equal the number of a dead process, and many other ports.
                let number = tag & 0x3fff;
                let dead = (1..=500).map(|free| 0x4000_0000 | free << 14 | number).chain([tag]);
                let others = (0..500).map(|number| 0x6e00_0000 | number);
                dead.chain(others).map(|port| member(port, 0).unwrap()).collect::<Vec<_>>()
            });
            hostile.join().unwrap()
        });
        drop(here.lock(SHORT).unwrap());
        let bridge = Bridge::new("br0").create(&here).unwrap();
        assert_ne!(bridge.info().unwrap().group, 0);
        assert_eq!(netloom::reap().unwrap().removed.len(), 1);
        assert!(here.link("left").is_err() && here.link("br0").is_ok());
        drop(sockets);
    });
}
