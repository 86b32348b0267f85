//! `reap` leaves the objects of living processes alone, in whatever namespace it runs. It finds the
//! objects of dead processes, in whatever namespace they died.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netloom::{Bridge, Namespace, Netns, Owned, Together, VethPair};
use nix::mount::{MntFlags, umount2};

use super::support::snapshot::Snapshot;
use super::support::{self, tools};
use super::{
    WAIT, helper, is_helper, kill, ready, reaped, start_and_wait, started_by, wait_to_be_killed,
};

/// Runs `reap` in a mount namespace without the mounts of the names.
#[test]
#[ignore = "started by another test"]
fn agent() {
    if is_helper("living::agent") {
        for name in ["live", "kept"] {
            umount2(format!("/run/netns/{name}").as_str(), MntFlags::MNT_DETACH).unwrap();
        }
        let done = netloom::reap().unwrap();
        let removed: Vec<_> = done.removed.iter().map(ToString::to_string).collect();
        assert_eq!(removed, ["name `dead` without a namespace"], "{:?}", done.failures);
        println!("ready");
    }
}

#[test]
fn a_name_is_its_owners_where_its_mount_is_not_seen_too() {
    support::isolated(|| {
        let live = Namespace::named("live").create().unwrap();
        let kept = Namespace::named("kept").create().unwrap().keep();
        // Simulates an owner that was killed in a mount namespace that no longer exists.
        std::fs::write("/run/netns/dead", "").unwrap();
        mode("/run/netns/dead", 0o400);
        let options = ["--mount", "--propagation", "private"];
        let mut unshare = started_by("unshare", &options, &helper("living::agent", 0));
        let mut agent = ready(unshare.stderr(Stdio::inherit()).spawn().unwrap());
        assert!(agent.wait().unwrap().success());
        Netns::open("live").unwrap();
        Netns::open("kept").unwrap();
        live.delete().unwrap();
        Owned::adopt(kept).delete().unwrap();
    });
}

fn mode(path: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_was_adopted_is_no_dead_process_s() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let before = Snapshot::take();
        kill(start_and_wait(1));
        kill(start_and_wait(2));
        let host = Netns::current().unwrap();
        let bridge = Owned::adopt(host.link("br1").unwrap());
        let name = Owned::adopt(Netns::open("lab1").unwrap());
        let kept = Owned::adopt(host.link("br2").unwrap()).keep();
        let kept_name = Owned::adopt(Netns::open("lab2").unwrap()).keep();
        let done = netloom::reap().unwrap();
        assert!(done.failures.is_empty(), "{:?}", done.failures);
        drop(done);
        for link in ["br1", "br2"] {
            host.link(link).unwrap();
        }
        for name in ["lab1", "lab2"] {
            Netns::open(name).unwrap();
        }
        bridge.delete().unwrap();
        name.delete().unwrap();
        Owned::adopt(kept).delete().unwrap();
        Owned::adopt(kept_name).delete().unwrap();
        drop(host);
        reaped(&before, "the rest");
    });
}

/// Adopts kept objects in a process that is killed: they belong to that process.
#[test]
#[ignore = "started by another test, to be killed"]
fn adopter() {
    if is_helper("living::adopter") {
        let host = Netns::current().unwrap();
        let _link = Owned::adopt(host.link("br0").unwrap());
        let _name = Owned::adopt(Netns::open("red").unwrap());
        wait_to_be_killed();
    }
}

#[test]
fn what_a_dead_process_had_adopted_is_found() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let before = Snapshot::take();
        let host = Netns::current().unwrap();
        drop(Bridge::new("br0").create(&host).unwrap().keep());
        drop(Namespace::named("red").create().unwrap().keep());
        let adopter = ready(helper("living::adopter", 0).spawn().unwrap());
        assert!(netloom::leftovers().unwrap().found().is_empty());
        kill(adopter);
        let left = netloom::leftovers().unwrap();
        let found: Vec<_> = left.found().iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        drop((left, host));
        reaped(&before, "the adopted");
    });
}

/// Moves a link of another process, and exits.
#[test]
#[ignore = "started by another test"]
fn mover() {
    if is_helper("living::mover") {
        let host = Netns::current().unwrap();
        host.link("v1").unwrap().move_to(&Netns::open("red").unwrap()).unwrap();
        println!("ready");
    }
}

#[test]
fn a_link_that_somebody_moved_is_its_owners_still() {
    support::isolated(|| {
        let host = Netns::current().unwrap();
        let red = Namespace::named("red").create().unwrap();
        let cable = VethPair::new("v1", "v2").create(&host).unwrap();
        assert!(ready(helper("living::mover", 0).spawn().unwrap()).wait().unwrap().success());
        let done = netloom::reap().unwrap();
        assert!(done.removed.is_empty(), "{:?}", done.removed);
        red.link("v1").unwrap();
        host.link("v2").unwrap();
        cable.delete().unwrap();
        assert!(red.link("v1").is_err() && host.link("v2").is_err());
    });
}

/// Any process in a namespace may change the groups of its links. `reap` must not take a group for
/// the mark of a dead owner.
#[test]
fn what_is_done_inside_a_namespace_does_not_say_that_its_name_is_a_dead_process_s() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        for group in ["0", "1852571649", "1845493760"] {
            if tools::run(&tools::Place::of_fd(&*red), "ip", &["link", "set", "lo", "group", group])
                .is_none()
            {
                return;
            }
            let left = netloom::leftovers().unwrap();
            assert!(left.found().is_empty(), "{group}: {:?}", left.found());
        }
    });
}

/// Creates links in a kept namespace, through the namespace's handle.
#[test]
#[ignore = "started by another test, to be killed"]
fn giver() {
    if is_helper("living::giver") {
        let red = Namespace::named("red").create().unwrap().keep();
        let _bridge = Bridge::new("br0").create(&red).unwrap();
        let blue = Namespace::anonymous().create().unwrap();
        let blue = Namespace::named("blue").attach(&blue).unwrap().keep();
        let _another = Bridge::new("br1").create(&blue).unwrap();
        wait_to_be_killed();
    }
}

#[test]
fn links_of_a_dead_process_in_a_namespace_it_kept_are_found() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let before = Snapshot::take();
        kill(ready(helper("living::giver", 0).spawn().unwrap()));
        let done = netloom::reap().unwrap();
        let removed: Vec<_> = done.removed.iter().map(ToString::to_string).collect();
        let expected = ["link `br1` in namespace `blue`", "link `br0` in namespace `red`"];
        assert_eq!(removed, expected, "{:?}", done.failures);
        drop(done);
        for name in ["red", "blue"] {
            Owned::adopt(Netns::open(name).unwrap()).delete().unwrap();
        }
        assert!(before.left_after().is_empty());
    });
}

#[test]
fn a_name_is_found_whatever_the_umask_of_its_maker() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let before = Snapshot::take();
        let masked = ["-c", "umask 777 && exec \"$@\"", "sh"];
        let mut builder = started_by("sh", &masked, &helper("builder", 1));
        kill(ready(builder.env(WAIT, "1").spawn().unwrap()));
        reaped(&before, "under a umask");
    });
}

/// Deletes bridges in a `Together`, in a process that is killed before each of its messages.
#[test]
#[ignore = "started by another test, to be killed"]
fn together() {
    if is_helper("living::together") {
        let host = Netns::current().unwrap();
        let bridge = |n| Bridge::new(format!("br{n}")).create(&host).unwrap();
        drop(Together::new((0..4).map(bridge).collect::<Vec<_>>()));
        println!("ready");
    }
}

#[test]
fn links_that_were_about_to_go_together_are_found() {
    support::isolated(|| {
        if !tools::is_there("strace") {
            return;
        }
        let before = Snapshot::take();
        let mut killed = 0;
        for step in 1.. {
            let inject = format!("inject=sendto:signal=SIGKILL:when={step}");
            let options = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=sendto", "-e", &inject];
            let mut strace = started_by("strace", &options, &helper("living::together", 0));
            let ended = strace.stdout(Stdio::null()).status().unwrap();
            reaped(&before, &format!("killed before message {step}"));
            if ended.success() {
                break;
            }
            killed += 1;
        }
        // Four bridges are created, put in a group by one message, and deleted by another. Lists of
        // the links come between.
        assert!(killed > 6, "{killed}");
    });
}

fn threads_and_descriptors() -> [usize; 2] {
    ["/proc/self/task", "/proc/self/fd"].map(|path| std::fs::read_dir(path).unwrap().count())
}

/// An ordinary user can lock the directory, as `ip netns add` does. netloom must not wait for the
/// lock for long.
#[test]
fn a_lock_of_the_directory_that_is_never_released_stops_nobody() {
    support::isolated(|| {
        let before = threads_and_descriptors();
        std::fs::create_dir("/run/netns").unwrap();
        let directory = File::open("/run/netns").unwrap();
        directory.lock().unwrap();
        // The first creation makes the directory a mount point.
        let first = Namespace::named("first").create().unwrap();
        let start = Instant::now();
        let second = Namespace::named("second").create().unwrap();
        let second = Owned::adopt(second.keep());
        assert!(netloom::leftovers().unwrap().found().is_empty());
        first.delete().unwrap();
        assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
        second.delete().unwrap();
        assert_eq!(Netns::list().unwrap(), []);
        drop(directory);
        assert_eq!(threads_and_descriptors(), before);
    });
}

/// Runs a shell command as a user without privileges.
fn as_nobody(command: &str) -> bool {
    let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", command];
    let status = Command::new("setpriv").args(user).stderr(Stdio::null()).status().unwrap();
    status.success()
}

#[test]
fn an_ordinary_user_can_neither_lock_a_names_file_nor_keep_it_from_reap() {
    support::isolated(|| {
        // A user namespace with one user has no ordinary user.
        if !tools::is_there("setpriv") || !tools::is_there("flock") || !as_nobody("true") {
            return;
        }
        drop(Namespace::named("first").create().unwrap());
        let before = Snapshot::take();
        assert!(as_nobody("flock -n /run/netns true"), "the user can lock what it can read");
        kill(start_and_wait(1));
        umount2("/run/netns/lab1", MntFlags::MNT_DETACH).unwrap();
        assert!(!as_nobody("flock -n /run/netns/lab1 true"));
        let done = netloom::reap().unwrap();
        let removed: Vec<_> = done.removed.iter().map(ToString::to_string).collect();
        assert!(removed.contains(&"name `lab1` without a namespace".to_owned()), "{removed:?}");
        drop(done);
        reaped(&before, "the rest");
    });
}

/// A fork has a copy of the name's lock.
#[test]
fn a_forks_drop_and_end_release_no_name() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        let copy = std::mem::ManuallyDrop::new(&red);
        support::process::in_a_fork(|| {
            // SAFETY: the fork has a copy of the owner, and ends without using it again.
            #[allow(unsafe_code)]
            drop(unsafe { std::ptr::read(*copy) });
            true
        });
        assert!(netloom::leftovers().unwrap().found().is_empty());
        assert_eq!(Netns::open("red").unwrap(), *red);
        red.delete().unwrap();
    });
}

#[test]
fn a_name_whose_mount_is_not_seen_is_not_stale_while_its_owner_lives() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        umount2("/run/netns/red", MntFlags::MNT_DETACH).unwrap();
        let error = Netns::delete_stale("red").unwrap_err();
        assert!(error.is_already_exists() && error.to_string().contains("has an owner"), "{error}");
        let error = Namespace::named("red").create().unwrap_err();
        assert!(error.is_already_exists() && error.to_string().contains("reap"), "{error}");
        drop(red.keep());
        let error = Namespace::named("red").create().unwrap_err();
        assert!(error.to_string().contains("delete_stale(\"red\")"), "{error}");
        Netns::delete_stale("red").unwrap();
    });
}
