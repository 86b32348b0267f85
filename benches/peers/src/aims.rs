//! What was aimed at and what was reached: a table made of what the benches printed.

use std::path::Path;
use std::time::Duration;

use crate::report::{BATCHES, SINGLE, docs, machine, put};

const BEGIN: &str = "<!-- aims: begin -->\n";
const END: &str = "<!-- aims: end -->\n";

/// What a row compares: a contender of a work, by what the bench calls them.
type One = (&'static str, &'static str);

enum Aim {
    /// At most so many times the other's time.
    Ratio(One, f64),
    /// At least so many times faster than the other.
    Faster(One, f64),
    /// At most so many microseconds.
    Micros(u64),
    /// The same, shown beside the other.
    MicrosBeside(u64, One),
    /// Shown without an aim, beside the other.
    Beside(One),
}
use Aim::{Beside, Faster, Micros, MicrosBeside, Ratio};

/// "No slower": runs of the same work differ by this much.
const NO_SLOWER: f64 = 1.03;

const RAW: &str = "raw replay";
const THOUSAND: &str = "one more container beside 1000, no IPv6 addresses";
const THOUSAND_IPV6: &str = "one more container beside 1000, all with IPv6 addresses";
const ATTACH_10: &str = "attach beside 10, no IPv6 address";
const ATTACH_1000_NO_SNOOPING: &str = "attach beside 1000, no IPv6 address, no multicast snooping";
const NO_BRIDGE: &str = "raw replay without a bridge";
const ATTACH_1000: &str = "attach beside 1000, no IPv6 address";
const COLD: &str = "a cold build";
const BUILT: &str = "a small network built";
const REMOVED: &str = "the same removed, names free again";
const TCP: &str = "TCP through veth, bridge and masquerade";
const ROUTES_OUT: &str = "100000 routes out, by value";
const MORE: &str = "one more beside 10000";
const LESS: &str = "one less beside 10000";
const LISTENER: &str = "a listener inside";
const LINKS_OUT: &str = "1000 links out, by value";
const PORTS: &str = "10000 ports published";
const PORT_MORE: &str = "one port more beside 10000";
const SET: &str = "a set of 100000 elements";

/// A line each; where a contender is none of netloom's own, its name is in the work's place.
const ROWS: &[(&str, One, Aim)] = &[
    ("attach beside 10", (ATTACH_10, "netloom"), Ratio((ATTACH_10, RAW), 1.15)),
    (
        "attach beside 100",
        ("attach beside 100", "netloom"),
        Ratio(("attach beside 100", RAW), 1.15),
    ),
    (
        "attach beside 500",
        ("attach beside 500", "netloom"),
        Ratio(("attach beside 500", RAW), 1.15),
    ),
    ("attach beside 1,000", (ATTACH_1000, "netloom"), Ratio((ATTACH_1000, RAW), 1.15)),
    (
        "attach beside 1,000, by the one beside 10",
        (ATTACH_1000, "netloom"),
        Ratio((ATTACH_10, "netloom"), 2.0),
    ),
    (
        "the raw replay beside 1,000, by the one beside 10",
        (ATTACH_1000, RAW),
        Beside((ATTACH_10, RAW)),
    ),
    ("the same without a bridge", (ATTACH_1000, NO_BRIDGE), Beside((ATTACH_10, NO_BRIDGE))),
    (
        "attach beside 1,000, on a bridge that does not snoop",
        (ATTACH_1000_NO_SNOOPING, "netloom"),
        Beside((ATTACH_1000, "netloom")),
    ),
    (
        "attach beside 1,000, where all have IPv6 addresses, by where none has",
        (THOUSAND_IPV6, "netloom"),
        Beside((THOUSAND, "netloom")),
    ),
    (
        "attach beside 1,000, with one queue an end",
        (ATTACH_1000, "netloom with one queue"),
        Beside((ATTACH_1000, "netloom")),
    ),
    (
        "attach beside 1,000, by nlink with IPv6",
        (THOUSAND, "netloom"),
        Faster((THOUSAND_IPV6, "nlink"), 4.0),
    ),
    (
        "attach beside 1,000, by rtnetlink with IPv6",
        (THOUSAND, "netloom"),
        Faster((THOUSAND_IPV6, "rtnetlink"), 4.0),
    ),
    (
        "attach beside 1,000, by `ip -batch` with IPv6",
        (THOUSAND, "netloom"),
        Faster((THOUSAND_IPV6, BATCHES), 4.0),
    ),
    (
        "attach beside 1,000, by nlink without IPv6",
        (THOUSAND, "netloom"),
        Faster((THOUSAND, "nlink"), 4.0),
    ),
    (
        "attach beside 1,000, by rtnetlink without IPv6",
        (THOUSAND, "netloom"),
        Faster((THOUSAND, "rtnetlink"), 4.0),
    ),
    (
        "attach beside 1,000, by `ip -batch` without IPv6",
        (THOUSAND, "netloom"),
        Faster((THOUSAND, BATCHES), 4.0),
    ),
    (
        "64 attached by 2 threads",
        ("attach 64", "2 threads"),
        Ratio(("attach 64", "one thread"), NO_SLOWER),
    ),
    (
        "64 attached by 8 threads",
        ("attach 64", "8 threads"),
        Ratio(("attach 64", "one thread"), NO_SLOWER),
    ),
    (
        "a small network built",
        ("build a small network", "netloom"),
        Ratio(("build a small network", RAW), 1.2),
    ),
    (
        "a small network built, by `ip` and `nft`, each a command",
        (BUILT, "netloom"),
        Faster((BUILT, SINGLE), 10.0),
    ),
    (
        "a small network built, by `ip -batch` and `nft -f`",
        (BUILT, "netloom"),
        Faster((BUILT, BATCHES), 10.0),
    ),
    ("a small network removed", ("remove a small network", "netloom, together"), Micros(25_000)),
    (
        "a small network removed, by the raw replay",
        ("remove a small network", "netloom, together"),
        Beside(("remove a small network", RAW)),
    ),
    ("a small network removed, by `ip` and `nft`", (REMOVED, "netloom"), Beside((REMOVED, SINGLE))),
    (
        "1,000 containers taken down",
        ("take down 1000 containers", "netloom, a Together of them"),
        Ratio(("take down 1000 containers", "raw group replay"), 1.1),
    ),
    (
        "100 taken down one by one",
        ("take down 100 containers", "one by one"),
        Beside(("take down 100 containers", "a Together of them")),
    ),
    (
        "100,000 IPv4 routes in",
        ("100000 IPv4 routes in", "netloom"),
        Ratio(("100000 IPv4 routes in", RAW), 1.11),
    ),
    (
        "20,000 IPv6 routes in",
        ("20000 IPv6 routes in", "netloom"),
        Ratio(("20000 IPv6 routes in", RAW), 1.11),
    ),
    (
        "100,000 routes out, lent",
        ("100000 routes out", "netloom, lent"),
        Ratio(("100000 routes out", "raw walk"), 1.25),
    ),
    (
        "1,000 links out, lent",
        ("1000 links out", "netloom, lent"),
        Ratio(("1000 links out", "raw walk"), 1.25),
    ),
    (
        "100,000 routes out, by value, by nlink",
        (ROUTES_OUT, "netloom"),
        Ratio((ROUTES_OUT, "nlink"), 1.0),
    ),
    (
        "100,000 routes out, by value, by rtnetlink",
        (ROUTES_OUT, "netloom"),
        Ratio((ROUTES_OUT, "rtnetlink"), 1.0),
    ),
    (
        "1,000 links out, by value, by nlink",
        (LINKS_OUT, "netloom"),
        Ratio((LINKS_OUT, "nlink"), 1.0),
    ),
    (
        "1,000 links out, by value, by rtnetlink",
        (LINKS_OUT, "netloom"),
        Ratio((LINKS_OUT, "rtnetlink"), 1.0),
    ),
    (
        "one link by its name, a hundred times",
        ("one link by name, a hundred times", "netloom"),
        Ratio(("one link by name, a hundred times", "raw get"), 1.3),
    ),
    (
        "10,000 ports published",
        ("10000 ports at once", "held"),
        Ratio(("10000 ports at once", RAW), 1.3),
    ),
    ("10,000 ports published, by `nft -f`", (PORTS, "netloom"), Beside((PORTS, BATCHES))),
    ("one port more beside 1", ("one more beside 1", "held"), Micros(10)),
    ("one port more beside 10,000", (MORE, "held"), Micros(10)),
    ("one port more beside 10,000, by the raw replay", (MORE, "held"), Ratio((MORE, RAW), 1.3)),
    (
        "one port more beside 10,000, its link named",
        (MORE, "held, its link named"),
        Ratio((MORE, RAW), 1.3),
    ),
    (
        "one port more beside 10,000, by `nft -f`",
        (PORT_MORE, "netloom"),
        Beside((PORT_MORE, BATCHES)),
    ),
    ("one port less beside 10,000", (LESS, "held"), Micros(10)),
    ("one port less beside 10,000, by the raw replay", (LESS, "held"), Ratio((LESS, RAW), 1.3)),
    (
        "a set of 100,000 elements",
        ("100000 elements", "netloom"),
        Ratio(("100000 elements", RAW), 1.3),
    ),
    ("a set of 100,000 elements, by nlink", (SET, "netloom"), Ratio((SET, "nlink"), 1.0)),
    ("a set of 100,000 elements, by `nft -f`", (SET, "netloom"), Ratio((SET, BATCHES), 1.0)),
    (
        "one element more and less beside 10,000",
        ("one element more and less beside 10000", "netloom"),
        Micros(20),
    ),
    ("a closure run inside", ("enter", "Netns::run"), MicrosBeside(30, ("enter", "raw"))),
    (
        "a thread of std's that does nothing",
        ("enter", "a scoped thread that does nothing"),
        Beside(("enter", "raw")),
    ),
    (
        "a closure run inside by a worker",
        ("enter", "Worker::run"),
        MicrosBeside(12, ("enter", "raw")),
    ),
    (
        "a listener opened inside",
        (LISTENER, "Netns::tcp_listen"),
        MicrosBeside(30, (LISTENER, "raw")),
    ),
    (
        "a listener opened inside by a worker",
        (LISTENER, "Worker::run"),
        MicrosBeside(12, (LISTENER, "raw")),
    ),
    (
        "a namespace made",
        ("a namespace made", "Namespace::create"),
        Ratio(("a namespace made", "raw"), 1.1),
    ),
    ("a cold build of a program that depends on it", (COLD, "netloom"), Micros(30_000_000)),
    (
        "a cold build, by one that depends on rtnetlink",
        (COLD, "netloom"),
        Beside((COLD, "rtnetlink")),
    ),
    (
        "8 Gbit of TCP through bridge and masquerade, by the same network of commands",
        (TCP, "netloom"),
        Ratio((TCP, BATCHES), NO_SLOWER),
    ),
];

/// What is counted: the row, what its line begins and ends with, and the most it may be.
const COUNTS: &[(&str, &str, &str, u64)] = &[
    ("crates that such a program builds", "a cold build: netloom ", " crates", 25),
    (
        "the stripped walkthrough, in bytes",
        "the walkthrough, profile release, stripped: ",
        " bytes",
        1_500_000,
    ),
];

/// Puts the table of what these files say in its place in `docs/performance.md`.
pub fn write(logs: &[String], place: &Path) {
    let read = |path: &String| std::fs::read_to_string(path).unwrap();
    let texts: Vec<_> = logs.iter().map(read).collect();
    let runs: Vec<_> = texts.iter().flat_map(|text| runs(text)).collect();
    let table = table(&runs) + &counts(&texts.concat());
    println!("{table}");
    put(BEGIN, END, &format!("{}.\n\n{table}", machine()), docs(), place);
}

struct Measured {
    work: String,
    name: String,
    time: Duration,
}

/// Lines as the harness prints them, `WORK: NAME TIME, RATIO x BASE (median …)`. What was printed before belongs
/// to a run before.
fn runs(text: &str) -> Vec<Vec<Measured>> {
    let mut runs: Vec<Vec<Measured>> = Vec::new();
    for one in text.lines().filter_map(measured) {
        let is_same = |other: &Measured| other.work == one.work && other.name == one.name;
        match runs.last_mut() {
            Some(run) if !run.iter().any(is_same) => run.push(one),
            _ => runs.push(vec![one]),
        }
    }
    runs
}

fn measured(line: &str) -> Option<Measured> {
    let (line, _) = line.split_once(" (median")?;
    let (line, _) = line.rsplit_once(" x ")?;
    let (line, _) = line.rsplit_once(", ")?;
    let (line, time) = line.rsplit_once(' ')?;
    let (work, name) = line.split_once(": ")?;
    Some(Measured { work: work.to_owned(), name: name.to_owned(), time: duration(time)? })
}

/// As `Debug` writes it.
fn duration(text: &str) -> Option<Duration> {
    let units = [("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let (unit, seconds) = units.into_iter().find(|(unit, _)| text.ends_with(unit))?;
    let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
    Some(Duration::from_secs_f64(number * seconds))
}

fn table(runs: &[Vec<Measured>]) -> String {
    let mut table =
        "| work | netloom | beside | ratio | aim | |\n|---|---:|---:|---:|---:|---|\n".to_owned();
    for (row, one, aim) in ROWS {
        // Both sides of the last run that has both.
        let found = runs.iter().rev().find_map(|run| line(row, *one, aim, run));
        table += &found.unwrap_or(format!("| {row} | | | | | not measured |\n"));
    }
    table
}

fn counts(text: &str) -> String {
    let row = |(row, begin, end, most): &(&str, &str, &str, u64)| {
        let count = |line: &str| {
            let line = line.strip_prefix(begin)?.strip_suffix(end)?;
            line.rsplit(' ').next()?.parse::<u64>().ok()
        };
        match text.lines().filter_map(count).last() {
            Some(count) => {
                let verdict = if count <= *most { "met" } else { "**missed**" };
                format!("| {row} | {count} | | | ≤ {most} | {verdict} |\n")
            }
            None => format!("| {row} | | | | | not measured |\n"),
        }
    };
    COUNTS.iter().map(row).collect()
}

fn line(row: &str, one: One, aim: &Aim, run: &[Measured]) -> Option<String> {
    let of = |(work, name): One| {
        run.iter().find(|one| one.work == work && one.name == name).map(|one| one.time)
    };
    let ours = of(one)?;
    let cells = |other: Duration, ratio: f64, aim: String, is_met: Option<bool>| {
        let verdict = is_met.map_or("", |met| if met { "met" } else { "**missed**" });
        format!("| {row} | {ours:.1?} | {other:.1?} | {ratio:.2} | {aim} | {verdict} |\n")
    };
    let ratio = |other: Duration| ours.as_secs_f64() / other.as_secs_f64();
    Some(match aim {
        Ratio(other, most) => {
            let other = of(*other)?;
            // As it is shown: by two digits.
            let is_met = (ratio(other) * 100.0).round() <= (most * 100.0).round();
            cells(other, ratio(other), format!("≤ {most}"), Some(is_met))
        }
        Faster(other, least) => {
            let other = of(*other)?;
            let is_met = 1.0 / ratio(other) >= *least;
            cells(other, ratio(other), format!("{least} times faster"), Some(is_met))
        }
        Beside(other) => {
            let other = of(*other)?;
            cells(other, ratio(other), String::new(), None)
        }
        Micros(most) => {
            let most = Duration::from_micros(*most);
            let verdict = if ours <= most { "met" } else { "**missed**" };
            format!("| {row} | {ours:.1?} | | | ≤ {most:?} | {verdict} |\n")
        }
        MicrosBeside(most, other) => {
            let (most, other) = (Duration::from_micros(*most), of(*other)?);
            cells(other, ratio(other), format!("≤ {most:?}"), Some(ours <= most))
        }
    })
}
