//! Watching: existing objects, every change, and no lost event.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod support;

#[path = "watch/churn.rs"]
mod churn;
#[path = "watch/events.rs"]
mod events;
#[path = "watch/kinds.rs"]
mod kinds;
#[path = "watch/model.rs"]
mod model;
#[path = "watch/places.rs"]
mod places;
#[path = "watch/routes.rs"]
mod routes;
#[path = "watch/waits.rs"]
mod waits;

use std::time::Duration;

use netloom::{Event, Watcher};

/// The time in which the kernel reports a change.
const SOON: Duration = Duration::from_millis(100);

/// Returns the events so far.
fn drain(watcher: &mut Watcher) -> Vec<Event> {
    std::iter::from_fn(|| watcher.next_within(SOON).unwrap()).collect()
}

/// Returns the events so far, as `ip monitor` prints them.
fn lines(watcher: &mut Watcher) -> Vec<String> {
    drain(watcher).iter().map(ToString::to_string).collect()
}
