//! The common parts of integration tests: a sandbox for each test, proof that nothing is left, and
//! checks with other tools.
//!
//! ```ignore
//! mod support;
//!
//! #[test]
//! fn a_bridge_is_gone_with_its_owner() {
//!     support::isolated(|| { … });
//! }
//! ```
#![allow(dead_code, unused_imports)] // each test program uses its own part
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by them

pub(crate) mod dump;
pub(crate) mod features;
pub(crate) mod kernel;
pub(crate) mod packets;
pub(crate) mod process;
pub(crate) mod snapshot;
pub(crate) mod tools;
pub(crate) mod trace;
pub(crate) mod user;

use std::process::Termination;

use netloom::sandbox;

pub(crate) use kernel::{by_hand, eventually, json, refused, unchanged};
pub(crate) use packets::{does_not_reach, reaches, tcp, udp};
pub(crate) use snapshot::leaves_nothing;
pub(crate) use tools::{Place, ip, nft};

/// Runs a test's closure inside a sandbox and asserts that it leaves nothing there.
#[track_caller]
pub(crate) fn isolated<F, R>(test: F)
where
    F: FnOnce() -> R,
    R: Termination,
{
    // Not `unwrap`: print the message as `Display` writes it.
    if let Err(error) = sandbox::run_wrapped(test, leaves_nothing) {
        panic!("{error}");
    }
}
