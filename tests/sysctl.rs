//! Settings of a namespace: set inside, read back, and restored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::Read;

use netloom::{Bridge, Forwarding, Namespace, Netns, Owned, Sysctl};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::chroot;

use support::{by_hand, refused};

const NAME: &str = "net.ipv4.conf.all.rp_filter";

fn netns() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

/// Returns a setting's value as a program inside the namespace sees it.
fn seen(netns: &Netns, name: &str) -> String {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    netns.run(|| std::fs::read_to_string(path).unwrap().trim().to_owned()).unwrap()
}

#[test]
fn it_is_set_in_its_namespace_alone_and_put_back() {
    support::isolated(|| {
        let (here, red, blue) = (Netns::current().unwrap(), netns(), netns());
        let before = seen(&red, NAME);
        assert_ne!(before, "2");
        let setting = Sysctl::new(NAME, 2).create(&red).unwrap();
        assert_eq!(setting.name(), NAME);
        assert_eq!((seen(&red, NAME), red.sysctl(NAME).unwrap()), ("2".into(), "2".into()));
        assert_eq!((seen(&blue, NAME), seen(&here, NAME)), (before.clone(), before.clone()));
        setting.delete().unwrap();
        assert_eq!(seen(&red, NAME), before);
        drop(Sysctl::new(NAME, 2).create(&red).unwrap());
        assert_eq!(seen(&red, NAME), before);
        let kept = Sysctl::new(NAME, 2).create(&red).unwrap().keep();
        assert_eq!(seen(&red, NAME), "2");
        drop(Owned::adopt(kept));
        assert_eq!(seen(&red, NAME), before);
    });
}

#[test]
fn of_several_owners_the_last_counts_in_whatever_order_they_go() {
    support::isolated(|| {
        let red = netns();
        let before = seen(&red, NAME);
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1], [2, 0, 1], [1, 2, 0]] {
            let mut owners =
                [1, 2, 1].map(|value| Some(Sysctl::new(NAME, value).create(&red).unwrap()));
            assert_eq!(seen(&red, NAME), "1");
            for gone in order {
                owners[gone] = None;
                let last = (0..3).rfind(|&at| owners[at].is_some());
                let expected = last.map_or(before.clone(), |at| ["1", "2", "1"][at].to_owned());
                assert_eq!(seen(&red, NAME), expected, "{order:?} at {gone}");
            }
        }
    });
}

#[test]
fn what_somebody_else_changed_in_between_is_left_alone() {
    support::isolated(|| {
        let red = netns();
        let setting = Sysctl::new(NAME, 1).create(&red).unwrap();
        red.run(|| std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "2").unwrap()).unwrap();
        setting.delete().unwrap();
        assert_eq!(seen(&red, NAME), "2");
    });
}

#[test]
fn values_of_several_words_and_names_with_dots_work() {
    support::isolated(|| {
        let red = netns();
        let ports = "net.ipv4.ip_local_port_range";
        let before = seen(&red, ports);
        let range = Sysctl::new(ports, "20000 30000").create(&red).unwrap();
        assert_eq!(seen(&red, ports).split_whitespace().collect::<Vec<_>>(), ["20000", "30000"]);
        drop(range);
        assert_eq!(seen(&red, ports), before);

        let _bridge = Bridge::new("br0.7").create(&red).unwrap();
        let _on = Sysctl::new("net/ipv4/conf/br0.7/forwarding", 1).create(&red).unwrap();
        assert_eq!(red.sysctl("net/ipv4/conf/br0.7/forwarding").unwrap(), "1");
        by_hand(&red, "ip link set br0.7 up");
    });
}

#[test]
fn what_goes_with_its_link_is_no_failure() {
    support::isolated(|| {
        let red = netns();
        let bridge = Bridge::new("br0").create(&red).unwrap();
        let on = Sysctl::new("net.ipv4.conf.br0.forwarding", 1).create(&red).unwrap();
        bridge.delete().unwrap();
        on.delete().unwrap();
    });
}

#[test]
fn bad_names_and_values_are_refused_and_change_nothing() {
    support::isolated(|| {
        let red = netns();
        let before = seen(&red, NAME);
        for name in
            ["", "net", "kernel.hostname", "net..ipv4", "net/../kernel/hostname", "/net/ipv4"]
        {
            let error = refused(Sysctl::new(name, 1).create(&red), &["set sysctl"]);
            assert!(error.is_invalid_input());
            assert!(refused(red.sysctl(name), &["read sysctl"]).is_invalid_input());
        }
        let error = refused(
            Sysctl::new("net.ipv4.nothing", 1).create(&red),
            &["net.ipv4.nothing=1", "no such setting"],
        );
        assert!(error.is_not_found());
        assert!(refused(red.sysctl("net.ipv4.nothing"), &["net.ipv4.nothing"]).is_not_found());
        let error =
            refused(Sysctl::new(NAME, "many").create(&red), &["net.ipv4.conf.all.rp_filter=many"]);
        assert_eq!(error.raw_os_error(), Some(nix::libc::EINVAL));
        assert_eq!(seen(&red, NAME), before);
    });
}

#[test]
fn a_failed_delete_is_tried_again_with_all_that_is_left_to_do() {
    support::isolated(|| {
        let red = netns();
        by_hand(&red, "ip link set lo up");
        let write = |name: &str, value: &str| {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            red.run(|| std::fs::write(path, value).unwrap()).unwrap();
        };
        let lo = "net.ipv4.conf.lo.forwarding";
        write(lo, "1");
        let owners = [
            Sysctl::new(NAME, 2).create(&red).unwrap(),
            Sysctl::new("net.ipv4.ip_forward", 1).create(&red).unwrap(),
        ];
        // Remounts the same mount in which the owners hold an open directory.
        let remount = |flags| {
            let flags = flags | MsFlags::MS_BIND | MsFlags::MS_REMOUNT;
            mount(None::<&str>, "/proc", None::<&str>, flags, None::<&str>).unwrap();
        };
        remount(MsFlags::MS_RDONLY);
        let failures = owners.map(|owner| owner.delete().unwrap_err());
        remount(MsFlags::empty());
        for failure in failures {
            assert_eq!(failure.error().raw_os_error(), Some(nix::libc::EROFS), "{failure}");
            failure.into_owned().delete().unwrap();
        }
        assert_eq!((seen(&red, NAME), seen(&red, "net.ipv4.ip_forward")), ("0".into(), "0".into()));
        assert_eq!(seen(&red, lo), "1");
    });
}

/// An open directory stays usable, even if its path now leads to another mount.
#[test]
fn a_mount_over_proc_or_a_chroot_keeps_nothing_from_being_put_back() {
    support::isolated(|| {
        let red = netns();
        let before = seen(&red, NAME);
        let owners = || {
            let strict = Sysctl::new(NAME, 2).create(&red).unwrap();
            (strict, Forwarding::ipv4().create(&red).unwrap())
        };
        let put_back = || {
            assert_eq!(seen(&red, NAME), before);
            assert_eq!(seen(&red, "net.ipv4.ip_forward"), "0");
        };
        let (strict, forwarding) = owners();
        let none = None::<&str>;
        mount(Some("tmpfs"), "/proc", Some("tmpfs"), MsFlags::empty(), none).unwrap();
        let done = (strict.delete(), forwarding.delete());
        umount2("/proc", MntFlags::MNT_DETACH).unwrap();
        done.0.unwrap();
        done.1.unwrap();
        put_back();

        let (strict, forwarding) = owners();
        std::fs::create_dir_all("/run/empty").unwrap();
        let in_a_chroot = move || {
            unshare(CloneFlags::CLONE_FS).unwrap();
            chroot("/run/empty").unwrap();
            strict.delete().unwrap();
            forwarding.delete().unwrap();
        };
        std::thread::spawn(in_a_chroot).join().unwrap();
        put_back();
    });
}

#[test]
fn empty_and_long_values_come_back() {
    support::isolated(|| {
        let red = netns();
        let ports = "net.ipv4.ip_local_reserved_ports";
        let by_hand = |value: &str| {
            let path = format!("/proc/sys/{}", ports.replace('.', "/"));
            red.run(|| std::fs::write(path, value).unwrap()).unwrap();
        };
        assert_eq!(seen(&red, ports), "");
        drop(Sysctl::new(ports, "8080").create(&red).unwrap());
        assert_eq!(seen(&red, ports), "");
        let long: Vec<_> = (1..400).map(|number| (number * 100).to_string()).collect();
        by_hand(&long.join(","));
        let first = Sysctl::new(ports, "8080").create(&red).unwrap();
        let second = Sysctl::new(ports, "").create(&red).unwrap();
        assert_eq!(seen(&red, ports), "");
        first.delete().unwrap();
        second.delete().unwrap();
        assert_eq!(red.sysctl(ports).unwrap(), long.join(","));
        let whole = || {
            let file = std::fs::File::open("/proc/sys/net/ipv4/ip_local_reserved_ports").unwrap();
            let mut bytes = [0; 8192];
            let length = (&file).read(&mut bytes).unwrap();
            String::from_utf8(bytes[..length].to_vec()).unwrap()
        };
        assert_eq!(red.run(whole).unwrap().trim(), long.join(","));
    });
}
