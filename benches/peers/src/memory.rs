//! The peak memory of listing routes. Each contender runs in its own process.

use std::process::Command;
use std::time::Duration;

use netloom::Netns;

use crate::peers::{Nlink, Rtnetlink};
use crate::report::Report;

const CONTENDERS: [&str; 4] = ["netloom", "lent", "nlink", "rtnetlink"];

/// Measures the listing of all routes of the current namespace.
pub fn measure(report: &mut Report, work: &str) {
    let cell = |name: &'static str| {
        let program = std::env::current_exe().unwrap();
        let output = Command::new(program).args(["--memory", name]).output().unwrap();
        let kibibytes: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
        // A score is a duration, so the size is passed as microseconds.
        let text = format!("{:.1} MiB", kibibytes as f64 / 1024.0);
        (name, text, Duration::from_micros(kibibytes))
    };
    let cells: Vec<_> = CONTENDERS.map(cell).into();
    let (lent, mut by_value) = (cells[1].clone(), cells);
    by_value.remove(1);
    report.add_text(&format!("{work}, by value, peak memory"), by_value);
    let lent = ("netloom", lent.1, lent.2);
    report.add_text(&format!("{work}, lent, peak memory"), vec![lent]);
}

/// Runs in the process of one contender. Prints how far its peak memory exceeds the memory before,
/// in KiB.
pub fn of(contender: &str) {
    let host = Netns::current().unwrap();
    let (nlink, rtnetlink) = (Nlink::here(), Rtnetlink::here());
    let before = status("VmRSS:");
    let count = match contender {
        "netloom" => host.routes().unwrap().len(),
        "lent" => host.fold_routes(|| 0, |count, _| *count += 1).unwrap(),
        "nlink" => nlink.routes_out(),
        _ => rtnetlink.routes_out(),
    };
    assert!(count > 0);
    println!("{}", status("VmHWM:").saturating_sub(before));
}

fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
