//! Bad input: each call fails with a typed error that names the value and the reason, and the
//! kernel is unchanged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

#[path = "bad_input/packet_filter.rs"]
mod packet_filter;

use std::fs;
use std::process::Command;
use std::time::Duration;

use ipnet::IpNet;
use netloom::{
    Address, Bridge, Error, Forwarding, Namespace, NatRule, Netns, NextHop, Owned, Ping, Route,
    RouteOption, RoutePreference, Sysctl, VethEnd, VethPair,
};

use packet_filter::Ground;
use support::{eventually, refused, unchanged};

const LINK_NAMES: [(&str, &str); 12] = [
    ("", "empty"),
    (".", "`.`"),
    ("..", "`..`"),
    ("sixteen-bytes-xx", "15 bytes"),
    ("ääääääää", "15 bytes"),
    ("a/b", "`/`"),
    ("a:b", "`:`"),
    ("a b", "white space"),
    ("a\tb", "white space"),
    ("a\nb", "white space"),
    ("veth%d", "`%`"),
    ("a\0b", "NUL"),
];

const PREFIXES: [(&str, &str); 8] = [
    ("10.0.0.1/33", "from 0 to 32"),
    ("fd00::1/129", "from 0 to 128"),
    ("10.0.0.1/-1", "from 0 to 32"),
    ("10.0.0.1/", "from 0 to 32"),
    ("10.0.0.1", "prefix length is missing"),
    ("10.0.0.256/24", "10.0.0.256/24"),
    ("localhost/8", "localhost/8"),
    ("", "prefix length is missing"),
];

fn host() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

/// Asserts that netloom itself refused the input, with an error that contains these words.
#[track_caller]
fn is_invalid<T: std::fmt::Debug>(result: Result<T, Error>, words: &[&str]) {
    let error = refused(result, words);
    assert!(error.is_invalid_input(), "{error}");
    assert_eq!(error.raw_os_error(), None);
    let other = [error.is_not_found(), error.is_already_exists(), error.is_unsupported()];
    assert!(!other.contains(&true) && !error.is_permission_denied() && !error.is_timed_out());
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::InvalidInput);
}

/// Routes that are known wrong.
fn wrong_routes(host: &Netns) {
    let v4 = || Route::new("10.0.0.0/8").via("10.0.0.1");
    let v6 = || Route::new("fd00::/8").via("fd00::1");
    let hop = || NextHop::new().via("10.0.0.1");
    let several = |second: NextHop| Route::new("10.0.0.0/8").next_hop(hop()).next_hop(second);
    for (route, words) in [
        (v4().table(0), "table(0): there is no table 0"),
        (v4().tos(1), "tos(1)"),
        (v6().tos(4), "IPv6 routes have no tos()"),
        (v4().from("10.0.0.0/8"), "IPv4 routes have no from()"),
        (v6().from("10.0.0.0/8"), "another family"),
        (v4().preference(RoutePreference::High), "only IPv6"),
        (v4().expires(Duration::from_secs(9)), "only IPv6"),
        (v6().expires(Duration::ZERO), "expires(\"0ns\"): a lifetime has"),
        (v6().expires(Duration::MAX), "a lifetime has"),
        (v4().option(RouteOption::HopLimit, 256), "option(hoplimit, 256)"),
        (v4().lock(RouteOption::Mtu), "lock(mtu) needs a value"),
        (v4().congestion_control(""), "1 to 15 bytes"),
        (v4().congestion_control("sixteen bytes it"), "1 to 15 bytes"),
        (Route::blackhole("10.0.0.0/8").via("10.0.0.1"), "leads nowhere"),
        (Route::throw("10.0.0.0/8").dev("lo"), "leads nowhere"),
        (Route::prohibit("10.0.0.0/8").next_hop(hop()).next_hop(hop()), "leads nowhere"),
        (Route::local("10.0.0.0/8"), "needs dev(link)"),
        (Route::new("10.0.0.0/8").next_hop(hop()), "two next hops or more"),
        (v4().next_hop(hop()).next_hop(hop()), "leave out via()"),
        (several(NextHop::new()), "leads nowhere"),
        (several(hop().weight(0)), "weight(0)"),
        (several(hop().weight(257)), "weight(257)"),
        (several(hop().on_link()), "on_link() needs dev"),
        (several(NextHop::new().via("fe80::1")), "link-local"),
        (several(NextHop::new().via("10.0.0")), "via(\"10.0.0\")"),
        (Route::new("fd00::/8").next_hop(hop()).next_hop(hop()), "another family"),
        (Route::new("10.0.0.0/8").via("fe80::1"), "link-local"),
    ] {
        is_invalid(route.create(host), &["add route", words]);
        is_invalid(route.replace(host), &["replace route", words]);
        is_invalid(route.append(host), &["append route", words]);
        is_invalid(route.change(host), &["change route", words]);
    }
}

/// Passes each kind of input that netloom recognises as wrong without asking the kernel.
fn known_wrong(host: &Netns) {
    let quoted = |text: &str| format!("{text:?}");
    for (name, reason) in LINK_NAMES {
        is_invalid(Bridge::new(name).create(host), &["create bridge", &quoted(name), reason]);
        is_invalid(VethPair::new(name, "b").create(host), &["create veth pair", reason]);
        is_invalid(VethPair::new("a", name).create(host), &["create veth pair", reason]);
        is_invalid(NatRule::masquerade().oifname(name).create(host), &["oifname", reason]);
    }
    for (prefix, reason) in PREFIXES {
        let bridge = Bridge::new("br0");
        is_invalid(bridge.address(prefix).create(host), &["`br0`", &quoted(prefix), reason]);
        let end = VethEnd::new("a").address(prefix);
        is_invalid(VethPair::new("b", end).create(host), &["`a`", &quoted(prefix), reason]);
        is_invalid(NatRule::masquerade().source(prefix).create(host), &[&quoted(prefix), reason]);
    }
    for (prefix, reason) in PREFIXES.into_iter().take(4) {
        is_invalid(Route::new(prefix).dev("lo").create(host), &[&quoted(prefix), reason]);
    }
    // A network with host bits is refused; an address with host bits is valid.
    is_invalid(Route::new("10.0.0.1/24").dev("lo").create(host), &["host bits", "10.0.0.0/24"]);
    is_invalid(Route::new("fd00::1/64").dev("lo").create(host), &["host bits", "fd00::/64"]);
    let net: IpNet = "10.0.0.1/24".parse().unwrap();
    is_invalid(Route::new(net).dev("lo").create(host), &["host bits", "10.0.0.0/24"]);
    is_invalid(
        NatRule::masquerade().source("10.0.0.1/8").create(host),
        &["host bits", "10.0.0.0/8"],
    );
    // Addresses of different families in one object.
    let family = "another family";
    is_invalid(
        Route::new("fd00::/8").via("10.0.0.1").create(host),
        &["fd00::/8", "gateway", family],
    );
    let route = Route::default_via("10.0.0.1").source("fd00::1");
    is_invalid(route.create(host), &["default via 10.0.0.1", "source", family]);
    is_invalid(Route::new("10.0.0.0/8").create(host), &["leads nowhere"]);
    is_invalid(Route::default_via("10.0.0.1").on_link().create(host), &["on_link() needs dev"]);
    is_invalid(Route::default_via("10.0.0.0/24").create(host), &["via(\"10.0.0.0/24\")"]);
    wrong_routes(host);
    let broadcast = Address::new("fd00::1/64").broadcast("10.0.0.255".parse().unwrap());
    is_invalid(Bridge::new("br0").address(broadcast).create(host), &["no broadcast address"]);
    // Values that no link accepts.
    for mac in ["", "02:00:00:00:00", "02:00:00:00:00:0g", "2:0:0:0:0:1"] {
        is_invalid(Bridge::new("br0").mac(mac).create(host), &["mac", "six hexadecimal bytes"]);
    }
    for mac in ["01:00:00:00:00:01", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"] {
        is_invalid(Bridge::new("br0").mac(mac).create(host), &["mac", mac, "must be unicast"]);
        is_invalid(
            VethPair::new("a", VethEnd::new("b").mac(mac)).create(host),
            &["must be unicast"],
        );
    }
    for mtu in [0, 67, 65_536, u32::MAX] {
        let reason = "from 68 to 65535 bytes";
        is_invalid(Bridge::new("br0").mtu(mtu).create(host), &["mtu", reason]);
        is_invalid(VethPair::new(VethEnd::new("a").mtu(mtu), "b").create(host), &["mtu", reason]);
    }
    for queues in [0, 4097] {
        is_invalid(VethPair::new(VethEnd::new("a").queues(queues), "b").create(host), &["queues"]);
    }
    is_invalid(VethPair::new("a", "a").create(host), &["create veth pair `a`", "both ends"]);
    let gateway = VethEnd::new("a").gateway("10.0.0.1");
    is_invalid(VethPair::new(gateway, "b").create(host), &["`a`", "needs up()"]);
    let gateway = VethEnd::new("a").gateway("nobody").up();
    is_invalid(VethPair::new(gateway, "b").create(host), &["gateway(\"nobody\")"]);
    is_invalid(Ping::new("nobody").send(host), &["ping", "nobody"]);
    is_invalid(Ping::new("fe80::1").send(host), &["ping fe80::1", "link-local"]);
    is_invalid(Sysctl::new("kernel.hostname", "red").create(host), &["kernel.hostname=red"]);
    // The error names the first bad value of several.
    let bridge = Bridge::new("br0").mtu(1).mac("zz").address("10.0.0.1");
    is_invalid(bridge.create(host), &["mtu(1):"]);
    is_invalid(Bridge::new("br0").mtu(0).create(host), &["mtu(0):"]);
    for name in ["", ".", "..", "a/b", "a\0b", &"x".repeat(256)] {
        is_invalid(Namespace::named(name).create(), &["create namespace"]);
        is_invalid(Netns::open(name), &["open namespace"]);
        is_invalid(Netns::delete_stale(name), &["delete stale name"]);
    }
}

fn all_known_wrong(ground: &Ground) {
    known_wrong(&ground.host);
    ground.known_wrong();
}

#[test]
fn what_is_known_wrong_changes_nothing() {
    support::isolated(|| {
        let ground = Ground::new();
        let here = Netns::current().unwrap();
        unchanged(&[&ground.host, &here], || all_known_wrong(&ground));
        assert!(!fs::exists("/run/netns").unwrap(), "not even the directory of names");
    });
}

/// Counts system calls with `strace`, if the tool is installed. A refusal that makes no system call
/// also changes nothing, as the test above shows.
#[test]
fn what_is_known_wrong_makes_no_system_call() {
    const TRACED: &str = "NETLOOM_TEST_TRACED";
    if std::env::var_os(TRACED).is_some() {
        let ground = Ground::new();
        // A first run fills buffers, backtraces and thread locals.
        all_known_wrong(&ground);
        let marks = ["/netloom/begin", "/netloom/end"];
        drop(fs::metadata(marks[0]));
        all_known_wrong(&ground);
        drop(fs::metadata(marks[1]));
        return;
    }
    support::isolated(|| {
        let trace = std::env::temp_dir().join(format!("netloom-trace-{}", std::process::id()));
        let traced = Command::new("strace")
            .args(["-f", "-o"])
            .arg(&trace)
            .arg(std::env::current_exe().unwrap())
            .args(["what_is_known_wrong_makes_no_system_call", "--exact"])
            .env(TRACED, "1")
            .output();
        let Ok(output) = traced else {
            return all_known_wrong(&Ground::new());
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = fs::read_to_string(&trace).unwrap();
        fs::remove_file(&trace).unwrap();
        let inside =
            text.split("/netloom/begin").nth(1).unwrap().split("/netloom/end").next().unwrap();
        let memory = ["brk(", "mmap(", "munmap(", "mprotect(", "madvise(", "mremap(", "futex("];
        let calls: Vec<_> = inside
            .lines()
            .skip(1)
            .filter(|line| {
                let own = line.contains("statx(") || line.contains("stat(");
                !own && !memory.iter().any(|call| line.contains(call))
            })
            .collect();
        assert!(calls.is_empty(), "{calls:#?}");
    });
}

#[test]
fn an_mtu_or_mac_that_the_kernel_refuses_leaves_the_old_one() {
    support::isolated(|| {
        let host = host();
        let cable = VethPair::new("a", "b").create(&host).unwrap();
        let link = cable.near();
        unchanged(&[&host], || {
            for mtu in [0, 67, 65_536, u32::MAX] {
                let error = refused(link.set_mtu(mtu), &["set MTU of `a`", "mtu"]);
                assert_eq!(error.raw_os_error(), Some(nix::libc::EINVAL), "{error}");
                assert!(error.kernel_message().is_some());
            }
            for mac in ["01:00:00:00:00:01", "00:00:00:00:00:00", "xyz"] {
                is_invalid(link.set_mac(mac), &["set MAC address of `a`", mac]);
            }
            let link = link.clone();
            for (name, reason) in LINK_NAMES {
                is_invalid(link.rename(name), &["rename `a`", reason]);
                if name.len() > 15 || name.contains([':', '%']) {
                    // The name may be an alternative name of a link, which can be longer and
                    // contain `:` and `%`.
                    assert!(refused(host.link(name), &["find link"]).is_not_found());
                    continue;
                }
                is_invalid(host.link(name), &["find link", reason]);
                is_invalid(link.set_master(name), &["enslave `", reason]);
                is_invalid(Forwarding::ipv4().dev(name).create(&host), &["turn on", reason]);
            }
        });
    });
}

#[test]
fn names_that_only_look_bad_are_taken() {
    support::isolated(|| {
        let host = host();
        for name in ["a.b", "-", "ä", "fifteen-bytes-x", "...", "a@b", "$(x)"] {
            let bridge = Bridge::new(name).create(&host).unwrap();
            assert_eq!(bridge.info().unwrap().name, name);
        }
        for name in ["a b", "a:b", "ä", "...", "%d"] {
            let netns = Namespace::named(name).create().unwrap();
            assert_eq!(Netns::list().unwrap()[0].name, name);
            netns.delete().unwrap();
        }
    });
}

/// A namespace is not found once its name, its file or its process is gone.
#[test]
fn a_namespace_that_is_gone_is_not_found() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        red.delete().unwrap();
        assert!(refused(Netns::open("red"), &["open namespace `red`"]).is_not_found());
        assert!(refused(Netns::from_path("/run/netns/red"), &["/run/netns/red"]).is_not_found());
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let pid = child.id();
        assert!(Netns::from_pid(pid).is_ok());
        child.kill().unwrap();
        child.wait().unwrap();
        eventually("the process is gone", || Netns::from_pid(pid).is_err());
        let error = refused(Netns::from_pid(pid), &["namespace of process", &pid.to_string()]);
        assert!(error.is_not_found() && error.to_string().contains("has ended"), "{error}");
        assert!(refused(Netns::from_pid(0), &["process 0"]).is_not_found());
        refused(Netns::open("nope"), &["open namespace `nope`", "no such name in /run/netns"]);
    });
}

/// Runs in a child process without the capability. An environment variable makes the child run this
/// test.
#[test]
fn without_cap_net_admin_everything_says_what_it_needs() {
    const WITHOUT: &str = "NETLOOM_TEST_WITHOUT";
    match std::env::var(WITHOUT).as_deref() {
        Ok("net_admin") => return without_net_admin(),
        Ok(_) => return without_sys_admin(),
        Err(_) => {}
    }
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let _bridge = Bridge::new("br0").create(&here).unwrap();
        let outside = host();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&*outside));
        let outside = format!("/proc/{}/fd/{fd}", std::process::id());
        for capability in ["net_admin", "sys_admin"] {
            let status = unchanged(&[&here], || {
                Command::new("setpriv")
                    .arg(format!("--bounding-set=-{capability}"))
                    .arg(format!("--inh-caps=-{capability}"))
                    .arg(std::env::current_exe().unwrap())
                    .args(["without_cap_net_admin_everything_says_what_it_needs", "--exact"])
                    .env(WITHOUT, capability)
                    .env("NETLOOM_TEST_OUTSIDE", &outside)
                    .status()
                    .unwrap()
            });
            assert!(status.success(), "without {capability}");
        }
    });
}

fn without_net_admin() {
    let here = Netns::current().unwrap();
    let bridge = here.link("br0").unwrap();
    let renamed = bridge.clone();
    let answers = [
        Bridge::new("br1").create(&here).map(drop),
        VethPair::new("a", "b").create(&here).map(drop),
        Address::new("10.0.0.1/24").create(&bridge).map(drop),
        Route::new("10.0.0.0/8").dev(&bridge).create(&here).map(drop),
        NatRule::masquerade().create(&here).map(drop),
        Forwarding::ipv4().dev(&bridge).create(&here).map(drop),
        bridge.set_up(),
        bridge.set_mtu(1400),
        bridge.set_mac("02:00:00:00:00:01"),
        bridge.release(),
        renamed.rename("br1"),
    ];
    for answer in answers {
        let error = refused(answer, &["EPERM", "CAP_NET_ADMIN", "unshare -rnm"]);
        assert!(error.is_permission_denied() && !error.is_not_found());
        assert!(error.namespace().is_some());
    }
    // An owner without the privilege to delete reports that, and returns the ownership.
    let failure = Owned::adopt(bridge).delete().unwrap_err();
    assert!(failure.error().is_permission_denied());
    let bridge = failure.into_owned().keep();
    // Reading needs no privilege.
    assert_eq!(bridge.info().unwrap().name, "br0");
    assert!(here.links().unwrap().len() == 2 && here.routes().is_ok() && here.addresses().is_ok());
}

fn without_sys_admin() {
    for namespace in [Namespace::anonymous(), Namespace::named("red")] {
        let error = refused(namespace.create(), &["create", "EPERM", "CAP_SYS_ADMIN"]);
        assert!(error.is_permission_denied() && !error.to_string().contains("CAP_NET_ADMIN"));
    }
    assert!(!fs::exists("/run/netns/red").unwrap());
    let here = Netns::current().unwrap();
    assert!(here.command("true").status().unwrap().success());
    let elsewhere = Netns::from_pid(std::os::unix::process::parent_id()).unwrap();
    assert_eq!(elsewhere, here);
    let outside = std::env::var("NETLOOM_TEST_OUTSIDE").unwrap();
    let error = refused(Netns::from_path(outside), &["EPERM", "CAP_SYS_ADMIN"]);
    assert!(!error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    // The program obtained this handle before it gave up its privileges.
    let error = refused(here.command("true").file("/etc/passwd", "").status(), &["CAP_SYS_ADMIN"]);
    assert_eq!(error.to_string().matches("the current namespace").count(), 1, "{error}");
    let _bridge = Bridge::new("br1").create(&here).unwrap();
}
