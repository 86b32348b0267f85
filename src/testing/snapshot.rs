//! A snapshot of everything that a test could leave behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::dump::LISTS;

/// The time limit for a joined thread to end and close its descriptors. The kernel wakes the joiner
/// a little earlier.
const SETTLE: Duration = Duration::from_secs(5);

/// The objects by kind, each with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeMap<&'static str, BTreeMap<String, String>>);

/// Runs a closure. Panics with the names of everything it left in this process, in its network
/// namespace or in its mounts. Works only inside a sandbox, because parallel tests would see each
/// other.
#[track_caller]
pub(crate) fn leaves_nothing<R>(test: impl FnOnce() -> R) -> R {
    let before = Snapshot::take();
    let outcome = test();
    let left = before.left_after();
    assert!(left.is_empty(), "the test left something behind:\n{}", left.join("\n"));
    outcome
}

impl Snapshot {
    pub(crate) fn take() -> Self {
        let mut all = Self::take_quick();
        all.0.insert("sysctl", sysctls());
        all
    }

    /// Takes a snapshot without the sysctls, which would be a thousand files to read.
    pub(crate) fn take_quick() -> Self {
        // Look at the process first: the snapshot must not contain the socket of a dump.
        let mut kinds = BTreeMap::from(process());
        kinds.extend([("file in /run/netns", named_namespaces()), ("mount", mounts())]);
        for list in &LISTS {
            kinds.insert(list.name, list.read());
        }
        Self(kinds)
    }

    /// Returns the differences from now, one a line.
    pub(crate) fn left_after(&self) -> Vec<String> {
        let patience = Instant::now() + SETTLE;
        let settled = || process().iter().all(|(kind, now)| is_settled(kind, &self.0[kind], now));
        while !settled() && Instant::now() < patience {
            thread::sleep(Duration::from_millis(2));
        }
        let is_quick = !self.0.contains_key("sysctl");
        self.differences(&if is_quick { Self::take_quick() } else { Self::take() })
    }

    fn differences(&self, after: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (kind, before) in &self.0 {
            let after = &after.0[kind];
            let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            for key in keys {
                match (before.get(key), after.get(key)) {
                    (None, Some(state)) => lines.push(format!("left: {kind} {key} ({state})")),
                    // The thread was ending already: the kernel wakes the joiner a little earlier.
                    (Some(_), None) if *kind == THREAD => {}
                    (Some(state), None) => lines.push(format!("gone: {kind} {key} ({state})")),
                    (Some(old), Some(new)) if old != new => {
                        lines.push(format!("changed: {kind} {key}: {old} -> {new}"));
                    }
                    _ => {}
                }
            }
        }
        lines
    }
}

const THREAD: &str = "thread";

/// Threads with the namespaces they are in, descriptors, and child processes.
fn process() -> [(&'static str, BTreeMap<String, String>); 3] {
    [(THREAD, threads()), ("descriptor", descriptors()), ("child process", children())]
}

/// Ignores threads that disappeared, because they may have been ending already.
fn is_settled(
    kind: &str,
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> bool {
    let was = |(name, state): (&String, &String)| before.get(name) == Some(state);
    if kind == THREAD { now.iter().all(was) } else { before == now }
}

/// Lists the threads. A thread may end while it is inspected.
fn threads() -> BTreeMap<String, String> {
    let one = |path: &Path| {
        let name = fs::read_to_string(path.join("comm")).ok()?;
        let places = ["net", "mnt"].map(|kind| link(&path.join("ns").join(kind)));
        Some((format!("{} {}", file_name(path), name.trim()), places.join(" ")))
    };
    entries("/proc/self/task").iter().filter_map(|path| one(Path::new(path))).collect()
}

fn descriptors() -> BTreeMap<String, String> {
    let listed = entries("/proc/self/fd");
    // The list includes the descriptor of the listing, which is closed by now.
    let open = listed.iter().filter(|path| fs::symlink_metadata(path).is_ok());
    open.map(|path| (file_name(Path::new(path)), link(Path::new(path)))).collect()
}

/// Lists the child processes. Empty if the kernel does not list them (`CONFIG_PROC_CHILDREN`).
fn children() -> BTreeMap<String, String> {
    let name = |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let of_thread = |task: &String| fs::read_to_string(format!("{task}/children")).ok();
    let pids = entries("/proc/self/task").iter().filter_map(of_thread).collect::<String>();
    pids.split_whitespace().map(|pid| (pid.to_owned(), name(pid).trim().to_owned())).collect()
}

fn named_namespaces() -> BTreeMap<String, String> {
    let inode = |path: &str| {
        let file = fs::metadata(path);
        file.map_or_else(|error| error.to_string(), |file| inode_of(&file))
    };
    entries("/run/netns").into_iter().map(|path| (path.clone(), inode(&path))).collect()
}

fn inode_of(file: &fs::Metadata) -> String {
    use std::os::linux::fs::MetadataExt;
    format!("device {} inode {}", file.st_dev(), file.st_ino())
}

/// Lists mounts by mount id, so that a mount over another one is seen as well.
fn mounts() -> BTreeMap<String, String> {
    let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let mut is_first = true;
    let mounts = table.lines().filter_map(|line| {
        let (id, rest) = line.split_once(' ')?;
        let point = rest.split(' ').nth(3)?;
        // The shared mount point of `ip netns` stays after the last name is deleted. Ignore it
        // once: a second, nested one would be left behind.
        if point == "/run/netns" && is_first {
            is_first = false;
            return None;
        }
        Some((format!("{point} (mount {id})"), rest.to_owned()))
    });
    mounts.collect()
}

/// Reads the sysctls below /proc/sys/net, except counters.
fn sysctls() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    walk(Path::new("/proc/sys/net"), &mut all);
    all
}

fn walk(directory: &Path, all: &mut BTreeMap<String, String>) {
    // Read the whole directory before the entries are inspected.
    let listed: Vec<_> = fs::read_dir(directory).into_iter().flatten().flatten().collect();
    for entry in listed {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, all);
        } else if !path.ends_with("nf_conntrack_count") {
            // Some sysctls are write-only, and some are unset (EIO).
            if let Ok(value) = fs::read_to_string(&path) {
                all.insert(path.display().to_string(), value.trim().to_owned());
            }
        }
    }
}

/// Lists the paths in a directory. Reads the whole directory before the entries are inspected.
fn entries(directory: &str) -> Vec<String> {
    let listed = fs::read_dir(directory).into_iter().flatten().flatten();
    listed.map(|entry| entry.path().display().to_string()).collect()
}

fn link(path: &Path) -> String {
    fs::read_link(path).map_or_else(|error| error.to_string(), |to| to.display().to_string())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
