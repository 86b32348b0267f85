//! A fault at every step of every command: a refused request, a lost or cut answer, a file that
//! can't be opened, written, linked or synced. `strace` injects the faults into the released
//! program.
//!
//! Tests every step if `NETLOOM_TEST` requires strace, and every seventh otherwise.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use netloom::Netns;
use serde_json::{Value, json};

use super::plugin::{Answer, Host, answer, container, program, with};
use super::support::{self, kernel, tools};

/// A system call, and the fault that strace injects into it.
type Fault = (&'static str, &'static str);

const FAULTS: &[Fault] = &[
    // The request is refused.
    ("sendto", "error=ENOMEM"),
    // The request is done, but the answer is lost or cut short (`nlmsg_len`).
    ("recvfrom", "error=ETIMEDOUT"),
    ("recvfrom", "poke_exit=@arg2=ffffff7f"),
    // Creating a socket, a namespace or a thread fails.
    ("socket", "error=EMFILE"),
    ("clone3", "error=EAGAIN"),
    // A file operation fails: on a record, a lock or a sysctl.
    ("openat", "error=EACCES"),
    ("flock", "error=ENOLCK"),
    ("mkdir", "error=EROFS"),
    ("write", "error=ENOSPC"),
    ("fsync", "error=EIO"),
    ("linkat", "error=ENOSPC"),
    ("symlink", "error=ENOSPC"),
    ("rename", "error=EIO"),
    ("unlink", "error=EIO"),
];

/// The log of `strace`.
const LOG: &str = "/run/strace";

/// Runs a command with a fault at the given step. Returns the answer and the failed calls. There
/// are none if the command made fewer such calls.
fn call(
    host: &Host,
    command: &str,
    config: &Value,
    (name, how): Fault,
    step: usize,
) -> (Answer, String) {
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-qq", "-o", LOG, "-e"]).arg(format!("trace={name}"));
    strace.arg("-e").arg(format!("inject={name}:{how}:when={step}")).arg(program());
    let answer = answer(host.start_by(strace, command, "red", &config.to_string()));
    let log = fs::read_to_string(LOG).unwrap();
    // strace counts the calls of each thread, so a fault may hit several threads.
    let failed: Vec<_> = log.lines().filter(|line| line.contains("(INJECTED")).collect();
    (answer, failed.join("\n"))
}

/// Returns whether the answer is the specification's error object with a readable message.
fn is_told(answer: &Answer) -> bool {
    let sentence = answer.said["msg"].as_str().unwrap_or_default();
    answer.said["code"].is_u64() && sentence.contains(' ')
}

/// Runs a command once for each step and fault. `around` checks the state before and after the
/// command. Its argument is a function that runs the command and returns whether it succeeded.
fn every_step(command: &str, mut around: impl FnMut(&mut dyn FnMut(&Host, &Value) -> bool)) {
    // There are many steps, and each run starts a program.
    let stride = if tools::is_required("strace") { 1 } else { 7 };
    let mut failing = BTreeSet::new();
    for fault in FAULTS {
        let mut is_over = false;
        for step in (1..).step_by(stride) {
            around(&mut |host, config| {
                let (answer, failed) = call(host, command, config, *fault, step);
                let at = format!("{command}, {fault:?} at {step}, {failed}: {}", answer.said);
                is_over = failed.is_empty();
                assert!(answer.succeeded || !is_over, "{at}");
                // The command is done, but the answer could not be written.
                let is_unsaid = failed.contains("write(1,");
                // The program could not be loaded.
                let is_mute = ["/etc/ld.so", "/lib/"].iter().any(|part| failed.contains(part));
                assert!(answer.succeeded || is_unsaid || is_mute || is_told(&answer), "{at}");
                failing.extend((!answer.succeeded).then_some(fault.0));
                answer.succeeded || is_unsaid
            });
            if is_over {
                println!("{command}, {fault:?}: {} steps at most", step - 1);
                break;
            }
        }
    }
    assert!(failing.len() > 3, "only {failing:?} made it fail");
}

/// Everything that an attachment has created on the host and in its container.
#[derive(Debug, PartialEq, Eq)]
struct State {
    listed: Vec<BTreeSet<String>>,
    elements: BTreeSet<String>,
    settings: Vec<String>,
    remembered: Vec<String>,
}

impl State {
    fn of(host: &Host, container: &Netns) -> Self {
        const SETTINGS: [&str; 3] = [
            "net.ipv4.ip_forward",
            "net.ipv6.conf.all.forwarding",
            "net.ipv4.conf.all.route_localnet",
        ];
        let of = |tag| host.netns.nft_tables_with_tag(tag).unwrap();
        let tables = of("netloom-cni").into_iter().chain(of("netloom-cni-frames"));
        let read = tables.map(|table| table.read().unwrap());
        let elements = read.flat_map(|table| table.sets).flat_map(|set| set.elements);
        let remembered = host.remembered("net1").into_iter();
        Self {
            listed: [&*host.netns, container].map(kernel::listed).into(),
            elements: elements.map(|element| format!("{element:?}")).collect(),
            settings: SETTINGS.map(|name| host.netns.sysctl(name).unwrap()).into(),
            // The last assigned address may differ after a failure.
            remembered: remembered.filter(|name| !name.starts_with("last.")).collect(),
        }
    }
}

/// Returns a network configuration that uses every feature of the plugin.
fn network(host: &Host) -> Value {
    let mut config = with(&host.config(), "ingressPolicy", "same-bridge");
    for field in ["macspoofchk", "masqAll", "portIsolation"] {
        config[field] = json!(true);
    }
    // The plugin adds rules to another program's chain that drops packets.
    kernel::by_hand(&host.netns, "iptables -P FORWARD DROP");
    config["runtimeConfig"] = json!({ "portMappings": [
        { "hostPort": 8080, "containerPort": 80, "protocol": "tcp" },
    ] });
    config
}

/// Runs a test in a sandbox, if `strace` is installed.
#[track_caller]
fn with_strace(test: impl FnOnce()) {
    support::isolated(|| {
        if tools::is_there("strace") {
            test();
        }
    });
}

/// Returns the same network with a container attached to it.
fn beside_blue(host: &Host) -> Value {
    let config = network(host);
    host.add("blue", &with(&config, "runtimeConfig", json!({})));
    config
}

/// The first attachment also creates what all containers of the network share.
#[test]
fn the_first_add() {
    with_strace(|| {
        every_step("ADD", |run| {
            let (host, red) = (Host::new(), container("red"));
            let config = network(&host);
            let before = State::of(&host, &red);
            if !run(&host, &config) {
                assert_eq!(State::of(&host, &red), before);
            }
        });
    });
}

#[test]
fn another_add() {
    with_strace(|| {
        let (host, red, _blue) = (Host::new(), container("red"), container("blue"));
        let config = beside_blue(&host);
        let before = State::of(&host, &red);
        every_step("ADD", |run| {
            if run(&host, &config) {
                host.del("red", &config);
            }
            assert_eq!(State::of(&host, &red), before);
        });
    });
}

/// A second DEL removes everything that a failed DEL left.
#[test]
fn del() {
    with_strace(|| {
        let (host, red, _blue) = (Host::new(), container("red"), container("blue"));
        let config = beside_blue(&host);
        let before = State::of(&host, &red);
        every_step("DEL", |run| {
            host.add("red", &config);
            if !run(&host, &config) {
                host.del("red", &config);
            }
            assert_eq!(State::of(&host, &red), before);
        });
    });
}

#[test]
fn check() {
    with_strace(|| {
        let (host, red) = (Host::new(), container("red"));
        let config = network(&host);
        let config = with(&config, "prevResult", host.add("red", &config));
        let before = State::of(&host, &red);
        every_step("CHECK", |run| {
            run(&host, &config);
            assert_eq!(State::of(&host, &red), before);
        });
    });
}

/// A second GC removes everything that a failed GC left.
#[test]
fn gc() {
    with_strace(|| {
        let (host, red, _blue) = (Host::new(), container("red"), container("blue"));
        let config = beside_blue(&host);
        let before = State::of(&host, &red);
        let valid = json!([{ "containerID": "blue", "ifname": "eth0" }]);
        let valid = with(&config, "cni.dev/valid-attachments", valid);
        every_step("GC", |run| {
            host.add("red", &config);
            if !run(&host, &valid) {
                host.call("GC", "red", &valid).result();
            }
            assert_eq!(State::of(&host, &red), before);
        });
    });
}
