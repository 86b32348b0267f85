//! The table.

use std::fmt;
use std::path::Path;
use std::time::Duration;

/// A line for each work, a column for each contender.
#[derive(Default)]
pub struct Report(Vec<(String, Vec<(&'static str, String)>)>);

impl Report {
    pub fn add(&mut self, work: impl Into<String>, medians: &[(&'static str, Duration)]) {
        let work = work.into();
        tell(&work, medians);
        let cells = medians.iter().map(|(name, time)| (*name, format!("{:.1?}", *time)));
        self.0.push((work, cells.collect()));
    }

    /// Adds a row of texts. Each text has a duration as its score; a shorter one is better.
    pub fn add_text(&mut self, work: &str, cells: Vec<(&'static str, String, Duration)>) {
        tell(work, &cells.iter().map(|(name, _, time)| (*name, *time)).collect::<Vec<_>>());
        let cells = cells.into_iter().map(|(name, text, _)| (name, text));
        self.0.push((work.to_owned(), cells.collect()));
    }
}

/// Prints the medians in the format of the other benches.
fn tell(work: &str, medians: &[(&'static str, Duration)]) {
    let (base, least) = medians[0];
    for (name, time) in medians {
        let ratio = time.as_secs_f64() / least.as_secs_f64();
        eprintln!("{work}: {name} {time:.4?}, {ratio:.2} x {base} (median)");
    }
}

pub const BATCHES: &str = "`ip -batch`, `nft -f`";
pub const SINGLE: &str = "`ip`, `nft`";
const COLUMNS: [&str; 6] = ["netloom", "raw replay", "nlink", "rtnetlink", BATCHES, SINGLE];

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

/// Writes the table of all contenders to `data/peers.md`.
pub fn write(table: &str, place: &Path) {
    let made = format!("{}; {}.\n\n{table}", machine(), load());
    put_data("peers.md", "Beside other libraries and commands", &made, place);
}

/// Replaces the text between two lines of `performance.md`, and writes the page to a directory.
pub fn put(begin: &str, end: &str, made: &str, from: &Path, to: &Path) {
    let text = std::fs::read_to_string(from.join("performance.md")).unwrap();
    let (before, rest) = text.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    std::fs::write(to.join("performance.md"), format!("{before}{begin}{made}{end}{after}"))
        .unwrap();
}

/// Writes a generated page of `docs/data`.
pub fn put_data(name: &str, title: &str, made: &str, place: &Path) {
    let data = place.join("data");
    std::fs::create_dir_all(&data).unwrap();
    let head = "Generated; [performance.md](../performance.md) says how.";
    std::fs::write(data.join(name), format!("# {title}\n\n{head}\n\n{made}")).unwrap();
}

/// Describes the machine: processors and kernel.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("?");
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{count} x {model}, Linux {}; medians of runs in turns", kernel.trim())
}

/// Returns the machine's load.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    format!(
        "load average when it ended: {load} (0 to 2 is a quiet machine: of a busy one only the ratios \
         say something)"
    )
}
