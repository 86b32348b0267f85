//! The table.

use std::fmt;
use std::path::Path;
use std::time::Duration;

/// A line for each work, a column for each contender.
#[derive(Default)]
pub struct Report(Vec<(String, Vec<(&'static str, String)>)>);

impl Report {
    pub fn add(&mut self, work: impl Into<String>, medians: &[(&'static str, Duration)]) {
        let cells = medians.iter().map(|(name, time)| (*name, format!("{:.1?}", *time)));
        self.0.push((work.into(), cells.collect()));
        self.last();
    }

    pub fn add_text(&mut self, work: &str, cells: Vec<(&'static str, String)>) {
        self.0.push((work.to_owned(), cells));
        self.last();
    }

    fn last(&self) {
        eprintln!("{:?}", self.0.last());
    }
}

const COLUMNS: [&str; 5] = ["netloom", "raw replay", "nlink", "rtnetlink", "`ip`, `nft`"];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| work | {} |", COLUMNS.join(" | "))?;
        writeln!(f, "|---|{}", "---:|".repeat(COLUMNS.len()))?;
        for (work, cells) in &self.0 {
            let cell = |column: &&str| {
                let found = cells.iter().find(|(name, _)| name == column);
                found.map_or("", |(_, cell)| cell.as_str()).to_owned()
            };
            let cells: Vec<_> = COLUMNS.iter().map(cell).collect();
            writeln!(f, "| {work} | {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}

pub fn docs() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"))
}

const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->";

/// Puts the table in its place in `docs/performance.md`, and the whole as `performance.md` there.
pub fn write(table: &str, place: &Path) {
    let text = std::fs::read_to_string(docs().join("performance.md")).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let plot = "![Cost of one more container, from the first to the thousandth](attach.svg)";
    let made = format!("{}\n\n{table}\n{plot}\n", machine());
    std::fs::write(place.join("performance.md"), format!("{before}{BEGIN}{made}{END}{after}"))
        .unwrap();
}

/// What it was measured on.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("?");
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("?");
    format!(
        "{count} x {model}, Linux {}; medians of runs in turns; load average when it ended: {load} \
         (0 to 2 is a quiet machine: of a busy one only the ratios say something).",
        kernel.trim()
    )
}
