//! Deadlines, descriptors, and the cost of a watcher while nothing changes.

use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use netloom::{Bridge, Error, Namespace, OperationalState, PolicyRule, VethEnd, VethPair};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};

use super::{drain, support};

#[test]
fn a_wait_ends_at_its_deadline() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let mut watcher = red.watch().links().start().unwrap();
        assert_eq!(drain(&mut watcher).len(), 1);
        for wait in [0, 1, 30].map(Duration::from_millis) {
            let start = Instant::now();
            assert_eq!(watcher.next_within(wait).unwrap(), None);
            assert!(start.elapsed() >= wait, "{:?}", start.elapsed());
        }
        let bridge = thread::scope(|scope| {
            let later = scope.spawn(|| {
                thread::sleep(Duration::from_millis(30));
                Bridge::new("br0").create(&red).unwrap()
            });
            let event = watcher.next_within(Duration::MAX).unwrap().unwrap();
            assert!(event.to_string().contains("br0"), "{event}");
            later.join().unwrap()
        });
        bridge.delete().unwrap();
        let soon = Instant::now() + Duration::from_millis(100);
        let rest: Result<Vec<_>, _> = watcher.until(soon).collect();
        assert!(rest.unwrap().last().unwrap().to_string().starts_with("Deleted"));
    });
}

#[test]
fn the_descriptor_is_readable_while_something_is_queued() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let mut watcher = red.watch().links().start().unwrap();
        while watcher.try_next().unwrap().is_some() {}
        let is_readable = |watcher: &netloom::Watcher| {
            let mut fds = [PollFd::new(watcher.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
        };
        assert!(!is_readable(&watcher));
        let _bridge = Bridge::new("br0").create(&red).unwrap();
        assert!(is_readable(&watcher) && is_readable(&watcher));
        assert!(watcher.try_next().unwrap().is_some());
        while watcher.try_next().unwrap().is_some() {}
        assert!(!is_readable(&watcher));
    });
}

#[test]
fn a_watcher_costs_no_cpu_while_nothing_changes() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let mut watcher = red.watch().links().addresses().routes().neighbors().start().unwrap();
        drain(&mut watcher);
        let used = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
        let before = used();
        assert_eq!(watcher.next_within(Duration::from_millis(500)).unwrap(), None);
        let used = used().saturating_sub(before);
        // The wait is a single poll with a timeout.
        assert!(used < Duration::from_millis(2), "{used:?}");
    });
}

#[test]
fn a_condition_is_waited_for() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let ends = VethPair::new(VethEnd::new("veth1").up(), VethEnd::new("veth2").up());
        let cable = ends.create(&red).unwrap();
        let has_carrier = || Ok(cable.near().info()?.state == OperationalState::Up);
        red.wait_for(has_carrier, Duration::from_secs(10)).unwrap();

        let start = Instant::now();
        let never = red.wait_for(|| Ok(false), Duration::from_millis(30));
        assert!(never.as_ref().unwrap_err().is_timed_out(), "{never:?}");
        assert!(start.elapsed() >= Duration::from_millis(30));
        support::refused(never, &["wait for a condition", "within 30ms"]);
        let fails = || Err::<bool, Error>(red.link("none").unwrap_err());
        assert!(red.wait_for(fails, Duration::MAX).unwrap_err().is_not_found());
    });
}

/// The kernel removes a link's routes after it has reported the link's change.
#[test]
fn a_route_that_goes_in_silence_is_waited_for() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&red).unwrap();
        for _ in 0..20 {
            bridge.set_up().unwrap();
            netloom::Route::new("10.1.0.0/16").via("10.0.0.2").create(&red).unwrap().keep();
            let start = Instant::now();
            thread::scope(|scope| {
                scope.spawn(|| bridge.set_down().unwrap());
                let is_gone = || {
                    let routes = red.routes()?;
                    Ok(!routes.iter().any(|r| r.destination.to_string() == "10.1.0.0/16"))
                };
                red.wait_for(is_gone, Duration::from_secs(10)).unwrap();
            });
            assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        }
    });
}

/// A condition that causes changes itself is still checked for a limited time only.
#[test]
fn a_condition_that_changes_links_times_out() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let changes = || Bridge::new("br0").create(&red).map(|_| false);
        let start = Instant::now();
        let failure = red.wait_for(changes, Duration::from_millis(50)).unwrap_err();
        assert!(failure.is_timed_out() && start.elapsed() < Duration::from_secs(5), "{failure}");
    });
}

#[test]
fn a_condition_on_rules_is_checked_when_a_rule_comes() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let rule = PolicyRule::ipv4().table(77).priority(100);
        thread::scope(|scope| {
            let maker = scope.spawn(|| {
                thread::sleep(Duration::from_millis(50));
                rule.create(&red).unwrap()
            });
            let start = Instant::now();
            let is_there = || Ok(red.rules()?.iter().any(|rule| rule.priority == 100));
            red.wait_for(is_there, Duration::from_secs(20)).unwrap();
            assert!(start.elapsed() < Duration::from_secs(10));
            drop(maker.join().unwrap());
        });
    });
}
