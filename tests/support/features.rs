//! What a kernel lacks: said aloud, never skipped in silence.
//!
//! `NETLOOM_TEST=require:bridge-vlan-filtering` turns that into a failure, and so does
//! `NETLOOM_TEST=require:all` for everything. `require` alone means the tools for a second opinion.

use std::env;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{self, Write};

use netloom::Error;

/// Says that a part of a test does not happen here, and why. Fails where it is required.
#[track_caller]
pub(crate) fn unsupported(feature: &str, because: impl Display) {
    assert!(!is_required(feature), "{feature} is required by NETLOOM_TEST, but: {because}");
    note(feature, because);
}

/// The value; nothing, and said aloud, where the kernel does not have the feature.
#[track_caller]
pub(crate) fn supported<T>(feature: &str, result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.is_unsupported() => {
            unsupported(feature, error);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Into the file that `NETLOOM_TEST_UNSUPPORTED` names, or to the error stream, past libtest's capture.
pub(crate) fn note(feature: &str, because: impl Display) {
    let line = format!("unsupported here: {feature}, because {because}\n");
    let written = match env::var_os("NETLOOM_TEST_UNSUPPORTED") {
        Some(path) => OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(line.as_bytes())),
        None => io::stderr().write_all(line.as_bytes()),
    };
    written.unwrap();
}

fn is_required(feature: &str) -> bool {
    let wanted = env::var("NETLOOM_TEST").unwrap_or_default();
    let wanted = wanted.strip_prefix("require:").unwrap_or_default();
    wanted.split(',').map(str::trim).any(|one| one == feature || one == "all")
}
