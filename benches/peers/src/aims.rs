//! The table of aims and results, made from the output of the benches.

mod rows;

use std::path::Path;
use std::time::Duration;

use crate::report::{docs, machine, put};
use rows::Aim::{Beside, Faster, Micros, MicrosBeside, Ratio};
use rows::{Aim, COUNTS, One, ROWS};

const BEGIN: &str = "<!-- aims: begin -->\n";
const END: &str = "<!-- aims: end -->\n";

/// Puts the table of the results in these logs into the page `performance.md` at `place`.
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

/// Reads the lines that the harness prints, `WORK: NAME TIME, RATIO x BASE (median …)`. A line that
/// repeats an earlier one begins the next run.
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

/// Parses a duration in the format of `Debug`.
fn duration(text: &str) -> Option<Duration> {
    let units = [("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let (unit, seconds) = units.into_iter().find(|(unit, _)| text.ends_with(unit))?;
    let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
    Some(Duration::from_secs_f64(number * seconds))
}

fn table(runs: &[Vec<Measured>]) -> String {
    let mut table =
        "| work | takes | beside | ratio | aim | |\n|---|---:|---:|---:|---:|---|\n".to_owned();
    for (row, one, aim) in ROWS {
        // The last run with both sides of the comparison.
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
            // Compares the ratio as it is shown, with two decimals.
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
