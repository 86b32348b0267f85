//! The number of system calls of an attach: a container's namespace, a veth pair, a bridge port, an
//! address, `lo`, up, a default route. Counted by `strace`, if it is installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use netloom::{Bridge, Link, Namespace, Netns, Owned, Veth, VethEnd, VethPair};

use support::{tools, trace};

/// The variable that marks the traced run.
const TRACED: &str = "NETLOOM_TEST_TRACED";
const COUNTED: usize = 10;

fn attach(host: &Netns, bridge: &Link, number: usize, ipv6: bool) -> (Owned<Veth>, Owned<Netns>) {
    let container = Namespace::anonymous().create().unwrap();
    let port = VethEnd::new(format!("port{number}")).master(bridge).up();
    let address = format!("10.0.0.{}/24", number + 2);
    let mut eth0 = VethEnd::new("eth0").address(address).gateway("10.0.0.1").loopback_up().up();
    if !ipv6 {
        eth0 = eth0.no_ipv6_address();
    }
    (VethPair::new(port, eth0).create_between(host, &container).unwrap(), container)
}

/// Attaches containers between two marker calls. A first round before them fills sockets, buffers
/// and the heap.
fn attach_some() {
    let host = Namespace::anonymous().create().unwrap();
    let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host).unwrap();
    let mut made = Vec::with_capacity(2 * COUNTED);
    // Half of the links keep the IPv6 address that the kernel generates.
    let attach = |number| attach(&host, &bridge, number, number % 2 == 0);
    made.extend((0..COUNTED).map(attach));
    drop(fs::metadata("/netloom/begin"));
    made.extend((COUNTED..2 * COUNTED).map(attach));
    drop(fs::metadata("/netloom/end"));
}

fn release() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn an_attach_takes_at_most_eighteen_and_three_datagrams() {
    if std::env::var_os(TRACED).is_some() {
        return attach_some();
    }
    support::isolated(|| {
        if !tools::is_there("strace") {
            return;
        }
        let file = std::env::temp_dir().join(format!("netloom-attach-{}", std::process::id()));
        let output = Command::new("strace")
            .args(["-f", "-qq", "-o"])
            .arg(&file)
            .arg(std::env::current_exe().unwrap())
            .args(["an_attach_takes_at_most_eighteen_and_three_datagrams", "--exact"])
            .env(TRACED, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = fs::read_to_string(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let counted = text.split("/netloom/begin").nth(1).unwrap();
        let counted = counted.split("/netloom/end").next().unwrap();
        // Skips the rest of the first marker's line.
        let counted = counted.split_once('\n').unwrap().1;
        let mut calls = BTreeMap::<&str, usize>::new();
        for line in trace::lines(counted).filter(|line| line.begins) {
            *calls.entry(line.name).or_default() += 1;
        }
        // `statx` is the second marker, the heap may grow, and std checks descriptors in a debug
        // build.
        for others in ["statx", "fcntl", "brk", "mmap", "munmap", "mprotect", "mremap", "madvise"] {
            calls.remove(others);
        }
        println!("in {COUNTED}: {calls:?}");
        let sum: usize = calls.values().sum();
        assert!(sum >= 7 * COUNTED, "not all were seen: {calls:?}");
        // Before Linux 6.2 the kernel does not echo a new link, so netloom looks it up.
        let (most, datagrams) = if release() >= (6, 2) { (18, 3) } else { (20, 4) };
        assert!(sum <= most * COUNTED, "{calls:?}");
        assert_eq!(calls.get("sendto"), Some(&(datagrams * COUNTED)), "{calls:?}");
    });
}
