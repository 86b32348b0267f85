//! The same work by netloom, by bare system calls, by other crates and by commands: in turns in one run, as
//! one table and one plot, which it writes to `docs/`.
//!
//! ```text
//! cd benches/peers && cargo run --release             # some minutes
//! cd benches/peers && cargo run --release -- --quick  # some seconds, writes nothing
//! ```

mod data_path;
#[path = "../../harness/mod.rs"]
mod harness;
mod peers;
mod plot;
#[path = "../../raw/mod.rs"]
mod raw;
mod report;
mod work;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let mut report = report::Report::default();
    let curve = work::attach(&mut report, quick);
    work::network(&mut report, quick);
    work::routes(&mut report, quick);
    work::one_link(&mut report, quick);
    work::set(&mut report, quick);
    data_path::measure(&mut report, quick);
    let table = report.to_string();
    println!("{table}");
    if !quick {
        plot::draw(&curve);
        report::write(&table);
    }
}
