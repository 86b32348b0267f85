//! The table of aims and results, made from the output of the benches.

mod rows;

use std::path::Path;
use std::time::Duration;

use crate::report::{docs, machine, put, put_data};
use rows::Aim::{Beside, Faster, Micros, MicrosBeside, Ratio};
use rows::{Aim, COUNTS, HEADLINES, One, ROWS};

const BEGIN: &str = "<!-- aims: begin -->\n";
const END: &str = "<!-- aims: end -->\n";

/// Writes all rows that these logs hold to `data/aims.md`, and the headlines to `performance.md`.
pub fn write(logs: &[String], place: &Path) {
    let read = |path: &String| std::fs::read_to_string(path).unwrap();
    let texts: Vec<_> = logs.iter().map(read).collect();
    let runs: Vec<_> = texts.iter().flat_map(|text| runs(text)).collect();
    let all = rows(&runs);
    let is_headline = |row: &&(&str, String)| HEADLINES.contains(&row.0);
    let table = |rows: &mut dyn Iterator<Item = &(&str, String)>| {
        HEAD.to_owned() + &rows.map(|(_, line)| line.as_str()).collect::<String>()
    };
    let (short, long) = (table(&mut all.iter().filter(is_headline)), table(&mut all.iter()));
    let long = long + &counts(&texts.concat());
    println!("{long}");
    put(BEGIN, END, &format!("{}.\n\n{short}", machine()), docs(), place);
    put_data("aims.md", "Aims and results", &format!("{}.\n\n{long}", machine()), place);
}

const HEAD: &str = "| work | netloom | beside | ratio | aim | |\n|---|---:|---:|---:|---:|---|\n";

struct Measured {
    work: String,
    name: String,
    time: Duration,
}

/// Lines as the harness prints them, `WORK: NAME TIME, RATIO x BASE (median …)`. What was printed
/// before belongs to a run before.
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

/// Returns the name and the line of each row.
fn rows(runs: &[Vec<Measured>]) -> Vec<(&'static str, String)> {
    let row = |(row, one, aim): &(&'static str, One, Aim)| {
        // Both sides are of one run: the last that has both.
        let found = runs.iter().rev().find_map(|run| line(row, *one, aim, run));
        (*row, found.unwrap_or(format!("| {row} | | | | | not measured |\n")))
    };
    ROWS.iter().map(row).collect()
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
            // Rounded as the table shows the ratio.
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
