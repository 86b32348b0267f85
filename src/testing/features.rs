//! The features of a kernel. If a test needs a missing one, it prints that, and never skips
//! silently.
//!
//! `NETLOOM_TEST=require:bridge-vlan-filtering` makes a missing feature a failure, and
//! `NETLOOM_TEST=require:all` makes every missing feature one. `require` alone requires the tools,
//! such as `ip`. `tests/kernel.rs` lists the names.

use std::env;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use netloom::Error;

/// Reports that this kernel lacks a feature, and why. Fails if `NETLOOM_TEST` requires the feature.
#[track_caller]
pub(crate) fn unsupported(feature: &str, because: impl Display) {
    assert!(!is_required(feature), "{feature} is required by NETLOOM_TEST, but: {because}");
    note(feature, because);
}

/// Returns the value, or `None` after a report that this kernel lacks the feature. Any other error
/// is a panic.
#[track_caller]
pub(crate) fn supported<T>(feature: &str, result: Result<T, Error>) -> Option<T> {
    supported_but_for(feature, result, Error::is_unsupported)
}

/// Does what [`supported`] does, for a new link of a kind. If the kernel only refuses an option,
/// the kind is not missing.
#[track_caller]
pub(crate) fn supported_kind<T>(kind: &str, result: Result<T, Error>) -> Option<T> {
    let words = format!("this kernel has no `{kind}` links");
    let is_lack = |error: &Error| error.is_unsupported() && error.to_string().contains(&words);
    supported_but_for(&format!("link-{kind}"), result, is_lack)
}

/// Does what [`supported`] does, for a feature whose absence `is_lack` recognizes by another error
/// than "unsupported".
#[track_caller]
pub(crate) fn supported_but_for<T>(
    feature: &str,
    result: Result<T, Error>,
    is_lack: impl FnOnce(&Error) -> bool,
) -> Option<T> {
    match result {
        Ok(value) => {
            has(feature);
            Some(value)
        }
        Err(error) if is_lack(&error) => {
            unsupported(feature, error);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Records that the kernel has a feature, if the features are collected.
pub(crate) fn has(feature: &str) {
    if env::var_os("NETLOOM_TEST_FEATURES").is_some() {
        say(&format!("supported here: {feature}\n"));
    }
}

/// Writes the missing feature to the file that `NETLOOM_TEST_FEATURES` names, or to standard error.
pub(crate) fn note(feature: &str, because: impl Display) {
    say(&format!("unsupported here: {feature}, because {because}\n"));
}

fn say(line: &str) {
    let append = |path: &Path| {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
    };
    if let Some(path) = env::var_os("NETLOOM_TEST_FEATURES") {
        return append(Path::new(&path)).unwrap();
    }
    // Write to the error stream of the parent process. libtest shows a sandbox's own error stream
    // only for failures. An ordinary user's sandbox may not be able to open the parent's.
    let parents = format!("/proc/{}/fd/2", nix::unistd::getppid());
    if append(Path::new(&parents)).is_err() {
        io::stderr().write_all(line.as_bytes()).unwrap();
    }
}

fn is_required(feature: &str) -> bool {
    required().iter().any(|one| one == feature || one == "all")
}

/// The features that `NETLOOM_TEST` requires.
pub(crate) fn required() -> Vec<String> {
    let wanted = env::var("NETLOOM_TEST").unwrap_or_default();
    let wanted = wanted.strip_prefix("require:").unwrap_or_default();
    wanted.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}
