//! Closures in a namespace: they borrow, return, panic and nest, and every thread returns home.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netloom::{Namespace, Netns, NetnsId, VethPair};

fn here() -> NetnsId {
    Netns::current().unwrap().id()
}

/// Counts the threads of this process by network namespace, as `/proc` shows them.
fn threads() -> BTreeMap<String, usize> {
    let mut places = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        // A thread may end meanwhile.
        if let Ok(place) = fs::read_link(task.unwrap().path().join("ns/net")) {
            *places.entry(place.display().to_string()).or_default() += 1;
        }
    }
    places
}

/// Counts the threads that netloom did not start. One of them may be about to end.
fn own_threads() -> usize {
    let is_own = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() != "netloom")
    };
    fs::read_dir("/proc/self/task").unwrap().flatten().filter(is_own).count()
}

/// Waits a moment for threads that were joined to be gone from `/proc` as well.
#[track_caller]
fn all_are_at_home(threads_at_home: usize) {
    let home = here().to_string();
    // A thread that was about to end when the threads were counted may be gone.
    let are = |threads: &BTreeMap<String, usize>| {
        threads.len() == 1 && threads.get(&home).is_some_and(|count| *count <= threads_at_home)
    };
    let patience = Instant::now() + Duration::from_secs(10);
    while !are(&threads()) && Instant::now() < patience {
        thread::sleep(Duration::from_millis(1));
    }
    let threads = threads();
    assert!(are(&threads), "{threads:?}, of {threads_at_home} in {home}");
}

/// A mount of `/sys` shows the network namespace in which it was mounted.
#[test]
fn the_sys_of_a_closure_is_the_callers_and_that_of_a_command_its_own() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let _cable = VethPair::new("veth1", "veth2").create(&red).unwrap();
        let links = || {
            let entries = fs::read_dir("/sys/class/net").unwrap().flatten();
            let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
            names.sort();
            names
        };
        let (outside, worker) = (links(), red.worker().unwrap());
        assert!(!outside.contains(&"veth1".into()));
        let inside = [red.run(links), red.run_here(links), worker.run(links)];
        assert!(inside.into_iter().all(|seen| seen.unwrap() == outside));
        // A command and `Netns::links` show the links of the namespace.
        let by_command = red.command("ls").arg("/sys/class/net").output().unwrap();
        let by_command = String::from_utf8(by_command.stdout).unwrap();
        assert!(by_command.contains("veth1\nveth2\n"), "{by_command}");
        let names: Vec<_> = red.links().unwrap().into_iter().map(|link| link.name).collect();
        assert!(names.contains(&"veth1".to_owned()), "{names:?}");
    });
}

/// Drops all privileges of the calling thread alone, so that it cannot return home.
#[allow(unsafe_code)]
fn drop_privileges_of_this_thread() {
    let header = [0x2008_0522_u32, 0]; // _LINUX_CAPABILITY_VERSION_3, this thread
    let none = [0_u32; 6];
    // SAFETY: the call reads the header and three numbers for each of two halves (capset(2)).
    let done = unsafe { nix::libc::syscall(nix::libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    assert_eq!(done, 0);
}

#[test]
fn a_closure_borrows_and_returns() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let (words, mut seen) = (vec!["a".to_owned(), "b".to_owned()], None);
        let count = red.run(|| {
            seen = Some(here());
            words.iter().map(String::len).sum::<usize>()
        });
        assert_eq!((count.unwrap(), seen), (2, Some(red.id())));
        assert_ne!(here(), red.id());

        red.link("lo").unwrap().set_up().unwrap();
        // A socket opened inside belongs to the namespace.
        let inside = red.run(|| TcpListener::bind("127.0.0.1:80")).unwrap().unwrap();
        assert_eq!(red.listeners().unwrap().len(), 1);
        assert_eq!(Netns::current().unwrap().listeners().unwrap().len(), 0);
        let taken = red.run(|| TcpListener::bind("127.0.0.1:80")).unwrap().unwrap_err();
        assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
        drop(inside);
    });
}

#[test]
fn a_panic_goes_on_in_the_caller_and_leaves_everyone_at_home() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let before = own_threads();
        let panic = catch_unwind(AssertUnwindSafe(|| red.run(|| panic!("as it should"))));
        assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"as it should"));
        all_are_at_home(before);
        assert_eq!(red.run(here).unwrap(), red.id());
    });
}

#[test]
fn entries_nest() {
    support::isolated(|| {
        let [red, blue] = [(); 2].map(|()| Namespace::anonymous().create().unwrap());
        let before = own_threads();
        let seen = red.run(|| {
            let inner = blue.run(|| (here(), red.run(here).unwrap())).unwrap();
            (inner, here())
        });
        assert_eq!(seen.unwrap(), ((blue.id(), red.id()), red.id()));
        all_are_at_home(before);
    });
}

#[test]
fn a_thread_that_can_not_go_home_ends() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let before = own_threads();
        let value = red.run(|| {
            drop_privileges_of_this_thread();
            7
        });
        assert_eq!(value.unwrap(), 7);
        all_are_at_home(before);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            red.run(|| {
                drop_privileges_of_this_thread();
                panic!("and panics");
            })
        }));
        assert!(panic.is_err());
        all_are_at_home(before);
        // No other thread lost a privilege.
        assert_eq!(red.run(here).unwrap(), red.id());
    });
}

#[test]
fn without_the_privilege_the_closure_never_runs() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let refused = thread::scope(|scope| {
            let unprivileged = scope.spawn(|| {
                drop_privileges_of_this_thread();
                red.run(|| panic!("it must not run")).unwrap_err()
            });
            unprivileged.join().unwrap()
        });
        assert!(refused.is_permission_denied(), "{refused}");
        assert!(refused.to_string().contains(&red.id().to_string()), "{refused}");
    });
}

#[test]
fn a_closure_runs_on_the_calling_thread() {
    support::isolated(|| {
        let [red, blue] = [(); 2].map(|()| Namespace::anonymous().create().unwrap());
        let (own, home) = (thread::current().id(), here());
        let seen = red.run_here(|| {
            let inner = blue.run_here(|| (here(), red.run_here(here).unwrap())).unwrap();
            (thread::current().id(), inner, here())
        });
        assert_eq!(seen.unwrap(), (own, (blue.id(), red.id()), red.id()));
        assert_eq!(here(), home);
        let panic = catch_unwind(AssertUnwindSafe(|| red.run_here(|| panic!("as it should"))));
        assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"as it should"));
        assert_eq!(here(), home);
        // Running a closure in the current namespace switches nothing, so no privilege is needed.
        let current = Netns::current().unwrap();
        let without = || {
            drop_privileges_of_this_thread();
            assert!(red.run_here(|| panic!("it must not run")).unwrap_err().is_permission_denied());
            current.run_here(here).unwrap()
        };
        assert_eq!(thread::scope(|scope| scope.spawn(without).join().unwrap()), home);
    });
}

/// `setuid` signals every thread. A thread in another namespace applies the change after its
/// return.
#[test]
fn another_thread_changes_the_user_all_the_while() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let before = own_threads();
        let is_over = AtomicBool::new(false);
        let nobody = nix::unistd::Uid::from_raw(65534);
        let root = nix::unistd::geteuid();
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // Drops the capabilities of all threads until the next line. The call fails for
                    // an ordinary user, whose sandbox maps one user.
                    nix::unistd::seteuid(nobody).ok();
                    nix::unistd::seteuid(root).unwrap();
                    thread::yield_now();
                }
            });
            let [mut done, mut refused, mut slowest] = [0, 0, 0];
            for _ in 0..3000 {
                let start = Instant::now();
                let opened = red.udp_bind("0.0.0.0:0").map(drop);
                let made = Namespace::anonymous().create().map(drop);
                for result in [opened, made] {
                    match result {
                        Ok(()) => done += 1,
                        Err(error) => {
                            assert!(error.is_permission_denied(), "{error}");
                            refused += 1;
                        }
                    }
                }
                slowest = slowest.max(start.elapsed().as_millis());
            }
            is_over.store(true, Ordering::Relaxed);
            println!("{done} done, {refused} refused, the slowest took {slowest} ms");
            assert!(done > 100);
        });
        all_are_at_home(before);
    });
}

#[test]
fn ten_thousand_entries_leave_nothing() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let before = own_threads();
        let start = Instant::now();
        for round in 0..10_000 {
            assert_eq!(red.run(|| round).unwrap(), round);
        }
        println!("10,000 entries in {:?}", start.elapsed());
        all_are_at_home(before);
    });
}

#[test]
fn many_threads_enter_many_namespaces() {
    support::isolated(|| {
        let places: Vec<_> = (0..8).map(|_| Namespace::anonymous().create().unwrap()).collect();
        let before = own_threads();
        thread::scope(|scope| {
            for first in 0..8 {
                let places = &places;
                scope.spawn(move || {
                    for round in 0..100 {
                        let red = &places[(first + round) % places.len()];
                        assert_eq!(red.run(here).unwrap(), red.id());
                    }
                });
            }
        });
        all_are_at_home(before);
    });
}

/// Creates namespaces in chunks, because the kernel destroys them later on a worker.
#[test]
fn five_thousand_anonymous_namespaces_come_and_go() {
    support::isolated(|| {
        let start = Instant::now();
        for _ in 0..50 {
            let chunk: Vec<_> =
                (0..100).map(|_| Namespace::anonymous().create().unwrap()).collect();
            drop(chunk);
        }
        println!("5,000 namespaces made and dropped in {:?}", start.elapsed());
    });
}
