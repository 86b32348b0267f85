//! Prints what changes in a namespace, as `ip monitor` does. With `NETLOOM_SANDBOX=off` the
//! namespace is the machine's own; cargo's runner of this project uses a new one otherwise.
//!
//! ```text
//! cargo run --example monitor -- [link] [address] [route] [neigh] [nsid] [ruleset] [netns NAME] [for SECONDS]
//! ```
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use netloom::{Error, Event, Netns, Watch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (mut netns, mut seconds) = (Netns::current()?, u64::MAX);
    let mut chosen: Vec<fn(Watch) -> Watch> = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "link" => chosen.push(Watch::links),
            "address" => chosen.push(Watch::addresses),
            "route" => chosen.push(Watch::routes),
            "neigh" => chosen.push(Watch::neighbors),
            "nsid" => chosen.push(Watch::namespace_ids),
            "ruleset" => chosen.push(Watch::ruleset),
            "netns" => netns = Netns::open(&words.next().ok_or("netns NAME")?)?,
            "for" => seconds = words.next().ok_or("for SECONDS")?.parse()?,
            word => return Err(format!("{word}: not a word of the usage").into()),
        }
    }
    if chosen.is_empty() {
        chosen = vec![Watch::links, Watch::addresses, Watch::routes, Watch::neighbors];
    }
    let watch = chosen.into_iter().fold(netns.watch(), |watch, choose| choose(watch));
    Ok(print(&netns, &watch, Duration::from_secs(seconds))?)
}

fn print(netns: &Netns, watch: &Watch, time: Duration) -> Result<(), Error> {
    let mut watcher = watch.start()?;
    let mut names = netns.link_names()?;
    let start = Instant::now();
    while let Some(event) = watcher.next_within(time.saturating_sub(start.elapsed()))? {
        if event.is_existing() {
            continue;
        }
        println!("{}", event.display(&names));
        if matches!(event, Event::Link(_) | Event::Resynced(_)) {
            names = netns.link_names()?;
        }
    }
    Ok(())
}
