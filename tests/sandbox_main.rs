//! `sandbox::enter` and `sandbox::run` in a program with its own `main`, such as this one.
//!
//! Without a task, the program starts copies of itself, and checks their output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod support;

use std::env;
use std::error::Error;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::Duration;

use netloom::sandbox;

use support::user::Copied;

const NAME: &str = "programs_come_to_their_sandboxes";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["enter", ..] => enter(&arguments),
        ["enter-with-threads"] => enter_with_threads(),
        ["run"] => run(),
        // nextest lists the tests of a program with these arguments.
        _ if arguments.iter().any(|argument| argument == "--list") => {
            if !arguments.iter().any(|argument| argument == "--ignored") {
                println!("{NAME}: test");
            }
            Ok(())
        }
        _ => {
            programs_come_to_their_sandboxes();
            println!("test {NAME} ... ok");
            Ok(())
        }
    }
}

fn network() -> String {
    fs::read_link("/proc/thread-self/ns/net").unwrap().display().to_string()
}

fn enter(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    println!("process {} in {}", process::id(), network());
    sandbox::enter()?;
    // In a sandbox, a second call does nothing.
    sandbox::enter()?;
    let devices = fs::read_to_string("/proc/net/dev")?.lines().skip(2).count();
    let run = fs::read_dir("/run")?.count();
    println!("inside {arguments:?}, {devices} device, {run} in /run, as {}", name());
    sandbox::run(|| {
        assert_ne!(Ok(network()), env::var("NETLOOM_SANDBOX"));
        println!("deeper");
    })?;
    match arguments.get(1).map(String::as_str) {
        Some("exit") => process::exit(7),
        Some("wait") => thread::sleep(Duration::from_secs(60)),
        _ => {}
    }
    Ok(())
}

fn name() -> String {
    fs::read_to_string("/proc/self/comm").unwrap().trim().to_owned()
}

fn enter_with_threads() -> Result<(), Box<dyn Error>> {
    thread::scope(|scope| {
        let main = thread::current();
        let waits = scope.spawn(thread::park);
        let entered = sandbox::enter();
        waits.thread().unpark();
        drop(main);
        Ok(entered?)
    })
}

fn run() -> Result<(), Box<dyn Error>> {
    for round in 0..2 {
        sandbox::run(|| println!("round {round} in {}", network()))?;
        in_a_function(round)?;
    }
    println!("all rounds done");
    Ok(())
}

fn in_a_function(round: u32) -> Result<(), netloom::Error> {
    sandbox::run(|| println!("function {round} in {}", network()))
}

/// Returns the output of a program, and its exit status.
fn told(command: &mut Command, arguments: &[&str]) -> (String, process::ExitStatus) {
    let output = command.args(arguments).output().unwrap();
    let text = [&output.stdout[..], &output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status)
}

/// A shell may keep the variable after it has left the sandbox. The variable alone does not mean a
/// sandbox.
fn a_left_over_variable_is_no_sandbox(copy: &Copied) {
    let outside = "umount -l /run; NETLOOM_SANDBOX='net:[1]' exec \"$0\" enter";
    let mut shell = Command::new("unshare");
    let (text, status) = told(shell.args(["-m", "sh", "-c", outside]).arg(copy.path()), &[]);
    assert!(status.success(), "{text}");
    let starts: Vec<_> = text.lines().filter(|line| line.starts_with("process ")).collect();
    assert!(starts.len() == 2 && starts[0] != starts[1], "{text}");
}

/// A program may inherit the variable of a call of `run`. The descriptors that it names are then
/// not the pipes of that call.
fn a_left_over_marker_takes_no_descriptor(copy: &Copied) {
    let parent = process::id();
    for pipes in ["0:1 1:1 2:1", "0:0 1:0 2:0", "0 1 2", "1:x 1:x 1:x", "-1:1 99:1 7:1"] {
        let mut program = copy.as_this_user();
        program.env("NETLOOM_SANDBOX_RUN", format!("{parent} {pipes}\n0 main"));
        let (text, status) = told(&mut program, &["run"]);
        assert!(status.success() && text.ends_with("all rounds done\n"), "{pipes}: {text}");
        assert_eq!(text.matches("round ").count(), 2, "{pipes}: {text}");
    }
}

fn programs_come_to_their_sandboxes() {
    let copy = Copied::of_this();
    a_left_over_variable_is_no_sandbox(&copy);
    a_left_over_marker_takes_no_descriptor(&copy);
    for start in [Copied::as_this_user, Copied::as_ordinary_user] {
        let (text, status) = told(&mut start(&copy), &["enter", "two words", ""]);
        assert!(status.success(), "{text}");
        assert!(
            text.contains(r#"inside ["enter", "two words", ""], 1 device, 0 in /run"#),
            "{text}"
        );
        assert!(text.contains(", as sandbox_main-"), "{text}");
        assert_eq!(text.matches("deeper").count(), 1, "{text}");
        // `enter` executes the program again in the same process, so the start is printed twice.
        let starts = text.lines().filter_map(|line| line.strip_prefix("process "));
        let starts: Vec<_> = starts.filter_map(|line| line.split_once(" in ")).collect();
        assert!(starts.len() == 2 && starts[0].0 == starts[1].0, "{text}");
        assert_ne!(starts[0].1, starts[1].1, "{text}");

        let (text, status) = told(&mut start(&copy), &["enter", "exit"]);
        assert_eq!(status.code(), Some(7), "{text}");

        let mut waits = start(&copy);
        let mut waits = waits.args(["enter", "wait"]).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(50));
        waits.kill().unwrap();
        assert_eq!(waits.wait().unwrap().signal(), Some(9));

        let (text, status) = told(&mut start(&copy), &["run"]);
        assert!(status.success() && text.ends_with("all rounds done\n"), "{text}");
        let words: Vec<_> = text.lines().filter_map(|line| line.split_once(" in ")).collect();
        let said: Vec<_> = words.iter().map(|(said, _)| *said).collect();
        assert_eq!(said, ["round 0", "function 0", "round 1", "function 1"], "{text}");
    }

    let (text, status) = told(&mut copy.as_ordinary_user(), &["enter-with-threads"]);
    assert!(!status.success() && text.contains("first thing in `main`"), "{text}");

    let (text, status) = told(&mut copy.where_namespaces_are_off(), &["enter"]);
    assert!(!status.success() && text.contains("user.max_user_namespaces is 0"), "{text}");
    assert!(!text.contains("inside"), "{text}");
}
