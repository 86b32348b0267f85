//! Scarce resources: no file descriptors, interrupted or denied system calls, limits, read-only
//! files, a clock that jumps. A failure reports its reason and leaves nothing; no wait is endless.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netloom::{
    Bridge, Error, Forwarding, Namespace, NatRule, Netns, Owned, Ping, PortForward, Sysctl,
    VethEnd, VethPair,
};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use support::features::unsupported;
use support::process::{interrupted, refuse_system_call};
use support::{leaves_nothing, reaches, refused};

/// Creates a host with two containers on a bridge, NAT, a published port and settings: everything
/// that needs a descriptor, a thread or a file.
fn network() -> Result<(), Error> {
    let host = Netns::current()?;
    let red = Namespace::named("red").create()?;
    let bridge = Bridge::new("br0").address("10.0.0.1/24").no_ipv6_address().up().create(&host)?;
    let port = VethEnd::new("port1").master(&bridge).no_ipv6_address().up();
    let eth0 = VethEnd::new("eth0").address("10.0.0.2/24").gateway("10.0.0.1").no_ipv6_address();
    let _cable = VethPair::new(port, eth0.up()).create_between(&host, &red)?;
    let _forwarding = Forwarding::ipv4().create(&host)?;
    let _sysctl = Sysctl::new("net.ipv4.conf.all.rp_filter", 1).create(&host)?;
    let _nat = NatRule::masquerade().source("10.0.0.0/24").create(&host)?;
    let _port = PortForward::new(8080, "10.0.0.2").create(&host)?;
    let _worker = red.worker()?;
    red.run(|| ())?;
    red.listeners()?;
    host.nft_ruleset()?;
    host.conntrack()?;
    red.command("true").status()?;
    Netns::open("red")?.links().map(drop)
}

/// Returns the descriptor limit that still allows this many new descriptors. Inherited descriptors
/// may have numbers above the limit.
fn limit_for(allowed: usize) -> u64 {
    let number = |name: OsString| name.to_str().unwrap().parse::<u64>().unwrap();
    let listed = fs::read_dir("/proc/self/fd").unwrap();
    let mut open: BTreeSet<_> = listed.map(|entry| number(entry.unwrap().file_name())).collect();
    // Removes the descriptor of the listing itself, which is closed now.
    open.retain(|number| fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok());
    (0..).filter(|number| !open.contains(number)).nth(allowed).unwrap()
}

/// Allows one descriptor more in each round, from none until the network can be built.
#[test]
fn the_limit_of_open_files_is_reached_at_each_step() {
    support::isolated(|| {
        network().unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let mut said = BTreeSet::new();
        let mut allowed = 0;
        loop {
            let result = leaves_nothing(|| {
                setrlimit(Resource::RLIMIT_NOFILE, limit_for(allowed), hard).unwrap();
                let result = network();
                setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
                result
            });
            let Err(error) = result else { break };
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "with {allowed}: {error}");
            assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
            said.insert(error.action().to_owned());
            allowed += 1;
            assert!(allowed < 200);
        }
        assert!(allowed > 10 && said.len() > 3, "{allowed}: {said:?}");
    });
}

/// Owners that restore a setting have reserved descriptors.
#[test]
fn all_is_taken_down_where_no_descriptor_is_left() {
    const FILTER: &str = "net.ipv4.conf.all.rp_filter";
    support::isolated(|| {
        let host = Netns::current().unwrap();
        let red = Namespace::named("red").create().unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let up_and_down = || {
            let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host).unwrap();
            let cable = VethPair::new("port1", "eth0").create_between(&host, &red).unwrap();
            let settings = [&host, &red].map(|netns| Sysctl::new(FILTER, 1).create(netns).unwrap());
            let all6 = Forwarding::ipv6().create(&red).unwrap();
            let forwarding = Forwarding::ipv4().create(&host).unwrap();
            let nat = NatRule::masquerade().create(&host).unwrap();
            let port = PortForward::new(8080, "10.0.0.2").create(&host).unwrap();
            // Takes every descriptor number below the limit.
            setrlimit(Resource::RLIMIT_NOFILE, limit_for(40), hard).unwrap();
            let (mut taken, mut refused) = (Vec::new(), None);
            while refused.is_none() {
                match fs::File::open("/") {
                    Ok(file) => taken.push(file),
                    Err(error) => refused = error.raw_os_error(),
                }
            }
            // Deletes the owners without open descriptors first.
            let settings = settings.map(Owned::delete).into_iter().collect::<Result<Vec<_>, _>>();
            let others = (all6.delete(), forwarding.delete());
            drop((port, nat, cable, bridge));
            setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
            drop(taken);
            assert_eq!(refused, Some(libc::EMFILE));
            settings.unwrap();
            others.0.unwrap();
            others.1.unwrap();
        };
        // The first round opens sockets that stay open.
        up_and_down();
        leaves_nothing(up_and_down);
        for netns in [&host, &red] {
            assert_eq!(netns.sysctl(FILTER).unwrap(), "0");
        }
        assert_eq!(host.sysctl("net.ipv4.ip_forward").unwrap(), "0");
        assert_eq!(host.links().unwrap().len(), 1);
        red.delete().unwrap();
    });
}

/// The threads share the one open socket.
#[test]
fn threads_work_on_where_no_descriptor_is_left() {
    support::isolated(|| {
        let host = Netns::current().unwrap();
        // The first link opens the owner tag's socket, which stays open.
        drop(Bridge::new("first").create(&host).unwrap());
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, limit_for(0), hard).unwrap();
        let all = thread::scope(|scope| {
            let work = |thread: usize| {
                let host = &host;
                move || {
                    (0..20).try_for_each(|number| {
                        let bridge = Bridge::new(format!("br{thread}x{number}")).create(host)?;
                        bridge.info()?;
                        bridge.delete().map_err(Error::from)
                    })
                }
            };
            let threads: Vec<_> = (0..8).map(|thread| scope.spawn(work(thread))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().unwrap())
        });
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        all.unwrap();
        assert_eq!(host.links().unwrap().len(), 1);
    });
}

#[test]
fn system_calls_are_interrupted_a_thousand_times_a_second() {
    support::isolated(|| {
        interrupted(|| {
            let patience = Instant::now() + Duration::from_secs(2);
            let mut rounds = 0;
            while Instant::now() < patience || rounds < 3 {
                network().unwrap();
                rounds += 1;
            }
            // Interrupted waits still last for their full time.
            let red = Namespace::anonymous().create().unwrap();
            red.link("lo").unwrap().set_up().unwrap();
            reaches(&red, "127.0.0.1");
            let started = Instant::now();
            let ping = Ping::new("127.0.0.1").count(3).interval(Duration::from_millis(100));
            assert_eq!(ping.run(&red).unwrap().received, 3);
            assert!(started.elapsed() >= Duration::from_millis(200));
            let started = Instant::now();
            let half = Duration::from_millis(500);
            refused(red.wait_reachable("192.0.2.1", half), &["192.0.2.1"]);
            assert!(started.elapsed() >= half);
            let mut child = red.command("sleep").arg("0.3").spawn().unwrap();
            assert!(child.wait().unwrap().success());
        });
    });
}

/// Runs in its own user namespace, so the machine's limit is unchanged.
#[test]
fn no_more_namespaces_are_allowed() {
    support::isolated(|| {
        // The helper's own network namespace counts towards the limit.
        let helper = "echo 4 >/proc/sys/user/max_net_namespaces && exec \"$0\" \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-rnm", "--", "sh", "-c", helper]).arg(env::current_exe().unwrap());
        command.args(["--exact", "with_three_namespaces_and_no_more", "--ignored", "--nocapture"]);
        let output = command.env_remove("NETLOOM_SANDBOX").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}\n{errors}");
    });
}

#[test]
#[ignore = "a helper: another test starts it where namespaces are few"]
fn with_three_namespaces_and_no_more() {
    fn is_full(result: Result<Owned<Netns>, Error>) {
        let error = refused(result, &["user.max_net_namespaces"]);
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    }
    let mut namespaces: Vec<_> = (0..3).map(|_| Namespace::anonymous().create().unwrap()).collect();
    leaves_nothing(|| is_full(Namespace::anonymous().create()));
    // The failed creation releases its name.
    fs::create_dir_all("/run/netns").unwrap();
    leaves_nothing(|| {
        is_full(Namespace::named("red").create());
        assert!(!fs::exists("/run/netns/red").unwrap());
    });
    // A deleted namespace makes room once the kernel has destroyed it on a worker.
    drop(namespaces.pop());
    support::eventually("there is room", || Namespace::anonymous().create().is_ok());
}

#[test]
fn settings_are_read_only() {
    use nix::mount::{MsFlags, mount};
    support::isolated(|| {
        let flags = MsFlags::MS_BIND;
        let sysctls = "/proc/sys";
        mount(Some(sysctls), sysctls, None::<&str>, flags, None::<&str>).unwrap();
        let flags = flags | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, sysctls, None::<&str>, flags, None::<&str>).unwrap();
        leaves_nothing(|| {
            let host = Namespace::anonymous().create().unwrap();
            let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host).unwrap();
            for result in [
                Forwarding::ipv4().create(&host).map(drop),
                Forwarding::ipv6().create(&host).map(drop),
                Sysctl::new("net.ipv4.conf.all.rp_filter", 1).create(&host).map(drop),
            ] {
                let error = refused(result, &["read-only"]);
                assert_eq!(error.raw_os_error(), Some(libc::EROFS), "{error}");
            }
            // A link's setting is set over netlink, without a file.
            let forwarding = Forwarding::ipv4().dev(&bridge).create(&host).unwrap();
            assert_eq!(host.sysctl("net.ipv4.conf.br0.forwarding").unwrap(), "1");
            drop(forwarding);
            assert_eq!(host.sysctl("net.ipv4.conf.br0.forwarding").unwrap(), "0");
            let _nat = NatRule::masquerade().create(&host).unwrap();
        });
        nix::mount::umount2(sysctls, nix::mount::MntFlags::MNT_DETACH).unwrap();
    });
}

/// Simulates a container whose seccomp profile allows unshare(2), but not setns(2).
#[test]
fn entering_is_denied_by_seccomp() {
    support::isolated(|| {
        let named = Namespace::named("red").create().unwrap();
        let before = NatRule::masquerade().create(&named).unwrap();
        // The filter cannot be removed, so it is set on a thread that ends.
        let work = || {
            refuse_system_call(libc::SYS_setns, libc::EPERM);
            leaves_nothing(without_entering);
            // Sockets that are open still work, and owned objects are deleted.
            drop(before);
            let _bridge = Bridge::new("br0").create(&named).unwrap();
            refused(Netns::open("red"), &["EPERM"]);
        };
        thread::scope(|scope| scope.spawn(work).join().unwrap());
        drop(named);
    });
}

fn without_entering() {
    fn is_denied<T: std::fmt::Debug>(result: Result<T, Error>) {
        let error = refused(result, &["EPERM"]);
        assert!(error.is_permission_denied(), "{error}");
    }
    // A new namespace has a socket from the start.
    let host = Namespace::anonymous().create().unwrap();
    let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host).unwrap();
    assert_eq!(host.links().unwrap().len(), 2);
    assert_eq!(bridge.addresses().unwrap().len(), 1);
    // Other calls would have to enter the namespace.
    is_denied(host.run(|| ()));
    is_denied(host.worker());
    is_denied(NatRule::masquerade().create(&host));
    is_denied(Forwarding::ipv4().create(&host));
    is_denied(host.ping("10.0.0.1"));
    is_denied(host.command("true").status());
    // In its own namespace a program needs no `setns`.
    let here = Netns::current().unwrap();
    here.run(|| ()).unwrap();
    drop(NatRule::masquerade().create(&here).unwrap());
    drop(Forwarding::ipv4().create(&here).unwrap());
    assert!(here.command("true").status().unwrap().success());
}

/// Every wait uses the monotonic clock. Only a virtual machine allows the test to set the wall
/// clock; elsewhere, `layers` checks the code.
#[test]
fn the_clock_jumps() {
    use nix::time::{ClockId, clock_gettime, clock_settime};
    if env::var_os("NETLOOM_VM").is_none() {
        return unsupported(
            "settable-clock",
            "the clock is this machine's own: `tools/vm` has one",
        );
    }
    support::isolated(|| {
        const YEAR: i64 = 365 * 24 * 3600;
        let real = ClockId::CLOCK_REALTIME;
        let jump = |by: i64| {
            let now = clock_gettime(real).unwrap();
            clock_settime(real, nix::sys::time::TimeSpec::new(now.tv_sec() + by, now.tv_nsec()))
                .unwrap();
        };
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut by = 10 * YEAR;
                while !done.load(Ordering::Relaxed) {
                    jump(by);
                    by = -by;
                    thread::sleep(Duration::from_millis(3));
                }
                if by < 0 {
                    jump(by);
                }
            });
            for _ in 0..3 {
                leaves_nothing(|| network().unwrap());
            }
            let red = Namespace::anonymous().create().unwrap();
            red.link("lo").unwrap().set_up().unwrap();
            let ping = Ping::new("127.0.0.1").count(5).interval(Duration::from_millis(50));
            let summary = ping.run(&red).unwrap();
            assert_eq!(summary.received, 5);
            let started = Instant::now();
            let half = Duration::from_millis(500);
            refused(red.wait_reachable("192.0.2.1", half), &["192.0.2.1"]);
            let waited = started.elapsed();
            assert!(waited >= half && waited < Duration::from_secs(60), "{waited:?}");
            done.store(true, Ordering::Relaxed);
        });
    });
}
