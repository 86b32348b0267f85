//! The kernel's lists, read without netloom, to prove that a refused operation changed nothing.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use netloom::{Error, Netns};

use super::dump::{LISTS, List};
use super::tools::{self, Place};

/// Returns a line for each object in a namespace.
pub(crate) fn listed(netns: &Netns) -> BTreeSet<String> {
    let read = |list: &List| {
        let lines = list.read_lasting().into_iter();
        lines.map(|(key, state)| format!("{} {key} {state}", list.name)).collect::<Vec<_>>()
    };
    netns.run(|| LISTS.iter().flat_map(read).collect()).unwrap()
}

/// Runs `work`, and asserts that these namespaces are unchanged.
#[track_caller]
pub(crate) fn unchanged<T>(places: &[&Netns], work: impl FnOnce() -> T) -> T {
    let before: Vec<_> = places.iter().map(|netns| listed(netns)).collect();
    let outcome = work();
    for (netns, before) in places.iter().zip(before) {
        let after = listed(netns);
        let changes: Vec<_> = before.symmetric_difference(&after).collect();
        assert!(changes.is_empty(), "{netns} is not what it was: {changes:#?}");
    }
    outcome
}

/// Asserts that an operation was refused, with these words in the error.
#[track_caller]
pub(crate) fn refused<T: Debug>(result: Result<T, Error>, words: &[&str]) -> Error {
    let error = match result {
        Ok(made) => panic!("not refused: {made:?}"),
        Err(error) => error,
    };
    for word in words {
        assert!(error.to_string().contains(word), "no {word:?} in: {error}");
    }
    error
}

/// Waits until an asynchronous effect of the kernel is visible.
#[track_caller]
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < patience, "still not: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the listing of `ip -json` or `bridge -json` inside, or none if the tool is not
/// installed.
#[track_caller]
pub(crate) fn json(netns: &Netns, tool: &str, arguments: &str) -> Option<Vec<serde_json::Value>> {
    let arguments: Vec<_> = ["-json"].into_iter().chain(arguments.split(' ')).collect();
    let text = tools::run(&Place::of_fd(netns), tool, &arguments)?;
    let text = if text.trim().is_empty() { "[]" } else { &text };
    let list = serde_json::from_str::<Vec<serde_json::Value>>(text).unwrap();
    // iproute2 prints `{}` for an object that a filter leaves out.
    Some(list.into_iter().filter(|one| one.as_object().is_none_or(|one| !one.is_empty())).collect())
}

/// Runs a command line inside the namespace. Returns `false` if the tool is not installed.
#[track_caller]
pub(crate) fn by_hand(netns: &Netns, line: &str) -> bool {
    let mut words = line.split(' ');
    let tool = words.next().unwrap();
    tools::run(&Place::of_fd(netns), tool, &words.collect::<Vec<_>>()).is_some()
}

/// Lists the `nf_tables` tables of the namespace.
pub(crate) fn tables(netns: &Netns) -> Vec<String> {
    let tables = LISTS.iter().find(|list| list.name == "nf_tables table").unwrap();
    netns.run(|| tables.read().into_keys().collect()).unwrap()
}

/// The prefix of the tables that record the owners of sysctls.
const SETTING: &str = "netloom-setting-";

/// Lists the `nf_tables` tables of the namespace, except those that record the owners of sysctls.
pub(crate) fn tables_besides_settings(netns: &Netns) -> Vec<String> {
    let mut tables = tables(netns);
    tables.retain(|table| !table.starts_with(&format!("name {SETTING}")));
    tables
}

/// Returns the output of `nft list ruleset`, without the tables that record the owners of sysctls.
/// `None` if `nft` is not installed.
pub(crate) fn ruleset_besides_settings(netns: &Netns) -> Option<String> {
    let ruleset = tools::nft(&Place::of_fd(netns), &["--stateless", "list", "ruleset"])?;
    let tables = ruleset.split_inclusive("\n}\n");
    Some(tables.filter(|table| !table.starts_with(&format!("table inet {SETTING}"))).collect())
}
