//! The command line that makes this program reach a given closure again.

use std::env;
use std::ffi::OsString;
use std::path::Path;

use crate::sys::thread;

/// The arguments and variables for starting the program again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) arguments: Vec<OsString>,
    pub(super) variable: Option<(&'static str, String)>,
}

/// The facts about the running program that help to find the test.
#[derive(Debug, Default)]
struct Program {
    arguments: Vec<OsString>,
    thread: Option<String>,
    file: String,
}

/// Returns the starts to try, the likeliest first. The path of a test cannot be known for sure.
pub(super) fn starts(place: &str) -> Vec<Start> {
    Program::running().starts(place)
}

impl Program {
    fn running() -> Self {
        let file = env::current_exe().unwrap_or_default();
        Self {
            arguments: env::args_os().skip(1).collect(),
            thread: thread::current().name().map(str::to_owned),
            file: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    fn starts(&self, place: &str) -> Vec<Start> {
        let path = path_of(place);
        let as_it_was = Start { arguments: self.arguments.clone(), variable: None };
        if let Some(number) = bundled_doctest(place) {
            let variable = Some(("RUSTDOC_DOCTEST_RUN_NB_TEST", number));
            return vec![Start { variable, ..as_it_was }];
        }
        if !self.is_test_harness(path) {
            return vec![as_it_was];
        }
        let thread = self.thread.as_deref().filter(|name| *name != MAIN);
        let mut paths: Vec<&str> = Vec::new();
        for path in [self.only_test(), thread, Some(path)].into_iter().flatten() {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        paths.into_iter().map(Start::of_test).collect()
    }

    /// Returns whether libtest seems to run this program.
    fn is_test_harness(&self, path: &str) -> bool {
        match self.thread.as_deref() {
            // The closure is in `main` itself.
            _ if path == MAIN => false,
            name if name != Some(path) && path.starts_with("main::") => false,
            // Since Rust 1.67 libtest runs each test on a thread with its name, even with one test
            // thread. The main thread runs the `main` of a program or of another harness.
            Some(MAIN) => self.is_exact(),
            name => name == Some(path) || self.is_named_by_hash() || self.is_exact(),
        }
    }

    /// Returns whether the file has cargo's name for a test program: `name-0123456789abcdef`.
    fn is_named_by_hash(&self) -> bool {
        let hash = self.file.rsplit_once('-').map_or("", |(_, hash)| hash);
        hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    fn is_exact(&self) -> bool {
        self.arguments.iter().any(|argument| argument == "--exact")
    }

    /// Returns the path of the test if exactly one was selected, as nextest does.
    fn only_test(&self) -> Option<&str> {
        let mut free = self.arguments.iter().filter_map(|argument| argument.to_str());
        let mut free = free.by_ref().filter(|argument| !argument.starts_with('-'));
        free.next().filter(|_| self.is_exact() && free.next().is_none())
    }
}

const MAIN: &str = "main";

impl Start {
    fn of_test(path: &str) -> Self {
        // `--include-ignored`, because the test is running already, even if it is marked
        // `#[ignore]`.
        let arguments = [path, "--exact", "--nocapture", "--include-ignored"].map(OsString::from);
        Self { arguments: arguments.into(), variable: None }
    }

    /// Describes the attempted start, for the error.
    pub(super) fn describe(&self) -> String {
        let program = env::args_os().next().unwrap_or_default();
        let program = Path::new(&program).file_name().unwrap_or_default();
        let words = [program].into_iter().chain(self.arguments.iter().map(OsString::as_os_str));
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }
}

/// Returns `module::test` for `crate::module::test::{{closure}}`.
fn path_of(place: &str) -> &str {
    let path = place.split_once("::").map_or(place, |(_, path)| path);
    path.split_once("::{{closure}}").map_or(path, |(path, _)| path)
}

/// Returns the number of a doctest in a bundle: for the edition 2024, rustdoc builds several
/// doctests as one program (`doctest_bundle_2024::__doctest_7::main`).
fn bundled_doctest(place: &str) -> Option<String> {
    let rest = place.strip_prefix("doctest_bundle_")?;
    let (_, rest) = rest.split_once("::__doctest_")?;
    let (number, _) = rest.split_once("::")?;
    number.parse::<usize>().ok().map(|number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &str) -> Vec<OsString> {
        words.split_whitespace().map(OsString::from).collect()
    }

    fn program(words: &str, thread: &str, file: &str) -> Program {
        let thread = Some(thread.to_owned()).filter(|name| !name.is_empty());
        Program { arguments: arguments(words), thread, file: file.to_owned() }
    }

    fn test_paths(starts: &[Start]) -> Vec<&str> {
        let first = |start: &Start| start.arguments.first().cloned();
        assert!(starts.iter().all(|start| first(start).is_some() && start.arguments.len() == 4));
        starts.iter().filter_map(|start| start.arguments[0].to_str()).collect()
    }

    const HASHED: &str = "netloom-0123456789abcdef";

    #[test]
    fn a_test_is_found_whatever_thread_it_is_on() {
        let place = "netloom::link::tests::up::{{closure}}";
        let starts = program("", "link::tests::up", "any").starts(place);
        assert_eq!(test_paths(&starts), ["link::tests::up"]);
        let starts = program("", "", HASHED).starts(place);
        assert_eq!(test_paths(&starts), ["link::tests::up"]);
        let starts = program("--exact link::tests::up --nocapture", "x", "any").starts(place);
        assert_eq!(test_paths(&starts), ["link::tests::up", "x"]);
        let starts = program("--exact link::tests::up --nocapture", "main", "any").starts(place);
        assert_eq!(test_paths(&starts), ["link::tests::up"]);
    }

    #[test]
    fn a_helpers_closure_is_found_by_the_tests_thread_first() {
        let starts = program("", "link::up", HASHED).starts("links::helper::{{closure}}");
        assert_eq!(test_paths(&starts), ["link::up", "helper"]);
    }

    #[test]
    fn a_program_is_started_as_it_was() {
        for (thread, place) in [
            ("main", "walkthrough::main::{{closure}}"),
            ("main", "walkthrough::part::{{closure}}"),
            ("worker", "walkthrough::part::{{closure}}"),
        ] {
            let starts = program("--pause now", thread, "walkthrough").starts(place);
            assert_eq!(starts, [Start { arguments: arguments("--pause now"), variable: None }]);
        }
        // A bench without libtest is named as a test is.
        let starts = program("--bench", "main", HASHED).starts("attach::warm::{{closure}}");
        assert_eq!(starts[0].arguments, arguments("--bench"));
    }

    #[test]
    fn a_bundled_doctest_is_started_by_its_number() {
        let place = "doctest_bundle_2024::__doctest_12::main::{{closure}}";
        let starts = program("", "src/lib.rs - run (line 3)", "rust_out").starts(place);
        assert_eq!(starts[0].variable, Some(("RUSTDOC_DOCTEST_RUN_NB_TEST", "12".to_owned())));
    }
}
