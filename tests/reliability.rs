//! `docs/reliability.md` names the test for each promise: every named test exists, and the page
//! names every test of these files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;

/// The files in which every test checks a promise.
const PROMISES: [&str; 11] = [
    "tests/churn.rs",
    "tests/least_privilege.rs",
    "tests/lock.rs",
    "tests/reap.rs",
    "tests/reap/kept.rs",
    "tests/reap/living.rs",
    "tests/reap/persistent.rs",
    "tests/stranger.rs",
    "tests/threads.rs",
    "tests/tight_places.rs",
    "tests/untrusted_names.rs",
];

fn page() -> String {
    fs::read_to_string("docs/reliability.md").unwrap()
}

/// Returns the file and the test of each reference in the page.
fn named(page: &str) -> Vec<(&str, &str)> {
    let is_file = |word: &str| {
        let is_source =
            ["tests/", "src/", "netloom-cni/tests/"].iter().any(|at| word.starts_with(at));
        is_source && word != "tests/reliability.rs"
    };
    let words: Vec<_> = page.split('`').skip(1).step_by(2).collect();
    let pairs = words.windows(2).filter(|pair| is_file(pair[0]));
    pairs.map(|pair| (pair[0], pair[1])).collect()
}

fn text_of(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Returns the names of the tests in a file, except the helpers that another test starts.
fn tests_of(text: &str) -> BTreeSet<&str> {
    let mut all = BTreeSet::new();
    for after in text.split("#[test]\n").skip(1) {
        let (attributes, rest) = after.split_once("fn ").unwrap();
        if !attributes.contains("#[ignore") {
            all.insert(rest.split_once('(').unwrap().0);
        }
    }
    all
}

#[test]
fn every_test_that_is_named_exists() {
    let page = page();
    let is_empty =
        |line: &&str| line.starts_with('|') && line.trim_end_matches('|').trim_end().ends_with('|');
    assert_eq!(page.lines().find(is_empty), None, "a promise without a test");
    let named = named(&page);
    for (file, test) in &named {
        assert!(tests_of(&text_of(file)).contains(test), "{file} has no test `{test}`");
    }
    assert!(named.len() > 100, "{} are named", named.len());
}

#[test]
fn no_test_that_breaks_things_on_purpose_is_forgotten() {
    let page = page();
    let named = named(&page);
    for file in PROMISES {
        let text = text_of(file);
        let forgotten: Vec<_> =
            tests_of(&text).into_iter().filter(|test| !named.contains(&(file, test))).collect();
        assert!(forgotten.is_empty(), "not in docs/reliability.md: {file} {forgotten:?}");
    }
    let listed: BTreeSet<_> =
        fs::read_dir("tests/reap").unwrap().map(|file| file.unwrap().path()).collect();
    assert!(listed.iter().all(|path| PROMISES.contains(&path.to_str().unwrap())), "{listed:?}");
}
