//! Processes killed at random moments: what the kernel cleans is gone, `reap` finds and removes the rest,
//! and nothing else.
//!
//! `NETLOOM_TEST_LONG=1` kills 500 of them, otherwise 25. The seed is printed: `NETLOOM_SEED=…` repeats it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod support;

use std::env;
use std::io::Read;
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use netloom::{
    Address, Bridge, Leftover, Namespace, NatRule, Netns, Owned, Route, VethEnd, VethPair,
};
use support::snapshot::Snapshot;

/// Everything that a program can own, again and again, until it is killed.
#[test]
#[ignore = "started by other tests, to be killed"]
fn builder() {
    if env::var_os("NETLOOM_REAP_BUILDER").is_none() {
        return;
    }
    let host = Netns::current().unwrap();
    let ready = env::var_os("NETLOOM_REAP_WAIT").is_some();
    let pid = process::id() % 10_000;
    loop {
        let bridge = Bridge::new(format!("br{pid}")).address("10.7.0.1/24").up().create(&host);
        let bridge = bridge.unwrap();
        let container = Namespace::anonymous().create().unwrap();
        let named = Namespace::named(format!("lab{pid}")).create().unwrap();
        let port = VethEnd::new(format!("p{pid}")).master(&bridge).up();
        let eth0 = VethEnd::new("eth0").address("10.7.0.2/24").gateway("10.7.0.1").up();
        let cable1 = VethPair::new(port, eth0).create_between(&host, &container).unwrap();
        let cable2 = VethPair::new("a", format!("n{pid}")).create_between(&named, &host).unwrap();
        let cable3 = VethPair::new(format!("x{pid}"), format!("y{pid}")).create(&host).unwrap();
        let mut cable4 = VethPair::new(format!("m{pid}"), "b").create(&container).unwrap();
        cable4.near_mut().move_to(&host).unwrap();
        let address = Address::new("10.7.1.1/24").create(cable3.near()).unwrap();
        let route =
            Route::new(format!("10.77.{}.0/24", pid % 256)).dev(&bridge).create(&host).unwrap();
        let nat = NatRule::masquerade().source("10.7.0.0/24").create(&host).unwrap();
        if ready {
            println!("ready");
            loop {
                thread::park();
            }
        }
        drop((nat, route, address, cable4, cable3, cable2, cable1, named, container, bridge));
    }
}

fn start(wait: bool) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["builder", "--exact", "--ignored", "--nocapture"]);
    command.env("NETLOOM_REAP_BUILDER", "1").stdout(Stdio::piped()).stderr(Stdio::null());
    if wait {
        command.env("NETLOOM_REAP_WAIT", "1");
    }
    command.spawn().unwrap()
}

fn start_and_wait() -> Child {
    let mut child = start(true);
    let mut said = String::new();
    let stdout = child.stdout.as_mut().unwrap();
    while !said.contains("ready") {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it ended: {said}");
        said.push(char::from(byte[0]));
    }
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What is left once the kernel and `reap` have done their part.
fn left_after_reaping(before: &Snapshot) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        let reaped = netloom::reap().unwrap();
        assert!(reaped.failures.is_empty(), "{:?}", reaped.failures);
        // What it removed it holds: the namespaces' handles.
        drop(reaped);
        let left = before.left_after();
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn killed_at_random_moments() {
    let long = env::var_os("NETLOOM_TEST_LONG").is_some();
    support::isolated(|| {
        // The directory stays, as with `ip netns`.
        drop(Namespace::named("first").create().unwrap());
        let clock = || SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
        let seed = env::var("NETLOOM_SEED").map_or_else(|_| clock(), |seed| seed.parse().unwrap());
        println!("NETLOOM_SEED={seed}");
        let mut random = u64::from(seed) | 1;
        let mut reaped = 0;
        for round in 0..if long { 500 } else { 25 } {
            // xorshift64
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let before = Snapshot::take();
            let child = start(false);
            // Starting takes some milliseconds of it.
            thread::sleep(Duration::from_micros(3_000 + random % 120_000));
            kill(child);
            reaped += netloom::leftovers().unwrap().found().len();
            let left = left_after_reaping(&before);
            assert!(left.is_empty(), "round {round}: {}", left.join("\n"));
        }
        println!("{reaped} leftovers");
    });
}

#[test]
fn what_is_found_is_shown_first_and_then_exactly_that_is_removed() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let before = Snapshot::take();
        let child = start_and_wait();
        let pid = child.id() % 10_000;
        kill(child);
        let left = netloom::leftovers().unwrap();
        let shown: Vec<_> = left.found().iter().map(ToString::to_string).collect();
        let text = shown.join("\n");
        assert!(left.failures().is_empty());
        for name in ["br", "x", "y"] {
            assert!(text.contains(&format!("link `{name}{pid}` in ")), "{name}: {text}");
        }
        assert_eq!(shown[0], format!("namespace `lab{pid}`"), "{text}");
        assert!(matches!(left.found()[0], Leftover::Namespace(_)));
        let count = left.found().len();
        let reaped = left.remove();
        assert!(reaped.failures.is_empty() && reaped.removed.len() <= count);
        drop(reaped);
        let left = left_after_reaping(&before);
        assert!(left.is_empty(), "{}", left.join("\n"));
    });
}

#[test]
fn what_the_living_have_is_left_alone() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let before = Snapshot::take();
        let living = start_and_wait();
        let dead = start_and_wait();
        kill(dead);
        let host = Netns::current().unwrap();
        // And this process's own.
        let own = Bridge::new("own0").create(&host).unwrap();
        let name = Namespace::named("own").create().unwrap();
        let pid = living.id() % 10_000;
        let reaped = netloom::reap().unwrap();
        assert!(reaped.failures.is_empty() && !reaped.removed.is_empty(), "{reaped:?}");
        drop(reaped);
        for link in ["br", "p", "n", "x", "y", "m"] {
            host.link(&format!("{link}{pid}")).unwrap();
        }
        Netns::open(&format!("lab{pid}")).unwrap();
        own.delete().unwrap();
        name.delete().unwrap();
        drop(host);
        kill(living);
        let left = left_after_reaping(&before);
        assert!(left.is_empty(), "{}", left.join("\n"));
    });
}

#[test]
fn what_is_foreign_or_kept_is_left_alone() {
    support::isolated(|| {
        let host = Netns::current().unwrap();
        drop(Namespace::named("first").create().unwrap());
        // As by somebody else: another group, a file that another program reserved.
        let foreign = Bridge::new("foreign").group(7).create(&host).unwrap();
        std::fs::write("/run/netns/stale", "").unwrap();
        // Kept, and the handle that made it gone.
        let kept = Bridge::new("kept0").create(&Netns::current().unwrap()).unwrap().keep();
        assert_eq!(host.link("kept0").unwrap().info().unwrap().group, 0);
        drop(kept);
        let name = Namespace::named("kept").create().unwrap().keep();
        drop(name);
        let left = netloom::leftovers().unwrap();
        assert!(left.found().is_empty(), "{:?}", left.found());
        foreign.delete().unwrap();
        std::fs::remove_file("/run/netns/stale").unwrap();
        drop(Owned::adopt(host.link("kept0").unwrap()));
        drop(Owned::adopt(Netns::open("kept").unwrap()));
    });
}

#[test]
fn a_name_whose_maker_died_between_two_steps_is_removed() {
    use std::os::unix::fs::OpenOptionsExt;
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o404).open("/run/netns/half").unwrap();
        let left = netloom::leftovers().unwrap();
        assert_eq!(left.found()[0].to_string(), "name `half` without a namespace");
        assert_eq!(left.remove().removed.len(), 1);
        assert!(Netns::list().unwrap().is_empty());
    });
}
