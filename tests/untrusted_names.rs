//! Names, paths and link names from untrusted configuration. No name may lead out of `/run/netns`,
//! follow a symbolic link, or replace an existing file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use netloom::{Bridge, Error, Forwarding, Namespace, Netns, Owned, Sysctl, VethPair};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use support::{refused, unchanged};

/// Names that lead to another directory, or to no file.
const HOSTILE: [&str; 17] = [
    "",
    ".",
    "..",
    "/",
    "../netns/red",
    "../../etc/passwd",
    "/etc/passwd",
    "/run/netns/red",
    "a/b",
    "a/../red",
    "./red",
    "red/",
    "red\0",
    "\0",
    "..\0",
    "../",
    "red/../../../tmp/x",
];

/// Lists a directory's files with kind, length and target.
fn files(directory: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let file = fs::symlink_metadata(entry.path()).unwrap();
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let what = format!("{:?} {} bytes {}", file.file_type(), file.len(), target.display());
        all.insert(entry.path().display().to_string(), what);
    }
    all
}

fn mounts() -> Vec<String> {
    let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    table.lines().map(str::to_owned).collect()
}

/// Makes every call that takes a name: create, attach, open, and delete a stale file.
fn all_ways(name: &str, netns: &Netns) -> [Result<(), Error>; 4] {
    [
        Namespace::named(name).create().map(drop),
        Namespace::named(name).attach(netns).map(drop),
        Netns::open(name).map(drop),
        Netns::delete_stale(name),
    ]
}

#[test]
fn a_name_that_leads_elsewhere_is_refused_before_any_call() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        let (before, mounted) = (files(Path::new("/run/netns")), mounts());
        let long = "x".repeat(256);
        for name in HOSTILE.iter().copied().chain([long.as_str()]) {
            for way in all_ways(name, &red) {
                let error = refused(way, &[]);
                assert!(error.is_invalid_input(), "{name:?}: {error}");
            }
        }
        assert_eq!((files(Path::new("/run/netns")), mounts()), (before, mounted));
    });
}

/// Names that look hostile, but are valid.
#[test]
fn a_name_that_only_looks_hostile_is_a_name() {
    support::isolated(|| {
        for name in ["...", "..red", "-rf", "$(id)", "a b", "ä\n", "%s", "*", "~", "c:\\x"] {
            let netns = Namespace::named(name).create().unwrap();
            assert_eq!(Netns::open(name).unwrap(), *netns);
            assert_eq!(Netns::list().unwrap()[0].name, name);
            netns.delete().unwrap();
            assert_eq!(Netns::list().unwrap(), []);
        }
    });
}

#[test]
fn what_is_there_already_is_neither_opened_nor_mounted_over_nor_deleted() {
    support::isolated(|| {
        let host = Namespace::named("red").create().unwrap();
        let outside = Path::new("/run/outside");
        fs::create_dir(outside).unwrap();
        fs::write(outside.join("file"), "kept").unwrap();
        let within = |name: &str| Path::new("/run/netns").join(name);
        symlink(outside.join("file"), within("to-file")).unwrap();
        symlink(outside, within("to-directory")).unwrap();
        symlink(outside.join("nothing"), within("dangling")).unwrap();
        symlink("/proc/self/ns/net", within("to-namespace")).unwrap();
        symlink("red", within("to-name")).unwrap();
        symlink("loop", within("loop")).unwrap();
        fs::create_dir(within("directory")).unwrap();
        fs::write(within("file"), "kept").unwrap();
        mkfifo(&within("fifo"), Mode::S_IRWXU).unwrap();
        let (inside, beyond) = (files(Path::new("/run/netns")), files(outside));
        let mounted = mounts();
        let names = ["to-file", "to-directory", "dangling", "to-namespace", "to-name", "loop"];
        for name in names.into_iter().chain(["directory", "fifo"]) {
            let [made, attached, opened, deleted] = all_ways(name, &host);
            for taken in [made, attached, deleted] {
                assert!(refused(taken, &[name]).is_already_exists(), "{name}");
            }
            refused(opened, &[name]);
            if names.contains(&name) {
                refused(Netns::open(name), &["symbolic link", "Netns::from_path"]);
            }
        }
        // A plain file is a stale name: only `delete_stale` deletes it.
        let [made, attached, opened, _] = all_ways_but_deleting("file", &host);
        assert!(refused(made, &["stale"]).is_already_exists());
        assert!(refused(attached, &["stale"]).is_already_exists());
        refused(opened, &["stale"]);
        assert_eq!((files(Path::new("/run/netns")), files(outside)), (inside, beyond));
        assert_eq!(mounts(), mounted);
        assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "kept");
        // `from_path` follows a symbolic link, since the caller chose the path.
        assert_eq!(Netns::from_path(within("to-name")).unwrap(), *host);
        for name in names.into_iter().chain(["file", "fifo"]) {
            fs::remove_file(within(name)).unwrap();
        }
        fs::remove_dir(within("directory")).unwrap();
        fs::remove_dir_all(outside).unwrap();
    });
}

fn all_ways_but_deleting(name: &str, netns: &Netns) -> [Result<(), Error>; 4] {
    [
        Namespace::named(name).create().map(drop),
        Namespace::named(name).attach(netns).map(drop),
        Netns::open(name).map(drop),
        Ok(()),
    ]
}

/// Another program replaces the file of a name while its owner lives.
#[test]
fn an_owner_deletes_nothing_that_took_its_names_place() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        let path = Path::new("/run/netns/red");
        nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH).unwrap();
        fs::remove_file(path).unwrap();
        fs::write("/run/kept", "kept").unwrap();
        symlink("/run/kept", path).unwrap();
        red.delete().unwrap();
        assert_eq!(fs::read_link(path).unwrap(), Path::new("/run/kept"));
        assert_eq!(fs::read_to_string("/run/kept").unwrap(), "kept");
        fs::remove_file(path).unwrap();
        // A symbolic link to the same namespace does not count as the owner's name.
        let blue = Namespace::named("blue").create().unwrap();
        let copy = Namespace::named("red").attach(&blue).unwrap();
        nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH).unwrap();
        fs::remove_file(path).unwrap();
        symlink("blue", path).unwrap();
        copy.delete().unwrap();
        assert!(fs::symlink_metadata(path).is_ok(), "the link stays");
        assert_eq!(Netns::open("blue").unwrap(), *blue);
        fs::remove_file(path).unwrap();
        fs::remove_file("/run/kept").unwrap();
    });
}

#[test]
fn a_links_name_leads_to_no_file_and_a_settings_name_not_out_of_its_directory() {
    support::isolated(|| {
        let host: Owned<Netns> = Namespace::anonymous().create().unwrap();
        unchanged(&[&host], || {
            for name in HOSTILE {
                let refusals = [
                    Bridge::new(name).create(&host).map(drop),
                    VethPair::new(name, "b").create(&host).map(drop),
                    VethPair::new("a", name).create(&host).map(drop),
                    Forwarding::ipv4().dev(name).create(&host).map(drop),
                    host.link(name).map(drop),
                    host.sysctl(name).map(drop),
                    host.sysctl(&format!("net/ipv4/conf/{name}/forwarding")).map(drop),
                    host.sysctl(&format!("net.ipv4.conf.{name}.forwarding")).map(drop),
                    Sysctl::new(format!("net/ipv4/{name}"), 1).create(&host).map(drop),
                    Sysctl::new(format!("net/{name}"), 1).create(&host).map(drop),
                ];
                for (way, refusal) in refusals.into_iter().enumerate() {
                    let error = refused(refusal, &[]);
                    assert!(
                        error.is_invalid_input() || error.is_not_found(),
                        "{name:?} {way}: {error}"
                    );
                }
            }
        });
    });
}
