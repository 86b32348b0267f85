//! `docs/reliability.md` names the test for each promise: they exist.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

#[test]
fn every_test_that_is_named_exists() {
    let page = fs::read_to_string("docs/reliability.md").unwrap();
    let mut named = 0;
    let is_empty =
        |line: &&str| line.starts_with('|') && line.trim_end_matches('|').trim_end().ends_with('|');
    assert_eq!(page.lines().find(is_empty), None, "a promise without a test");
    let mut words = page.split('`').skip(1).step_by(2).peekable();
    while let Some(file) = words.next() {
        let is_file = file.starts_with("tests/") || file.starts_with("src/");
        if !is_file || file == "tests/reliability.rs" {
            continue;
        }
        let test = words.next().unwrap();
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let found = text.find(&format!("\nfn {test}()")).or(text.find(&format!("    fn {test}()")));
        let at = found.unwrap_or_else(|| panic!("{file} has no test `{test}`"));
        // Nothing but the attribute, and why it is allowed what others are not.
        let before: String = text[..at].lines().rev().take(3).collect();
        assert!(before.contains("#[test]"), "`{test}` in {file} is no test");
        named += 1;
    }
    assert!(named > 30, "{named} are named");
}
