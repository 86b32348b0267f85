//! `netloom::sandbox`: tests inside namespaces of their own, with failures and output kept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::io;

use netloom::sandbox;

fn network() -> String {
    fs::read_link("/proc/thread-self/ns/net").unwrap().display().to_string()
}

#[test]
fn a_test_has_a_network_of_its_own() {
    let outside = network();
    sandbox::run(|| {
        assert_ne!(network(), left());
        let devices = fs::read_to_string("/proc/net/dev").unwrap();
        assert_eq!(devices.lines().skip(2).count(), 1, "{devices}");
        assert_eq!(fs::read_dir("/run").unwrap().count(), 0);
        assert_eq!(fs::read_dir("/sys/class/net").unwrap().count(), 1);
    })
    .unwrap();
    assert_eq!(outside, network());
}

#[test]
#[should_panic(expected = "as it should: 42")]
fn a_panic_is_the_tests_own() {
    sandbox::run(|| panic!("as it should: {}", 42)).unwrap();
}

#[test]
#[should_panic(expected = "the sandboxed closure returned an error")]
fn an_error_fails_the_test() {
    sandbox::run(|| Err::<(), _>(io::Error::other("refused"))).unwrap();
}

#[test]
#[should_panic(expected = "signal 6 (SIGABRT)")]
fn a_signal_is_named() {
    sandbox::run(|| std::process::abort()).unwrap();
}

#[test]
#[should_panic(expected = "ended early")]
fn an_exit_is_no_success() {
    sandbox::run(|| std::process::exit(0)).unwrap();
}

#[test]
fn calls_are_told_apart_and_nest() {
    for round in 0..3 {
        sandbox::run(|| {
            println!("round {round}");
            let outer = network();
            sandbox::run(|| {
                assert_ne!(network(), left());
                println!("first inside {round}");
            })
            .unwrap();
            sandbox::run(|| println!("second inside {round}")).unwrap();
            assert_ne!(outer, left());
            assert_eq!(outer, network());
        })
        .unwrap();
    }
}

/// The network that was left for the sandbox.
fn left() -> String {
    std::env::var("NETLOOM_SANDBOX").unwrap()
}

#[test]
fn isolated_runs() {
    support::isolated(|| {
        println!("in isolated {}", network());
        assert!(fs::read_to_string("/proc/net/route").unwrap().lines().count() <= 1);
    });
}
