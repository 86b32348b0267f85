//! Named namespaces: compatible with `ip netns`, safe beside other processes, and never those of
//! another process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::env;
use std::fs;
use std::process::Command;
use std::thread;

use netloom::{Namespace, Netns, Owned};

/// Returns the mount points at or below `/run/netns`.
fn mounts() -> Vec<String> {
    let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let points = table.lines().map(|line| line.split(' ').nth(4).unwrap().to_owned());
    points.filter(|point| point.starts_with("/run/netns")).collect()
}

fn iproute2(arguments: &[&str]) -> Option<String> {
    support::tools::run(&support::Place::here(), "ip", arguments)
}

#[test]
fn what_is_named_here_iproute2_handles() {
    support::isolated(|| {
        assert!(!fs::exists("/run/netns").unwrap());
        assert_eq!(Netns::list().unwrap(), []);
        let red = Namespace::named("red").create().unwrap();
        let Some(listed) = iproute2(&["netns", "list"]) else { return };
        assert_eq!(listed.trim(), "red");
        let inode = iproute2(&["netns", "exec", "red", "readlink", "/proc/self/ns/net"]).unwrap();
        assert_eq!(inode.trim(), red.id().to_string());
        let mut child = red.command("sleep").arg("60").spawn().unwrap();
        let pids = iproute2(&["netns", "pids", "red"]).unwrap();
        assert_eq!(pids.trim(), child.id().to_string());
        child.kill().unwrap();
        child.wait().unwrap();
        iproute2(&["netns", "delete", "red"]).unwrap();
        assert_eq!(Netns::list().unwrap(), []);
        // A name that is gone already is no failure.
        red.delete().unwrap();
    });
}

#[test]
fn what_iproute2_names_is_handled_here() {
    support::isolated(|| {
        if iproute2(&["netns", "add", "blue"]).is_none() {
            return;
        }
        assert_eq!(Netns::list().unwrap()[0].name, "blue");
        let taken = Namespace::named("blue").create().unwrap_err();
        assert!(taken.is_already_exists() && taken.to_string().contains("lives"), "{taken}");
        let blue = Netns::open("blue").unwrap();
        assert_eq!(blue.name(), Some("blue"));
        Owned::adopt(blue).delete().unwrap();
        assert_eq!(iproute2(&["netns", "list"]).unwrap(), "");
        // netloom reuses the shared mount point that iproute2 created.
        let red = Namespace::named("red").create().unwrap();
        assert_eq!(mounts(), ["/run/netns", "/run/netns/red"]);
        drop(red);
    });
}

#[test]
fn a_name_is_attached_to_an_anonymous_namespace() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let name = Namespace::named("red").attach(&red).unwrap();
        assert_eq!((name.id(), name.name()), (red.id(), Some("red")));
        assert_eq!(red.name(), None);
        let second = Namespace::named("crimson").attach(&name).unwrap();
        assert_eq!(second.name(), Some("crimson"));
        let names: Vec<_> = Netns::list().unwrap().into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["crimson", "red"]);
        if let Some(inode) =
            iproute2(&["netns", "exec", "crimson", "readlink", "/proc/self/ns/net"])
        {
            assert_eq!(inode.trim(), red.id().to_string());
        }

        let taken = Namespace::named("red").attach(&red).unwrap_err();
        assert!(taken.is_already_exists(), "{taken}");
        assert!(Namespace::anonymous().attach(&red).unwrap_err().is_invalid_input());
        assert!(Namespace::named("a/b").attach(&red).unwrap_err().is_invalid_input());

        name.delete().unwrap();
        drop(second);
        assert_eq!(Netns::list().unwrap(), []);
        // The namespace is unchanged.
        assert_eq!(red.links().unwrap().len(), 1);
    });
}

#[test]
fn a_name_that_stands_for_another_by_now_is_left_alone() {
    support::isolated(|| {
        let first = Namespace::named("red").create().unwrap();
        // Another program replaces the name.
        let copy = Owned::adopt(Netns::open("red").unwrap());
        copy.delete().unwrap();
        let second = Namespace::named("red").create().unwrap();
        first.delete().unwrap();
        assert_eq!(Netns::open("red").unwrap(), *second);
        assert_eq!(mounts(), ["/run/netns", "/run/netns/red"]);
    });
}

#[test]
fn a_stale_name_is_listed_refused_and_left_alone() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap().keep();
        nix::mount::umount2("/run/netns/red", nix::mount::MntFlags::MNT_DETACH).unwrap();
        let listed = Netns::list().unwrap();
        assert_eq!((listed[0].name.as_str(), listed[0].id), ("red", None));
        let stale = Netns::open("red").unwrap_err();
        assert!(stale.to_string().contains("is stale"), "{stale}");
        let taken = Namespace::named("red").create().unwrap_err();
        assert!(taken.is_already_exists() && taken.to_string().contains("is stale"), "{taken}");
        drop(red);
        assert!(fs::exists("/run/netns/red").unwrap(), "nobody owns it");
        for hint in [&stale, &taken] {
            assert!(hint.to_string().contains("Netns::delete_stale(\"red\")"), "{hint}");
        }
        Netns::delete_stale("red").unwrap();
        assert!(Netns::delete_stale("red").unwrap_err().is_not_found());
        let red = Namespace::named("red").create().unwrap();
        let lives = Netns::delete_stale("red").unwrap_err();
        assert!(lives.is_already_exists() && lives.to_string().contains("lives"), "{lives}");
        drop(red);
        // A file that was never a namespace is not called stale, and stays.
        fs::create_dir("/run/netns/red").unwrap();
        std::os::unix::fs::symlink("/dev/null", "/run/netns/blue").unwrap();
        for name in ["red", "blue"] {
            let errors = [
                Netns::open(name).unwrap_err(),
                Namespace::named(name).create().unwrap_err(),
                Netns::delete_stale(name).unwrap_err(),
            ];
            for error in errors {
                assert!(!error.to_string().contains("is stale"), "{error}");
            }
        }
        fs::remove_dir("/run/netns/red").unwrap();
        fs::remove_file("/run/netns/blue").unwrap();
    });
}

#[test]
fn a_failed_delete_leaves_the_name_as_it_was() {
    use nix::mount::{MsFlags, mount};
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        let id = red.id();
        let remount = |flags| {
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags;
            mount(None::<&str>, "/run/netns", None::<&str>, flags, None::<&str>).unwrap();
        };
        remount(MsFlags::MS_RDONLY);
        let failure = red.delete().unwrap_err();
        assert_eq!(failure.error().raw_os_error(), Some(nix::libc::EROFS), "{failure}");
        assert_eq!(Netns::open("red").unwrap().id(), id);
        remount(MsFlags::empty());
        failure.into_owned().delete().unwrap();
        assert!(!fs::exists("/run/netns/red").unwrap());
    });
}

/// If a mount or a chroot hides the name, the owner still deletes it or reports that it cannot.
#[test]
fn an_owner_deletes_a_name_that_a_mount_or_a_chroot_hides() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let none = None::<&str>;
        let over = |path: &str| {
            mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), none).unwrap();
        };
        let uncover = |path: &str| umount2(path, MntFlags::MNT_DETACH).unwrap();
        let named = || Namespace::named("red").create().unwrap();
        let nothing_left = || {
            assert!(!fs::exists("/run/netns/red").unwrap());
            assert_eq!(mounts(), ["/run/netns"]);
        };

        // Another program unmounts the name.
        let red = named();
        uncover("/run/netns/red");
        red.delete().unwrap();
        nothing_left();

        for hidden in ["/run/netns", "/proc"] {
            let red = named();
            over(hidden);
            let done = red.delete();
            uncover(hidden);
            done.unwrap();
            nothing_left();
        }

        let red = named();
        fs::create_dir_all("/run/empty").unwrap();
        let in_a_chroot = move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).unwrap();
            nix::unistd::chroot("/run/empty").unwrap();
            red.delete().unwrap();
        };
        thread::spawn(in_a_chroot).join().unwrap();
        nothing_left();

        // Another file is mounted over the name: nothing is deleted, and the error returns the
        // ownership.
        let red = named();
        fs::write("/run/file", "kept").unwrap();
        mount(Some("/run/file"), "/run/netns/red", none, MsFlags::MS_BIND, none).unwrap();
        let failure = red.delete().unwrap_err();
        assert_eq!(failure.error().kind(), netloom::ErrorKind::Replaced, "{failure}");
        assert_eq!(fs::read_to_string("/run/netns/red").unwrap(), "kept");
        uncover("/run/netns/red");
        failure.into_owned().delete().unwrap();
        nothing_left();
        fs::remove_file("/run/file").unwrap();
    });
}

/// An owner that cannot check the name deletes nothing, and reports that.
#[test]
fn a_delete_fails_if_what_a_name_stands_for_cannot_be_seen() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let red = Namespace::named("red").create().unwrap();
        let refused = move || {
            support::process::refuse_system_call(nix::libc::SYS_fstatfs, nix::libc::EPERM);
            red.delete().unwrap_err()
        };
        let failure = thread::spawn(refused).join().unwrap();
        assert!(failure.error().is_permission_denied(), "{failure}");
        failure.into_owned().delete().unwrap();
        assert_eq!(mounts(), ["/run/netns"]);
    });
}

#[test]
fn a_name_is_created_where_the_file_system_has_no_files_without_a_name() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let names = || {
            support::process::refuse_files_without_a_name();
            let red = Namespace::named("red").create().unwrap();
            assert!(Namespace::named("red").create().unwrap_err().is_already_exists());
            assert!(netloom::leftovers().unwrap().found().is_empty());
            red.delete().unwrap();
        };
        thread::spawn(names).join().unwrap();
        assert_eq!(Netns::list().unwrap(), []);
    });
}

#[test]
fn bad_names_are_refused_before_any_call() {
    support::isolated(|| {
        for bad in ["", ".", "..", "a/b", "a\0b", &"x".repeat(256)] {
            let refused = Namespace::named(bad).create().unwrap_err();
            assert!(refused.is_invalid_input(), "{refused}");
        }
        assert!(!fs::exists("/run/netns").unwrap());
    });
}

const ROUNDS: usize = 6;

/// Creates named namespaces in a loop and keeps each second one. Returns the kept ones.
fn name_many(prefix: &str) -> Vec<Owned<Netns>> {
    let mut kept = Vec::new();
    for round in 0..ROUNDS {
        let netns = Namespace::named(format!("{prefix}-{round}")).create().unwrap();
        if round % 2 == 0 {
            kept.push(netns);
        }
    }
    kept
}

const HELPER: &str = "NETLOOM_TEST_PREFIX";

/// Runs one of the concurrent processes of the test below.
#[test]
#[ignore = "a helper: another test starts it in a process of its own"]
fn one_process_of_many() {
    for netns in name_many(&env::var(HELPER).unwrap()) {
        netns.keep();
    }
}

#[test]
fn many_at_once_leave_as_many_mounts_as_names_and_none_nested() {
    support::isolated(|| {
        let program = env::current_exe().unwrap();
        let helper = |process: usize| {
            let mut command = Command::new(&program);
            command.args(["--exact", "one_process_of_many", "--ignored"]);
            command.env(HELPER, format!("process{process}"));
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        };
        // With `ip` installed, some processes run `ip netns`: each adds and deletes names and
        // leaves one.
        let has_ip = Command::new("ip").arg("-V").output().is_ok();
        let iproute2 = |process: usize| {
            let script = "for round in 1 2 3 4; do \
                 ip netns add $0-$round && ip netns del $0-$round || exit 1; \
                 done; ip netns add $0";
            let mut shell = Command::new("sh");
            shell.args(["-c", script, &format!("iproute2-{process}")]);
            shell.spawn().unwrap()
        };
        let processes: Vec<_> = (0..8).map(helper).collect();
        let others: Vec<_> = (0..if has_ip { 8 } else { 0 }).map(iproute2).collect();
        let threads: Vec<_> = (0..32)
            .map(|thread| thread::spawn(move || name_many(&format!("thread{thread}"))))
            .collect();
        let kept: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let count = others.len();
        for mut process in processes.into_iter().chain(others) {
            assert!(process.wait().unwrap().success());
        }

        let listed = Netns::list().unwrap();
        assert_eq!(listed.len(), (32 + 8) * ROUNDS / 2 + count);
        assert!(listed.iter().all(|name| name.id.is_some()), "none is stale");
        let mut points = mounts();
        assert_eq!(points.remove(0), "/run/netns");
        points.sort_unstable();
        let names: Vec<_> = listed.iter().map(|name| format!("/run/netns/{}", name.name)).collect();
        assert_eq!(points, names, "a mount each, none nested");

        drop(kept);
        for name in Netns::list().unwrap() {
            drop(Owned::adopt(Netns::open(&name.name).unwrap()));
        }
    });
}
