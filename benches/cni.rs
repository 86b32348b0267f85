//! Measures ADD and DEL of `netloom-cni`, process start included, from the first container to the
//! 500th. The network is a bridge with masquerading and a published port. The reference plugins do
//! the same in turns, if they are installed.
//!
//! `-- --test` makes a short run.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netloom::{Namespace, Netns, Owned};
use serde_json::{Value, json};

const REFERENCE: &str = "/usr/lib/cni";

fn program() -> PathBuf {
    let here = env::current_exe().unwrap();
    let target = here.parent().unwrap().parent().unwrap();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--offline", "--quiet", "--release", "--package", "netloom-cni"];
    assert!(Command::new(cargo).args(arguments).status().unwrap().success());
    target.join("netloom-cni")
}

/// Calls a plugin, and returns how long that took and what it printed.
fn call(plugin: &Path, command: &str, container: &str, config: &Value) -> (Duration, Value) {
    let config = config.to_string();
    let started = Instant::now();
    let mut child = Command::new(plugin)
        .env("CNI_COMMAND", command)
        .env("CNI_CONTAINERID", container)
        .env("CNI_NETNS", format!("/run/netns/{container}"))
        .env("CNI_IFNAME", "eth0")
        .env("CNI_PATH", REFERENCE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let took = started.elapsed();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}: {said}", plugin.display());
    (took, serde_json::from_str(&said).unwrap_or_default())
}

fn config(name: &str, bridge: &str, ipam: &Value, port: usize) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": name,
        "type": "bridge",
        "bridge": bridge,
        "isDefaultGateway": true,
        "ipMasq": true,
        "ipam": ipam,
        "runtimeConfig": { "portMappings": [{ "hostPort": port, "containerPort": 80, "protocol": "tcp" }] },
    })
}

fn ours(plugin: &Path, command: &str, container: &str, number: usize, data: &str) -> Duration {
    let ipam = json!({ "type": "netloom", "dataDir": data, "subnet": "10.88.0.0/16" });
    call(plugin, command, container, &config("ours", "cni0", &ipam, 10_000 + number)).0
}

/// Calls `bridge` with `host-local`, then `portmap`, as a runtime chains them.
fn theirs(command: &str, container: &str, number: usize, data: &str) -> Duration {
    let ipam = json!({ "type": "host-local", "dataDir": data, "subnet": "10.99.0.0/16" });
    let mut config = config("theirs", "ref0", &ipam, 20_000 + number);
    let [bridge, portmap] = ["bridge", "portmap"].map(|name| Path::new(REFERENCE).join(name));
    if command == "DEL" {
        let first = call(&portmap, command, container, &config).0;
        return first + call(&bridge, command, container, &config).0;
    }
    let (first, result) = call(&bridge, command, container, &config);
    config["type"] = json!("portmap");
    config["prevResult"] = result;
    first + call(&portmap, command, container, &config).0
}

fn median(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn main() {
    netloom::sandbox::enter().unwrap();
    Netns::current().unwrap().link("lo").unwrap().set_up().unwrap();
    let is_short = env::args().any(|argument| argument == "--test");
    let count = if is_short { 4 } else { 500 };
    let program = program();
    let make = |prefix: &str, number: usize| {
        Namespace::named(format!("{prefix}{number}")).create().unwrap()
    };
    // On a tmpfs and on the disk: the difference is the cost of syncing.
    let on_disk = env::temp_dir().join(format!("netloom-cni-bench-{}", std::process::id()));
    for data in ["/run/cni", on_disk.to_str().unwrap()] {
        let namespaces: Vec<Owned<Netns>> = (0..count).map(|number| make("a", number)).collect();
        let each = |command| -> Vec<Duration> {
            (0..count)
                .map(|number| ours(&program, command, &format!("a{number}"), number, data))
                .collect()
        };
        let (added, deleted) = (each("ADD"), each("DEL"));
        let part = (count / 10).max(1);
        println!(
            "netloom-cni, state in {data}: ADD {:.2} ms (median; the first {part} {:.2}, the last {part} {:.2}), DEL {:.2} ms",
            median(&added),
            median(&added[..part]),
            median(&added[count - part..]),
            median(&deleted),
        );
        drop(namespaces);
    }
    std::fs::remove_dir_all(on_disk).unwrap();
    let has_reference = ["bridge", "host-local", "portmap"]
        .iter()
        .all(|name| Path::new(REFERENCE).join(name).exists());
    if !has_reference {
        return;
    }
    let turns = if is_short { 2 } else { 50 };
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..turns {
        let containers = [make("b", number), make("c", number)];
        let [a, b] = ["b", "c"].map(|prefix| format!("{prefix}{number}"));
        times[0].push(ours(&program, "ADD", &a, number, "/run/cni"));
        times[1].push(theirs("ADD", &b, number, "/run/reference"));
        ours(&program, "DEL", &a, number, "/run/cni");
        theirs("DEL", &b, number, "/run/reference");
        drop(containers);
    }
    let [ours, theirs] = [median(&times[0]), median(&times[1])];
    println!(
        "in turns: netloom-cni {ours:.2} ms, bridge + host-local + portmap {theirs:.2} ms: {:.1} times",
        theirs / ours
    );
}
