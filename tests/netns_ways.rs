//! All ways to open a namespace, namespace ids, and the processes that hold a namespace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::{Child, Command, Stdio};

use netloom::{HeldBy, Namespace, Netns, VethPair};

/// Calls `pidfd_open(2)`, which std does not offer in stable Rust.
#[allow(unsafe_code)]
fn pidfd(pid: u32) -> OwnedFd {
    // SAFETY: the call takes two numbers and returns a new descriptor, or -1.
    let fd = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, pid, 0) };
    assert_ne!(fd, -1);
    // SAFETY: the descriptor is new, so it has no other owner.
    unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap()) }
}

/// Starts a process that sleeps in a namespace.
fn sleeper(netns: &Netns) -> Child {
    netns.run(|| Command::new("sleep").arg("60").stdout(Stdio::null()).spawn()).unwrap().unwrap()
}

#[test]
fn every_way_leads_to_the_same_place() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        let mut child = sleeper(&red);
        let ways = [
            Netns::open("red").unwrap(),
            Netns::from_path("/run/netns/red").unwrap(),
            Netns::from_pid(child.id()).unwrap(),
            Netns::from_pidfd(pidfd(child.id())).unwrap(),
            Netns::from_fd(File::open("/run/netns/red").unwrap().into()).unwrap(),
            red.run(Netns::current).unwrap().unwrap(),
        ];
        for way in &ways {
            assert_eq!(*way, *red, "{way}");
            // Each handle works: it has a socket in the namespace.
            let names: Vec<_> = way.links().unwrap().into_iter().map(|link| link.name).collect();
            assert_eq!(names, ["lo"]);
        }
        assert_eq!(ways.iter().collect::<HashSet<_>>().len(), 1);
        assert_ne!(Netns::current().unwrap(), *red);
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn what_is_no_network_namespace_is_told() {
    support::isolated(|| {
        let not_one = |error: netloom::Error, object: &str| {
            let text = error.to_string();
            assert!(text.contains("not a network namespace") && text.contains(object), "{text}");
        };
        not_one(Netns::from_path("/dev/null").unwrap_err(), "/dev/null");
        not_one(Netns::from_path("/proc/self/ns/mnt").unwrap_err(), "/proc/self/ns/mnt");
        for path in ["/dev/null", "/proc/self/ns/mnt"] {
            let file = File::open(path).unwrap();
            not_one(Netns::from_fd(file.into()).unwrap_err(), "a file descriptor");
            let file = File::open(path).unwrap();
            let error = Netns::from_pidfd(file).unwrap_err();
            assert!(error.to_string().contains("not a pidfd"), "{error}");
        }
        assert!(Netns::from_path("/run/nothing").unwrap_err().is_not_found());
        assert!(Netns::open("nothing").unwrap_err().is_not_found());
        assert!(Netns::from_pid(u32::MAX).unwrap_err().is_not_found());
        for bad in ["", ".", "..", "a/b", "a\0b"] {
            assert!(Netns::open(bad).unwrap_err().is_invalid_input(), "{bad:?}");
        }
    });
}

#[test]
fn a_process_that_ended_is_not_found() {
    support::isolated(|| {
        let mut child = Command::new("true").spawn().unwrap();
        let pidfd = pidfd(child.id());
        child.wait().unwrap();
        for error in
            [Netns::from_pidfd(pidfd).unwrap_err(), Netns::from_pid(child.id()).unwrap_err()]
        {
            assert!(error.is_not_found() && error.to_string().contains("has ended"), "{error}");
        }
    });
}

#[test]
fn namespaces_have_numbers_for_one_another() {
    support::isolated(|| {
        let host = Namespace::named("host").create().unwrap();
        let red = Namespace::named("red").create().unwrap();
        let blue = Namespace::anonymous().create().unwrap();
        assert_eq!(host.peer_ids().unwrap(), []);
        let _cable = VethPair::new("veth1", "veth2").create_between(&host, &red).unwrap();
        host.assign_peer_id(&blue, 42).unwrap();

        let number = host.peer_id(&red).unwrap().expect("its cable's far side has one");
        assert_eq!(host.peer_id(&blue).unwrap(), Some(42));
        let peers = host.peer_ids().unwrap();
        let named = peers.iter().find(|peer| peer.number == number).unwrap();
        assert_eq!(named.name.as_deref(), Some("red"));
        let anonymous = peers.iter().find(|peer| peer.number == 42).unwrap();
        assert_eq!(anonymous.name, None);
        if let Some(listed) = support::ip(&support::Place::of_fd(&*host), &["netns", "list-id"]) {
            assert!(listed.contains(&format!("\"nsid\":{number}")), "{listed}");
            assert!(listed.contains("\"nsid\":42"), "{listed}");
        }

        let taken = host.assign_peer_id(&red, 9).unwrap_err();
        assert!(taken.is_already_exists(), "{taken}");
        assert!(host.assign_peer_id(&red, u32::MAX).unwrap_err().is_invalid_input());
    });
}

#[test]
fn who_holds_a_namespace_is_told() {
    support::isolated(|| {
        let red = Namespace::named("red with space").create().unwrap();
        // A path need not be valid UTF-8.
        let bytes = std::path::PathBuf::from(OsString::from_vec(b"/run/\xff".to_vec()));
        std::fs::write(&bytes, "").unwrap();
        let flags = nix::mount::MsFlags::MS_BIND;
        let source = Some("/run/netns/red with space");
        nix::mount::mount(source, &bytes, None::<&str>, flags, None::<&str>).unwrap();
        let mut child = sleeper(&red);
        let inside = red.run(|| {
            let tid = nix::unistd::gettid().as_raw().cast_unsigned();
            let holders = red.holders().unwrap();
            let own = holders.iter().find(|holder| holder.pid == std::process::id()).unwrap();
            assert!(own.by.contains(&HeldBy::Thread(tid)), "{own}");
            holders
        });
        let holders = inside.unwrap();
        let sleep = holders.iter().find(|holder| holder.pid == child.id()).unwrap();
        assert_eq!((sleep.command.as_str(), &sleep.by[..]), ("sleep", &[HeldBy::Process][..]));
        assert_eq!(sleep.to_string(), format!("{} sleep: is in it", child.id()));
        let own = holders.iter().find(|holder| holder.pid == std::process::id()).unwrap();
        let fd = u32::try_from(std::os::fd::AsRawFd::as_raw_fd(&red.as_fd())).unwrap();
        assert!(own.by.contains(&HeldBy::OpenFile(fd)), "{own}");
        for path in ["/run/netns/red with space".into(), bytes.clone()] {
            let mount = HeldBy::Mount(path);
            assert!(holders.iter().any(|holder| holder.by.contains(&mount)), "{holders:?}");
        }
        nix::mount::umount(&bytes).unwrap();
        std::fs::remove_file(&bytes).unwrap();

        child.kill().unwrap();
        child.wait().unwrap();
        let holders = red.holders().unwrap();
        assert!(holders.iter().all(|holder| holder.pid != child.id()), "{holders:?}");
    });
}

#[test]
fn a_mount_alone_keeps_a_namespace() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        let id = red.id();
        drop(red.keep());
        let again = Netns::open("red").unwrap();
        assert_eq!(again.id(), id);
        drop(netloom::Owned::adopt(again));
        assert!(!fs::exists("/run/netns/red").unwrap());
    });
}
