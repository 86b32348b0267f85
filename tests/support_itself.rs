//! Tests that the helpers in `support` notice each object that a test leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs::{self, File};
use std::os::fd::IntoRawFd;
use std::panic::{self, AssertUnwindSafe};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use netloom::sandbox;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use support::{Place, leaves_nothing};

/// Asserts that the check notices the leak, with an error that contains these words.
#[track_caller]
fn is_noticed<F: FnOnce()>(words: &[&str], leak: F) {
    let ran = sandbox::run_wrapped(leak, |leak| {
        let noticed = panic::catch_unwind(AssertUnwindSafe(|| leaves_nothing(leak)));
        let message = *noticed.expect_err("nothing was noticed").downcast::<String>().unwrap();
        for word in words {
            assert!(message.contains(word), "no `{word}` in: {message}");
        }
    });
    ran.unwrap();
}

#[test]
fn nothing_left_is_nothing_noticed() {
    support::isolated(|| {
        thread::spawn(|| drop(File::open("/dev/null").unwrap())).join().unwrap();
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        assert!(Command::new("true").status().unwrap().success());
    });
}

#[test]
fn a_descriptor() {
    is_noticed(&["left: descriptor", "/dev/null"], || {
        let _ = File::open("/dev/null").unwrap().into_raw_fd();
    });
}

#[test]
fn a_thread() {
    is_noticed(&["left: thread", "straggler"], || {
        let (started, is_started) = mpsc::channel();
        let straggler = thread::Builder::new().name("straggler".into());
        let forever = move || {
            started.send(()).unwrap();
            loop {
                thread::park();
            }
        };
        drop(straggler.spawn(forever).unwrap());
        is_started.recv().unwrap();
    });
}

#[test]
fn a_thread_that_did_not_go_home() {
    is_noticed(&["changed: thread", "net:["], || unshare(CloneFlags::CLONE_NEWNET).unwrap());
}

#[test]
fn a_child_process() {
    if fs::read_to_string("/proc/thread-self/children").is_err() {
        return; // this kernel does not list children
    }
    is_noticed(&["left: child process", "sleep"], || {
        drop(Command::new("sleep").arg("2").spawn().unwrap());
    });
}

#[test]
fn a_mount() {
    is_noticed(&["left: mount /run ("], || {
        mount(Some(c"tmpfs"), c"/run", Some(c"tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    });
}

#[test]
fn a_named_namespace() {
    is_noticed(&["left: file in /run/netns /run/netns/red"], || {
        fs::create_dir("/run/netns").unwrap();
        fs::write("/run/netns/red", "").unwrap();
    });
}

#[test]
fn a_namespace_held_open() {
    is_noticed(&["left: descriptor", "net:["], || {
        let elsewhere = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let _ = elsewhere.join().unwrap().into_raw_fd();
    });
}

#[test]
fn a_sysctl() {
    is_noticed(&["changed: sysctl /proc/sys/net/ipv4/ip_forward: 0 -> 1"], || {
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    });
    is_noticed(&["changed: sysctl /proc/sys/net/ipv6/conf/lo/accept_ra"], || {
        fs::write("/proc/sys/net/ipv6/conf/lo/accept_ra", "2").unwrap();
    });
}

/// The snapshot notices each object that a command of `ip` or `nft` creates. A first command may
/// prepare the network.
#[test]
fn whatever_ip_and_nft_make() {
    let bridge = "ip link add name br0 type bridge";
    let up = "ip link set lo up";
    for (ground, leak, words) in [
        ("", bridge, vec!["left: link", "name br0"]),
        ("", up, vec!["changed: link 1 name lo", "left: address 1 address 127.0.0.1"]),
        (up, "ip addr add 10.0.0.1/24 dev lo", vec!["left: address 1 address 10.0.0.1"]),
        (up, "ip -6 addr add fd00::1/64 dev lo", vec!["left: address 1 address fd00::1"]),
        (up, "ip route add 192.0.2.0/24 dev lo", vec!["left: route /24 table 254 dst 192.0.2.0"]),
        (up, "ip -6 route add fd00:1::/64 dev lo", vec!["left: route /64", "dst fd00:1::"]),
        ("", "ip rule add from 10.0.0.0/8 table 7 priority 99", vec!["left: rule", "priority 99"]),
        (
            bridge,
            "ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev br0",
            vec!["left: neighbour dst 10.0.0.9"],
        ),
        (bridge, "ip link set br0 mtu 1400", vec!["changed: link", "name br0"]),
        ("", "nft add table inet leak", vec!["left: nf_tables table name leak"]),
    ] {
        is_noticed_by_command(ground, leak, &words);
    }
}

#[track_caller]
fn is_noticed_by_command(ground: &str, leak: &str, words: &[&str]) {
    // `sandbox::run` needs a closure of this test's own code to find the test by its thread.
    let ran = sandbox::run(|| {
        if !command(ground) {
            return;
        }
        let noticed = panic::catch_unwind(AssertUnwindSafe(|| leaves_nothing(|| command(leak))));
        let message = match noticed {
            Ok(is_installed) => {
                assert!(!is_installed, "nothing was noticed of `{leak}`");
                return;
            }
            Err(payload) => *payload.downcast::<String>().unwrap(),
        };
        for word in words {
            assert!(message.contains(word), "no `{word}` after `{leak}` in: {message}");
        }
    });
    ran.unwrap();
}

/// Runs a command, which must succeed. Returns false if its tool is not installed.
fn command(line: &str) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    match words.split_first() {
        None => true,
        Some((tool, arguments)) => support::tools::run(&Place::here(), tool, arguments).is_some(),
    }
}

#[test]
fn a_tool_looks_where_it_is_told_to() {
    support::isolated(|| {
        let elsewhere = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let made = command("ip link add name br7 type bridge");
            made.then(|| File::open("/proc/thread-self/ns/net").unwrap())
        });
        let Some(elsewhere) = elsewhere.join().unwrap() else { return };
        let there = Place::of_fd(&elsewhere);
        assert!(support::ip(&there, &["link"]).unwrap().contains(r#""ifname":"br7""#));
        assert!(!support::ip(&Place::here(), &["link"]).unwrap().contains("br7"));
    });
}

/// `strace` splits a call in two lines if another thread makes a call meanwhile.
#[test]
fn a_call_in_two_lines_is_one() {
    let trace = "\
        7  read(3, \"x = 1\", 32) = 5\n\
        8  recvfrom(4,  <unfinished ...>\n\
        7  openat(-100, \"a (b\", 0) = -1 ENOENT (No such file or directory)\n\
        8  <... recvfrom resumed>[{nlmsg_len=20}], 40, 0) = 20\n\
        8  --- SIGCHLD {si_signo=SIGCHLD} ---\n\
        8  +++ exited with 0 +++\n";
    let read: Vec<_> =
        support::trace::lines(trace).map(|one| (one.name, one.begins, one.result())).collect();
    let expected = [
        ("read", true, Some(5)),
        ("recvfrom", true, None),
        ("openat", true, None),
        ("recvfrom", false, Some(20)),
    ];
    assert_eq!(read, expected);
}
