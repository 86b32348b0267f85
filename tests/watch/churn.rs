//! Links, addresses and routes are created and deleted while a watcher with a small buffer replays
//! its events into a model.

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netloom::{Address, Bridge, Event, Link, Namespace, Netns, Route, Together, VethEnd, VethPair};

use super::model::Model;
use super::support;

/// The number of objects that each thread creates and deletes at a time.
const AT_ONCE: usize = 40;

/// Threads' changes, which pause while the model is compared.
struct Churn<'a> {
    netns: &'a Netns,
    gate: RwLock<()>,
    is_over: AtomicBool,
    /// The numbers of links, addresses and routes that were created and deleted.
    passed: [AtomicUsize; 3],
}

impl Churn<'_> {
    fn run(&self, kind: usize, change: impl Fn(usize) -> usize) {
        let mut number = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            let _open = self.gate.read().unwrap();
            self.passed[kind].fetch_add(change(number), Ordering::Relaxed);
            number += 1;
        }
    }

    fn links(&self) {
        let end = |name: String| VethEnd::new(name).no_ipv6_address().up();
        self.run(0, |round| {
            let cable = |n: usize| {
                let near = end(format!("a{n}")).address(format!("10.{}.{n}.1/24", round % 100));
                VethPair::new(near, end(format!("b{n}"))).create(self.netns).unwrap()
            };
            let cables: Together<Vec<_>> = (0..AT_ONCE / 2).map(cable).collect();
            cables.delete().unwrap();
            AT_ONCE
        });
    }

    fn addresses(&self, link: &Link) {
        self.run(1, |round| {
            let address = |n: usize| Address::new(format!("172.16.{}.{n}/32", round % 200));
            let made: Vec<_> = (1..=AT_ONCE).map(|n| address(n).create(link).unwrap()).collect();
            for address in made {
                address.delete().unwrap();
            }
            AT_ONCE
        });
    }

    fn routes(&self, link: &Link) {
        self.run(2, |round| {
            let route = |n: usize| {
                Route::new(format!("192.168.{n}.0/24"))
                    .dev(link)
                    .metric(1 + u32::try_from(round % 9).unwrap())
            };
            let made: Vec<_> = (0..AT_ONCE).map(|n| route(n).create(self.netns).unwrap()).collect();
            drop(made);
            AT_ONCE
        });
    }

    /// Creates routes, and sets the link down so that the kernel removes them without a
    /// notification.
    fn flaps(&self, link: &Link) {
        self.run(2, |round| {
            link.set_up().unwrap();
            for n in 0..4 {
                Route::new(format!("192.167.{n}.0/24"))
                    .dev(link)
                    .create(self.netns)
                    .unwrap()
                    .keep();
            }
            if round % 2 == 0 {
                link.set_mtu(1300).unwrap();
            }
            link.set_down().unwrap();
            link.set_mtu(1400).unwrap();
            4
        });
    }
}

#[test]
fn a_model_of_the_events_is_what_the_kernel_has() {
    let rounds = std::env::var("NETLOOM_TEST_ROUNDS");
    let rounds: u32 = rounds.map_or(20, |rounds| rounds.parse().unwrap());
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let bridge = |name: &str| {
            let bridge = Bridge::new(name).no_ipv6_address().up();
            bridge.create(&netns).unwrap()
        };
        let (steady, flapping) = (bridge("steady"), bridge("flapping"));
        let _address = Address::new("172.16.255.1/32").create(&steady).unwrap();
        let mut watcher =
            netns.watch().links().addresses().routes().buffer(16 << 10).start().unwrap();
        let churn = Churn {
            netns: &netns,
            gate: RwLock::new(()),
            is_over: AtomicBool::new(false),
            passed: [const { AtomicUsize::new(0) }; 3],
        };
        let mut model = Model::default();
        let start = Instant::now();
        let mut comparisons = 0;
        thread::scope(|scope| {
            scope.spawn(|| churn.links());
            scope.spawn(|| churn.addresses(&steady));
            scope.spawn(|| churn.routes(&steady));
            scope.spawn(|| churn.flaps(&flapping));
            let end = Over(&churn.is_over);
            let passed = || churn.passed.each_ref().map(|count| count.load(Ordering::Relaxed));
            while comparisons < rounds
                || model.overflows_in_resync == 0
                || passed().iter().any(|count| *count < 1000)
            {
                assert!(start.elapsed() < Duration::from_secs(600), "{model:?}");
                let Some(event) = watcher.next_within(Duration::from_millis(50)).unwrap() else {
                    continue;
                };
                let is_resynced = matches!(event, Event::Resynced(_));
                model.apply(event);
                if is_resynced {
                    let _closed = churn.gate.write().unwrap();
                    model.assert_equal(&mut watcher, &netns);
                    comparisons += 1;
                }
                // Reads slowly, so that the buffer overflows.
                if comparisons % 2 == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            drop(end);
        });
        model.assert_equal(&mut watcher, &netns);
        println!(
            "{comparisons} comparisons, {} overflows, {} of them during a resync; links, addresses \
             and routes: {:?}, in {:?}",
            model.overflows,
            model.overflows_in_resync,
            churn.passed,
            start.elapsed()
        );
    });
}

/// A guard that ends the threads, also after a panic.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
