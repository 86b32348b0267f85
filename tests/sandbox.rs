//! `netloom::sandbox`: tests in their own namespaces, with their failures and their output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod support;

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{self, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use netloom::sandbox;

use support::user::Copied;

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
        // Skips `bonding_masters`, which is a file.
        let links = fs::read_dir("/sys/class/net").unwrap().flatten();
        assert_eq!(links.filter(|link| link.path().is_dir()).count(), 1);
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
    sandbox::run(|| process::abort()).unwrap();
}

#[test]
#[should_panic(expected = "ended early")]
fn an_exit_is_no_success() {
    sandbox::run(|| process::exit(0)).unwrap();
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

/// Returns the network namespace outside the sandbox.
fn left() -> String {
    env::var("NETLOOM_SANDBOX").unwrap()
}

/// The test that other tests start, each with another task. Some tasks must fail.
#[test]
#[ignore = "started by other tests"]
fn subject() {
    match env::var("NETLOOM_SUBJECT").unwrap_or_default().as_str() {
        "passes" => sandbox::run(|| println!("said inside: {}", network())).unwrap(),
        "fails" => sandbox::run(|| {
            println!("said inside, ünïcode and all");
            panic!("failed inside");
        })
        .unwrap(),
        "helper" => helper(),
        "thread" => {
            let worker = thread::Builder::new().name("worker".into());
            worker.spawn(helper).unwrap().join().unwrap();
        }
        "waits" => sandbox::run(|| {
            println!("waiting: {}", process::id());
            thread::sleep(Duration::from_secs(60));
        })
        .unwrap(),
        "leaves a process" => sandbox::run(|| {
            drop(Command::new("sleep").arg("5").spawn().unwrap());
            println!("said inside");
        })
        .unwrap(),
        "looks" => sandbox::run(|| {
            let run = fs::read_dir("/run").unwrap().flatten().map(|entry| entry.file_name());
            println!("{:?} in {}", run.collect::<Vec<_>>(), env::current_dir().unwrap().display());
        })
        .unwrap(),
        _ => {}
    }
}

fn helper() {
    if let Err(error) = sandbox::run(|| println!("said in a helper")) {
        panic!("{error}");
    }
}

fn subject_of(command: &mut Command, task: &str, arguments: &[&str]) -> Output {
    let command = command.env("NETLOOM_SUBJECT", task).args(arguments);
    command.args(["subject", "--include-ignored"]).output().unwrap()
}

/// Returns the output, and whether the program succeeded.
fn told(output: &Output) -> (String, bool) {
    let text = [&output.stdout[..], b"\n", &output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status.success())
}

const EXACT: &[&str] = &["--exact", "--nocapture"];

/// The test runs as root and as an ordinary user, on a thread and on the main thread, as libtest
/// and nextest start tests.
#[test]
fn every_user_gets_it_however_the_test_is_started() {
    let copy = Copied::of_this();
    for arguments in [EXACT, &["--nocapture"], &["--nocapture", "--test-threads=1"]] {
        for mut command in [copy.as_this_user(), copy.as_ordinary_user()] {
            let (text, success) = told(&subject_of(&mut command, "passes", arguments));
            assert!(success && text.contains("said inside: net:["), "{text}");
            // The output of the child's own libtest is hidden.
            assert_eq!(text.matches("running 1 test").count(), 1, "{text}");
        }
    }
}

#[test]
fn output_is_captured_with_the_tests_own() {
    let copy = Copied::of_this();
    let (text, success) = told(&subject_of(&mut copy.as_this_user(), "passes", &[]));
    assert!(success && !text.contains("said inside"), "{text}");
    for threads in ["--test-threads=1", "--test-threads=2"] {
        let (text, success) = told(&subject_of(&mut copy.as_this_user(), "fails", &[threads]));
        let captured = text.split_once("---- subject stdout ----").expect("no capture").1;
        assert!(!success && captured.contains("said inside, ünïcode and all"), "{text}");
        assert_eq!(captured.matches("failed inside").count(), 1, "{text}");
    }
}

#[test]
fn a_helpers_closure_is_found_by_the_thread_or_reported_missing() {
    let copy = Copied::of_this();
    for (task, arguments) in [("helper", EXACT), ("helper", &["--nocapture"]), ("thread", EXACT)] {
        let (text, success) = told(&subject_of(&mut copy.as_this_user(), task, arguments));
        assert!(success && text.contains("said in a helper"), "{text}");
    }
    // The thread's name `worker` and the function `helper` name no test.
    let output = subject_of(&mut copy.as_this_user(), "thread", &["--nocapture"]);
    let (text, success) = told(&output);
    assert!(!success && text.contains("never came to it"), "{text}");
    assert!(text.contains("worker --exact") && text.contains("helper --exact"), "{text}");
    assert!(text.contains("sandbox::run_wrapped"), "{text}");
}

#[test]
fn a_refusal_says_why_and_what_to_do() {
    let copy = Copied::of_this();
    let output = subject_of(&mut copy.where_namespaces_are_off(), "passes", EXACT);
    let (text, success) = told(&output);
    assert!(!success && text.contains("user.max_user_namespaces is 0"), "{text}");
    assert!(text.contains("sysctl -w user.max_user_namespaces="), "{text}");
    assert!(!text.contains("said inside"), "{text}");
}

/// A project's directory under /run/media stays visible.
#[test]
fn what_the_program_needs_of_run_stays() {
    support::isolated(|| {
        let copy = Copied::of_this();
        fs::create_dir_all("/run/media/disk").unwrap();
        fs::create_dir_all("/run/else").unwrap();
        let mut command = copy.as_this_user();
        let output = subject_of(command.current_dir("/run/media/disk"), "looks", EXACT);
        let (text, success) = told(&output);
        assert!(success && text.contains(r#"["media"] in /run/media/disk"#), "{text}");
        fs::remove_dir_all("/run/media").unwrap();
        fs::remove_dir("/run/else").unwrap();
    });
}

#[test]
fn the_child_dies_with_its_parent() {
    let copy = Copied::of_this();
    for mut command in [copy.as_this_user(), copy.as_ordinary_user()] {
        let command = command.env("NETLOOM_SUBJECT", "waits").stdout(Stdio::piped());
        let mut parent = command.args(EXACT).args(["subject", "--ignored"]).spawn().unwrap();
        let lines = BufReader::new(parent.stdout.take().unwrap()).lines().map_while(Result::ok);
        let pid = lines.filter_map(|line| line.split_once("waiting: ").map(|(_, n)| n.to_owned()));
        let child = PathBuf::from("/proc").join(pid.take(1).next().unwrap());
        assert!(child.exists());
        parent.kill().unwrap();
        parent.wait().unwrap();
        let patience = Instant::now() + Duration::from_secs(2);
        // The killed child may stay a zombie, if no process reaps it.
        let runs = || fs::read_link(child.join("exe")).is_ok();
        while runs() && Instant::now() < patience {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(!runs(), "{} outlives its parent", child.display());
    }
}

#[test]
fn a_process_left_behind_is_not_waited_for() {
    let started = Instant::now();
    let copy = Copied::of_this();
    let mut command = copy.as_this_user();
    // The output is not piped, because the remaining process holds the pipe open.
    command.env("NETLOOM_SUBJECT", "leaves a process").stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.args(["subject", "--ignored"]).status().unwrap().success());
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[test]
fn isolated_runs() {
    support::isolated(|| {
        println!("in isolated {}", network());
        assert!(fs::read_to_string("/proc/net/route").unwrap().lines().count() <= 1);
    });
}
