//! Namespaces: created, named, found, entered and deleted, with names compatible with `ip netns`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use netloom::{Namespace, Netns, Owned, VethEnd, VethPair};

use support::{Place, by_hand, eventually, reaches, refused};

fn names() -> Vec<String> {
    Netns::list().unwrap().into_iter().map(|named| named.name).collect()
}

/// Returns the names that `ip netns` lists, or `None` if `ip` is not installed.
fn names_by_ip() -> Option<Vec<String>> {
    let text = support::ip(&Place::here(), &["netns", "list"])?;
    let text = if text.trim().is_empty() { "[]" } else { &text };
    let list: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    Some(list.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect())
}

fn inode(path: &str) -> u64 {
    use std::os::linux::fs::MetadataExt;
    fs::metadata(path).unwrap().st_ino()
}

#[test]
fn a_name_of_ours_is_one_of_ip_netns() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let red = Namespace::named("red").create().unwrap();
        assert_eq!(red.name(), Some("red"));
        assert_eq!(inode("/run/netns/red"), red.id().inode());
        assert_eq!(names(), ["red"]);
        assert_eq!(Netns::list().unwrap()[0].id, Some(red.id()));
        if let Some(names) = names_by_ip() {
            assert_eq!(names, ["red"]);
            assert!(by_hand(&here, "ip netns exec red ip link set lo up"));
            assert!(red.link("lo").unwrap().info().unwrap().is_up());
        }
        red.delete().unwrap();
        assert!(!fs::exists("/run/netns/red").unwrap());
        assert_eq!(names(), [""; 0]);
        assert!(names_by_ip().is_none_or(|names| names.is_empty()));
    });
}

#[test]
fn a_name_of_ip_netns_is_one_of_ours() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        if !by_hand(&here, "ip netns add blue") {
            Namespace::named("blue").create().unwrap().keep();
        }
        let blue = Netns::open("blue").unwrap();
        assert_eq!(names(), ["blue"]);
        assert_eq!(blue.id().inode(), inode("/run/netns/blue"));
        blue.link("lo").unwrap().set_up().unwrap();
        reaches(&blue, "127.0.0.1");
        Owned::adopt(blue).delete().unwrap();
        assert_eq!(names(), [""; 0]);
        assert!(names_by_ip().is_none_or(|names| names.is_empty()));
    });
}

#[test]
fn a_name_that_ip_netns_deleted_is_gone_without_complaint() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let red = Namespace::named("red").create().unwrap();
        if !by_hand(&here, "ip netns delete red") {
            Owned::adopt(Netns::open("red").unwrap()).delete().unwrap();
        }
        assert_eq!(names(), [""; 0]);
        // The name is gone, but the handle keeps the namespace.
        red.link("lo").unwrap().set_up().unwrap();
        red.delete().unwrap();
    });
}

#[test]
fn deleting_never_touches_a_name_that_now_stands_for_another_namespace() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let ours = Namespace::named("red").create().unwrap();
        Owned::adopt(Netns::open("red").unwrap()).delete().unwrap();
        if !by_hand(&here, "ip netns add red") {
            Namespace::named("red").create().unwrap().keep();
        }
        let theirs = Netns::open("red").unwrap();
        assert_ne!(*ours, theirs);
        drop(ours);
        assert_eq!(Netns::open("red").unwrap(), theirs, "theirs lives");
        let another = Owned::adopt(theirs);
        another.delete().unwrap();
        assert_eq!(names(), [""; 0]);
    });
}

#[test]
fn a_name_that_became_a_plain_file_is_left_alone() {
    support::isolated(|| {
        let ours = Namespace::named("red").create().unwrap();
        Owned::adopt(Netns::open("red").unwrap()).delete().unwrap();
        fs::write("/run/netns/red", "somebody's notes").unwrap();
        ours.delete().unwrap();
        assert_eq!(fs::read_to_string("/run/netns/red").unwrap(), "somebody's notes");
        fs::remove_file("/run/netns/red").unwrap();
    });
}

#[test]
fn a_stale_name_is_taken_listed_as_stale_and_explained() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        // Simulates a reboot with a persistent /run: the file exists without its mount.
        fs::create_dir_all("/run/netns").unwrap();
        fs::write("/run/netns/old", "").unwrap();
        let create = || Namespace::named("old").create();
        let error = refused(create(), &["create namespace `old`", "/run/netns/old is stale"]);
        assert!(error.is_already_exists());
        let error =
            refused(Netns::open("old"), &["open namespace `old`", "/run/netns/old is stale"]);
        assert!(!error.is_already_exists() && !error.is_unsupported());
        let listed = Netns::list().unwrap();
        assert_eq!((listed[0].name.as_str(), listed[0].id), ("old", None));
        // Follows the hint's advice.
        assert!(error.remedy().unwrap().contains("Netns::delete_stale(\"old\")"), "{error}");
        if !by_hand(&here, "ip netns delete old") {
            fs::remove_file("/run/netns/old").unwrap();
        }
        create().unwrap().delete().unwrap();
    });
}

#[test]
fn creating_twice_is_refused_and_the_first_one_stays() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        let again = Namespace::named("red").create();
        let error = refused(again, &["create namespace `red`", "a namespace of that name lives"]);
        assert!(error.is_already_exists());
        assert_eq!(Netns::open("red").unwrap(), *red);
    });
}

#[test]
fn deleting_twice_is_no_error() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        let again = Owned::adopt(red.handle().clone());
        red.delete().unwrap();
        again.delete().unwrap();
    });
}

#[test]
fn a_kept_name_stays_until_it_is_adopted() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap().keep();
        assert_eq!(names(), ["red"]);
        let id = red.id();
        drop(red);
        let found = Netns::open("red").unwrap();
        assert_eq!(found.id(), id);
        drop(Owned::adopt(found));
        assert_eq!(names(), [""; 0]);
    });
}

#[test]
fn an_anonymous_namespace_goes_with_its_last_handle_and_its_cables_with_it() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let container = Namespace::anonymous().create().unwrap();
        assert_eq!(container.name(), None);
        let cable = VethPair::new("port", "eth0").create_between(&host, &container).unwrap();
        let near = cable.near().clone();
        // The handles of the cable hold its namespaces.
        drop(cable.keep());
        let held = Netns::clone(&container);
        drop(container);
        assert!(near.info().is_ok());
        drop(held);
        eventually("the near end went with its peer", || near.info().is_err());
    });
}

#[test]
fn one_namespace_is_the_same_by_every_way_to_it() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        let mut sleeper = red.command("sleep").arg("100").spawn().unwrap();
        let by_pid = Netns::from_pid(sleeper.id()).unwrap();
        let by_path = Netns::from_path("/run/netns/red").unwrap();
        let by_fd = Netns::from_fd(red.as_fd().try_clone_to_owned().unwrap()).unwrap();
        let inside = red.run(|| Netns::current().unwrap()).unwrap();
        for same in [&by_pid, &by_path, &by_fd, &inside, &Netns::open("red").unwrap()] {
            assert_eq!(same, &*red);
            assert_eq!(same.id(), red.id());
        }
        assert_ne!(Netns::current().unwrap(), *red);
        assert!(by_pid.to_string().contains(&sleeper.id().to_string()));
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        // Deleting a handle without a name deletes no name.
        Owned::adopt(by_path).delete().unwrap();
        assert_eq!(names(), ["red"]);
    });
}

#[test]
fn what_is_gone_or_is_no_namespace_is_named() {
    support::isolated(|| {
        let error = refused(Netns::open("nobody"), &["open namespace `nobody`"]);
        assert!(error.is_not_found());
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let error = refused(Netns::from_pid(ended.id()), &[&ended.id().to_string()]);
        assert!(error.is_not_found());
        for no_network in ["/proc/self/ns/uts", "/etc/passwd", "/proc/self/ns", "/dev/null"] {
            let error =
                refused(Netns::from_path(no_network), &[no_network, "not a network namespace"]);
            assert!(!error.is_not_found() && !error.is_unsupported(), "{error}");
        }
        let error = refused(Netns::from_path("/run/nothing"), &["/run/nothing"]);
        assert!(error.is_not_found());
        let file = fs::File::open("/dev/null").unwrap();
        refused(Netns::from_fd(file.into()), &["a file descriptor"]);
    });
}

#[test]
fn a_closure_runs_inside_and_the_caller_stays_where_it_is() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let place = || fs::read_link("/proc/thread-self/ns/net").unwrap().display().to_string();
        let home = place();
        let mut seen = String::new();
        let answer = red.run(|| {
            seen = place();
            42
        });
        assert_eq!(answer.unwrap(), 42);
        assert_eq!(seen, red.id().to_string());
        let panic = catch_unwind(AssertUnwindSafe(|| red.run(|| panic!("inside"))));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"inside"));
        assert_eq!(place(), home);
        assert!(red.run(place).is_ok_and(|now| now == seen), "it goes on after a panic");
    });
}

#[test]
fn every_thread_can_use_one_handle() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        std::thread::scope(|scope| {
            for number in 0..12 {
                let red = &red;
                scope.spawn(move || {
                    let end = VethEnd::new(format!("a{number}"));
                    let cable = VethPair::new(end, format!("b{number}")).create(red).unwrap();
                    assert_eq!(cable.near().info().unwrap().name, format!("a{number}"));
                    assert!(red.links().unwrap().len() >= 3);
                });
            }
        });
        assert_eq!(red.links().unwrap().len(), 1);
    });
}
