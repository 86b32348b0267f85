//! A worker: a thread that stays in a namespace and runs many small closures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use netloom::{Namespace, Netns, NetnsId};

fn here() -> NetnsId {
    Netns::current().unwrap().id()
}

#[test]
fn closures_run_inside_one_after_the_other() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let worker = red.worker().unwrap();
        assert_eq!(worker.namespace(), &*red);
        assert_eq!(worker.run(here).unwrap(), red.id());
        let mut borrowed = vec![1, 2];
        let length = worker.run(|| {
            borrowed.push(3);
            borrowed.len()
        });
        assert_eq!((length.unwrap(), borrowed), (3, vec![1, 2, 3]));
        let own = thread::current().id();
        let first = worker.run(|| thread::current().id()).unwrap();
        assert_ne!(first, own);
        assert_eq!(worker.run(|| thread::current().id()).unwrap(), first, "the same thread");
        assert_ne!(here(), red.id());
    });
}

#[test]
fn a_panic_is_the_callers_and_the_worker_goes_on() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let worker = red.worker().unwrap();
        for _ in 0..3 {
            let panic = catch_unwind(AssertUnwindSafe(|| worker.run(|| panic!("once"))));
            assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"once"));
            assert_eq!(worker.run(here).unwrap(), red.id());
        }
    });
}

#[test]
fn a_closure_within_a_closure_runs_at_once() {
    support::isolated(|| {
        let [red, blue] = [(); 2].map(|()| Namespace::anonymous().create().unwrap());
        let worker = red.worker().unwrap();
        let other = blue.worker().unwrap();
        let nested = worker.run(|| (worker.run(here).unwrap(), other.run(here).unwrap(), here()));
        assert_eq!(nested.unwrap(), (red.id(), blue.id(), red.id()));
        assert_eq!(worker.run(|| blue.run(here).unwrap()).unwrap(), blue.id());
    });
}

#[test]
fn many_threads_share_a_worker() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let worker = red.worker().unwrap();
        let sum = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        worker.run(|| sum.fetch_add(1, Ordering::Relaxed)).unwrap();
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 8000);
    });
}

#[test]
fn workers_come_and_go() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        for _ in 0..200 {
            let worker = red.worker().unwrap();
            assert_eq!(worker.run(|| 1).unwrap(), 1);
        }
    });
}

/// The worker's thread waits for the thread of `run`, which may call the same worker.
#[test]
fn a_worker_is_asked_from_another_namespace_within_its_own_closure() {
    support::isolated(|| {
        let [red, blue] = [(); 2].map(|()| Namespace::anonymous().create().unwrap());
        let worker = red.worker().unwrap();
        let seen = worker.run(|| blue.run(|| (here(), worker.run(here).unwrap())).unwrap());
        assert_eq!(seen.unwrap(), (blue.id(), red.id()));
        assert_eq!(worker.run(here).unwrap(), red.id());
    });
}
