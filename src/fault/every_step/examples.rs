//! A fault at every step of every example. Several processes share the steps, because an example
//! mostly waits.

use std::env;
use std::error::Error as StdError;
use std::fs;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;

use super::{Fault, UNANSWERED, nothing_left, step_named, support};
use crate::fault::{arm, disarm};
use support::snapshot::Snapshot;

#[path = "../../../examples/doctor.rs"]
mod doctor;
#[path = "../../../examples/walkthrough.rs"]
pub(in crate::fault) mod walkthrough;

/// The variable with the number of this process's share of the steps, from 0.
const SHARE: &str = "NETLOOM_FAULT_SHARE";
const SHARES: usize = 12;

/// Starts this test again, in a process for each share.
fn in_shares(test: &str, run: impl Fn(usize)) {
    if let Ok(share) = env::var(SHARE) {
        return run(share.parse().unwrap());
    }
    let start = |share: usize| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture"]).env(SHARE, share.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let shares: Vec<Child> = (0..SHARES).map(start).collect();
    let mut failures = String::new();
    for share in shares {
        let ended = share.wait_with_output().unwrap();
        let said = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(said[0].contains("1 passed") || !ended.status.success(), "not run: {}", said[0]);
        if !ended.status.success() {
            failures += &said.concat();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// Tests a share of the steps with each kind of fault.
fn every_step(share: usize, program: impl Fn() -> Result<(), Box<dyn StdError>>) {
    let before = Snapshot::take();
    let before_quick = Snapshot::take_quick();
    for fault in [Fault::Refused(Errno::ENOMEM)].into_iter().chain(UNANSWERED) {
        let (mut step, mut lateness) = (share, 0);
        loop {
            arm(fault, step);
            let result = program();
            let failed = disarm();
            let at = format!("{fault:?} at step {step}, {failed:?}, {result:?}");
            nothing_left(&before_quick, &at);
            match result {
                Ok(()) if failed.is_none() => break,
                // On a busy machine a ping may time out, so the step is repeated.
                Err(error) if is_late(&*error) && lateness < 10 => {
                    lateness += 1;
                    continue;
                }
                Err(error) => drop(step_named(fault, &at, &*error)),
                Ok(()) => {}
            }
            step += SHARES;
        }
        nothing_left(&before, &format!("{fault:?}"));
        println!("{fault:?}: {step} steps");
    }
}

fn is_late(error: &(dyn StdError + 'static)) -> bool {
    let error = error.downcast_ref::<netloom::Error>();
    error.is_some_and(|error| error.action() == "ping" && error.is_timed_out())
}

#[test]
fn the_walkthrough() {
    in_shares("fault::every_step::examples::the_walkthrough", |share| {
        support::isolated(|| every_step(share, walkthrough::main));
    });
}

/// The doctor returns no error: its report names the checks that it could not make.
#[test]
fn the_doctor() {
    in_shares("fault::every_step::examples::the_doctor", |share| {
        support::isolated(|| {
            every_step(share, || {
                doctor::main();
                Ok(())
            });
        });
    });
}

/// The small examples consist of calls whose own fault tests are in this directory.
const SMALL: [&str; 9] = [
    "firewall",
    "monitor",
    "nft_set",
    "published_port",
    "reap_at_start",
    "routes_in_bulk",
    "sandboxed_test",
    "two_uplinks",
    "worker_and_sockets",
];

#[test]
fn no_example_is_left_out() {
    let entries = fs::read_dir("examples").unwrap().map(|entry| entry.unwrap().path());
    // A directory is a separate package.
    for example in entries.filter(|path| path.is_file()) {
        let name = example.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_known = ["doctor", "walkthrough"].contains(&&*name) || SMALL.contains(&&*name);
        assert!(is_known, "examples/{name} has no faults");
    }
}
