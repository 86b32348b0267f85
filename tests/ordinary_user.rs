//! Calls by an ordinary user in the program's own namespace: those that work, and the errors that
//! name the missing capability.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use netloom::{Bridge, Error, Forwarding, Namespace, Netns, Ping, Setting, Sysctl};
use support::refused;
use support::user::Copied;

/// Starts one of the helpers below without privileges, and asserts that it succeeds.
fn unprivileged(helper: &str) {
    let copy = Copied::of_this();
    let output =
        copy.as_ordinary_user().args(["--exact", helper, "--ignored", "--nocapture"]).output();
    let output = output.unwrap();
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success() && said[0].contains("1 passed"), "{}\n{}", said[0], said[1]);
}

/// Allows ping sockets to all groups. A user namespace with one user has one group.
fn open_ping_groups(netns: &Netns) -> netloom::Owned<netloom::SysctlHandle> {
    let groups = Setting::ping_group_range();
    groups.to(0..=65_534).create(netns).or_else(|_| groups.to(0..=0).create(netns)).unwrap()
}

#[test]
fn in_the_current_namespace_nothing_is_entered() {
    support::isolated(|| {
        let [red, blue] = [(); 2].map(|()| Namespace::anonymous().create().unwrap());
        for netns in [&red, &blue] {
            netns.link("lo").unwrap().set_up().unwrap();
        }
        let _bridge = Bridge::new("br0").create(&red).unwrap();
        let _groups = open_ping_groups(&red);
        red.run(|| unprivileged("an_ordinary_user_is_at_home")).unwrap();
        blue.run(|| unprivileged("an_ordinary_user_may_not_ping_and_has_no_names")).unwrap();
    });
}

#[test]
#[ignore = "a helper: another test starts it without a privilege"]
fn an_ordinary_user_is_at_home() {
    let own: OwnedFd = fs::File::open("/proc/self/ns/net").unwrap().into();
    let ways = [
        Netns::current().unwrap(),
        Netns::from_path("/proc/self/ns/net").unwrap(),
        Netns::from_pid(std::process::id()).unwrap(),
        Netns::from_fd(own).unwrap(),
    ];
    for here in &ways {
        // The threads need more sockets than the one that each handle keeps open.
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        assert_eq!(here.links().unwrap().len(), 2);
                    }
                });
            }
        });
        assert_eq!(here.sysctl("net.ipv4.ip_forward").unwrap(), "0");
        assert_eq!(here.run(|| 7).unwrap(), 7);
        assert_eq!(here.worker().unwrap().run(|| 7).unwrap(), 7);
        assert!(here.command("true").status().unwrap().success());
        let devices = here.command("cat").arg("/proc/self/net/dev").output().unwrap();
        assert!(String::from_utf8_lossy(&devices.stdout).contains("br0:"));
        here.udp_bind("127.0.0.1:0").unwrap();
        here.listeners().unwrap();
        for target in ["127.0.0.1", "::1"] {
            here.ping(target).unwrap();
            let summary = Ping::new(target).count(2).interval(Duration::ZERO).run(here).unwrap();
            assert_eq!(summary.received, 2);
            here.wait_reachable(target, Duration::from_secs(1)).unwrap();
        }
    }
    let here = &ways[0];
    let replaced = here.command("true").file("/etc/passwd", "x").status();
    refused(replaced, &["make a mount namespace", "CAP_SYS_ADMIN"]);
    let written = Sysctl::new("net.ipv4.ip_forward", 1).create(here);
    // Root of a user namespace may write the file without capabilities, because the file's owner is
    // root.
    if let Err(error) = written {
        assert!(error.is_permission_denied(), "{error}");
        assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    }
}

#[test]
#[ignore = "a helper: another test starts it without a privilege"]
fn an_ordinary_user_may_not_ping_and_has_no_names() {
    if !nix::unistd::geteuid().is_root() {
        let words = ["`blue`", "EACCES", "/run/netns, which is root's"];
        let error = refused(Namespace::named("blue").create(), &words);
        assert!(error.is_permission_denied() && !error.to_string().contains("CAP_NET_ADMIN"));
    }
    let here = Netns::current().unwrap();
    let words = ["ping 127.0.0.1", "EPERM", "CAP_NET_RAW", "net.ipv4.ping_group_range"];
    refused(here.ping("127.0.0.1"), &words);
    refused(here.wait_reachable("127.0.0.1", Duration::from_secs(9)), &words[1..]);
}

#[test]
fn each_refusal_says_which_privilege_is_missing() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        let _sleeper = red.command("sleep").arg("60").spawn().unwrap();
        unprivileged("an_ordinary_user_is_told");
    });
}

#[test]
#[ignore = "a helper: another test starts it without a privilege"]
fn an_ordinary_user_is_told() {
    fn told<T: std::fmt::Debug>(result: Result<T, Error>, words: &[&str]) {
        let error = refused(result, words);
        assert!(error.is_permission_denied(), "{error}");
        let text = error.to_string();
        let net_admin = words.contains(&"CAP_NET_ADMIN");
        assert_eq!(text.contains("CAP_NET_ADMIN"), net_admin, "{text}");
    }
    let here = Netns::current().unwrap();
    told(Namespace::anonymous().create(), &["create a namespace", "CAP_SYS_ADMIN"]);
    told(Netns::open("red"), &["open namespace `red`", "CAP_SYS_ADMIN", "unshare -rnm"]);
    told(Netns::from_path("/run/netns/red"), &["/run/netns/red", "CAP_SYS_ADMIN"]);
    told(Bridge::new("br1").create(&here), &["CAP_NET_ADMIN", "unshare -rnm"]);
    let lo = here.link("lo").unwrap();
    told(Forwarding::ipv4().dev(&lo).create(&here), &["CAP_NET_ADMIN"]);
    told(here.raw_ipv4_socket(1).map(drop), &["CAP_NET_RAW"]);
    // Root without capabilities may read root's processes and write to root's directories.
    if !nix::unistd::geteuid().is_root() {
        told(Netns::from_pid(1), &["process 1", "EACCES", "CAP_SYS_PTRACE"]);
        told(Namespace::named("blue").create(), &["`blue`", "EPERM", "CAP_SYS_ADMIN"]);
    }
    assert!(!fs::exists("/run/netns/blue").unwrap());
}
