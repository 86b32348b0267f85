//! Commands inside a namespace, as `ip netns exec` runs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use netloom::{Bridge, Namespace, Netns};

use support::{by_hand, refused};

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap().trim()
}

#[test]
fn a_command_is_in_its_namespace_and_sees_its_sys() {
    support::isolated(|| {
        let home = fs::read_link("/proc/thread-self/ns/net").unwrap();
        let red = Namespace::anonymous().create().unwrap();
        let _bridge = Bridge::new("br0").create(&red).unwrap();
        let output = red.command("readlink").arg("/proc/self/ns/net").output().unwrap();
        assert_eq!(text(&output.stdout), red.id().to_string());
        let output = red.command("ls").arg("/sys/class/net").output().unwrap();
        assert!(text(&output.stdout).contains("br0"));
        assert!(!fs::exists("/sys/class/net/br0").unwrap(), "its mounts are its own");
        assert_eq!(fs::read_link("/proc/thread-self/ns/net").unwrap(), home);
    });
}

#[test]
fn it_ends_as_it_ended() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let status = red.command("sh").args(["-c", "exit 7"]).status().unwrap();
        assert_eq!(status.code(), Some(7));
        let output = red.command("sh").args(["-c", "echo out; echo err >&2; kill -9 $$"]).output();
        let output = output.unwrap();
        assert_eq!((text(&output.stdout), text(&output.stderr)), ("out", "err"));
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9));
        let error = refused(red.command("no-such-program").status(), &["run `no-such-program`"]);
        assert!(error.is_not_found());
        assert_eq!(error.namespace(), Some(&*red.to_string()));
    });
}

#[test]
fn it_is_a_std_command_otherwise() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let mut cat = red.command("cat");
        let mut child = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"through a pipe").unwrap();
        assert_eq!(text(&child.wait_with_output().unwrap().stdout), "through a pipe");

        let mut shell = red.command("/bin/sh");
        shell
            .env_clear()
            .env("COLOUR", "red")
            .env("GONE", "1")
            .env_remove("GONE")
            .current_dir("/tmp");
        let output = shell.args(["-c", "echo $COLOUR $GONE $PWD"]).output().unwrap();
        assert_eq!(text(&output.stdout), "red /tmp");
    });
}

#[test]
fn a_named_namespace_has_its_own_files_over_etc() {
    support::isolated(|| {
        // In this sandbox's mounts alone: /etc is a private copy for the while.
        use nix::mount::{MntFlags, MsFlags, mount, umount2};
        mount(Some("tmpfs"), "/etc", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        fs::create_dir_all("/etc/netns/red").unwrap();
        fs::write("/etc/resolv.conf", "nameserver 192.0.2.1\n").unwrap();
        fs::write("/etc/netns/red/resolv.conf", "nameserver 10.0.0.1\n").unwrap();
        fs::write("/etc/netns/red/not-in-etc", "").unwrap();
        let here = Netns::current().unwrap();
        let red = Namespace::named("red").create().unwrap();
        let blue = Namespace::named("blue").create().unwrap();
        let read = |netns: &Netns| {
            let output = netns.command("/bin/cat").arg("/etc/resolv.conf").output().unwrap();
            text(&output.stdout).to_owned()
        };
        assert_eq!(read(&red), "nameserver 10.0.0.1");
        assert_eq!(read(&blue), "nameserver 192.0.2.1");
        assert_eq!(fs::read_to_string("/etc/resolv.conf").unwrap(), "nameserver 192.0.2.1\n");
        let by_ip = "ip netns exec red cmp /etc/resolv.conf /etc/netns/red/resolv.conf";
        by_hand(&here, by_ip);
        drop((red, blue));
        umount2("/etc", MntFlags::MNT_DETACH).unwrap();
    });
}

#[test]
fn a_command_outlives_the_handle_and_keeps_the_namespace() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let id = red.id();
        let mut sleeper = red.command("sleep").arg("100").spawn().unwrap();
        drop(red);
        assert_eq!(Netns::from_pid(sleeper.id()).unwrap().id(), id);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    });
}
