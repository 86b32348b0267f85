//! Compares netloom with bare system calls, other crates and commands, in turns in one run. Writes
//! `data/peers.md` and a plot to `docs/`, or to the given directory.
//!
//! ```text
//! cd benches/peers && cargo run --release                  # some minutes
//! cd benches/peers && cargo run --release -- --quick       # some seconds, writes nothing
//! cd benches/peers && cargo run --release -- --to /tmp/it  # the same, written there
//! cd benches/peers && cargo run --release -- --only attach # a part of it, writes nothing
//! cd benches/peers && cargo run --release -- --aims LOG…   # the table of aims, of what the benches printed
//! cd benches/peers && cargo run --release -- --aims LOG… --to /tmp/it # the same, written there
//! ```

mod aims;
mod data_path;
#[path = "../../harness/mod.rs"]
mod harness;
mod memory;
mod peers;
mod places;
mod plot;
mod ports;
#[path = "../../raw/mod.rs"]
mod raw;
mod report;
mod routes;
mod take_down;
mod work;

use std::path::Path;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [first, logs @ ..] = arguments.as_slice()
        && first == "--aims"
    {
        return match logs {
            [logs @ .., to, place] if to == "--to" => aims::write(logs, Path::new(place)),
            _ => aims::write(logs, report::docs()),
        };
    }
    if let [first, contender] = arguments.as_slice()
        && first == "--memory"
    {
        return memory::of(contender); // called by this program itself
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let after = |option| arguments.iter().skip_while(move |argument| *argument != option).nth(1);
    let (place, only) = (after("--to"), after("--only"));
    let known =
        usize::from(quick) + 2 * usize::from(place.is_some()) + 2 * usize::from(only.is_some());
    assert!(arguments.len() == known, "--quick, --to DIRECTORY, --only PART, --aims LOG…");
    let mut report = report::Report::default();
    let mut curve = None;
    let mut done = false;
    for (part, work) in PARTS {
        if only.is_none_or(|only| only == part) {
            done = true;
            work(&mut report, &mut curve, quick);
        }
    }
    assert!(done, "the parts are {}", PARTS.map(|(part, _)| part).join(", "));
    let table = report.to_string();
    println!("{table}");
    let writes = only.is_none() && !quick;
    let place = place.map(Path::new).or(writes.then(report::docs));
    if let (Some(place), Some(curve)) = (place, curve) {
        std::fs::create_dir_all(place).unwrap();
        plot::draw(&curve, place);
        report::write(&table, place);
    }
}

type Part = fn(&mut report::Report, &mut Option<plot::Curve>, bool);

/// The parts by name.
const PARTS: [(&str, Part); 9] = [
    ("attach", |report, curve, quick| *curve = Some(work::attach(report, quick))),
    ("network", |report, _, _| work::network(report)),
    ("take-down", |report, _, quick| take_down::measure(report, quick)),
    ("routes", |report, _, quick| {
        routes::routes(report, quick);
        routes::routes6(report, quick);
    }),
    ("link", |report, _, quick| work::one_link(report, quick)),
    ("ports", |report, _, quick| ports::measure(report, quick)),
    ("places", |report, _, _| places::measure(report)),
    ("set", |report, _, quick| work::set(report, quick)),
    ("tcp", |report, _, quick| data_path::measure(report, quick)),
];
