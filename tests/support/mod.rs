//! What every integration test uses.
#![allow(dead_code)] // each test program uses its own part
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use netloom::sandbox;

/// Runs a test inside a sandbox.
#[track_caller]
pub(crate) fn isolated<F: FnOnce()>(test: F) {
    sandbox::run_wrapped(test, |test| test()).unwrap();
}
