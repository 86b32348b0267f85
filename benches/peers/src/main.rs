//! The same work by netloom, by bare system calls, by other crates and by commands: in turns in one run, as
//! one table and one plot, which it writes to `docs/`, or to the directory named.
//!
//! ```text
//! cd benches/peers && cargo run --release                  # some minutes
//! cd benches/peers && cargo run --release -- --quick       # some seconds, writes nothing
//! cd benches/peers && cargo run --release -- --to /tmp/it  # a whole `performance.md` there
//! cd benches/peers && cargo run --release -- --aims LOG…   # the table of aims, of what the benches printed
//! ```

mod aims;
mod data_path;
#[path = "../../harness/mod.rs"]
mod harness;
mod memory;
mod peers;
mod plot;
#[path = "../../raw/mod.rs"]
mod raw;
mod report;
mod work;

use std::path::Path;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [first, logs @ ..] = arguments.as_slice()
        && first == "--aims"
    {
        return aims::write(logs, report::docs());
    }
    if let [first, contender] = arguments.as_slice()
        && first == "--memory"
    {
        return memory::of(contender); // called by this program itself
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let place = arguments.iter().skip_while(|argument| *argument != "--to").nth(1);
    assert!(
        place.is_some() || arguments.len() == usize::from(quick),
        "--quick, --to DIRECTORY, --aims LOG…"
    );
    let mut report = report::Report::default();
    let curve = work::attach(&mut report, quick);
    work::network(&mut report, quick);
    work::routes(&mut report, quick);
    work::one_link(&mut report, quick);
    work::set(&mut report, quick);
    data_path::measure(&mut report, quick);
    let table = report.to_string();
    println!("{table}");
    let place = place.map(Path::new).or((!quick).then(report::docs));
    if let Some(place) = place {
        std::fs::create_dir_all(place).unwrap();
        plot::draw(&curve, place);
        report::write(&table, place);
    }
}
