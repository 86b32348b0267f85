//! Measures ADD and DEL of `netloom-cni`, process start included, from the first container to the
//! 500th. The network is a bridge with masquerading and a published port. The reference plugins do
//! the same in turns, if they are installed.
//!
//! `-- --test` makes a short run.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::env;
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netloom::{Bridge, Namespace, Netns, Owned, Together, VethEnd, VethPair};
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

/// Returns the configuration of a network of this plugin.
fn of_network(subnets: &[&str], data: &str) -> Value {
    let ranges: Vec<_> = subnets.iter().map(|subnet| json!([{ "subnet": subnet }])).collect();
    let ipam = json!({ "type": "netloom", "dataDir": data, "ranges": ranges });
    let mut config = config("many", "cni9", &ipam, 1);
    config["cniVersion"] = json!("1.1.0");
    config["runtimeConfig"] = json!({});
    config
}

/// Adds `count` containers to one bridge. In turns, attaches a container to another bridge without
/// the plugin: a bridge port with the same addresses. Returns the times of both.
fn grow(program: &Path, count: usize, subnets: &[&str], data: &str) -> [Vec<Duration>; 2] {
    let config = of_network(subnets, data);
    let host = Netns::current().unwrap();
    let bridge = Bridge::new("raw0").up().create(&host).unwrap();
    let mut cables = Together::new(Vec::new());
    let mut times = [Vec::new(), Vec::new()];
    let mut namespaces = Vec::new();
    for number in 0..count {
        let name = format!("m{number}");
        namespaces.push(Namespace::named(&name).create().unwrap());
        times[0].push(call(program, "ADD", &name, &config).0);
        let other = Namespace::anonymous().create().unwrap();
        let near = VethEnd::new(format!("raw{}", number + 1)).master(&bridge).no_ipv6_address();
        let mut far = VethEnd::new("eth0").up();
        let (high, low) = (number / 250, number % 250 + 2);
        far = far.address(format!("10.77.{high}.{low}/16").as_str());
        if subnets.len() > 1 {
            far = far.address(format!("fd77::{:x}/64", number + 2).as_str());
        } else {
            far = far.no_ipv6_address();
        }
        let started = Instant::now();
        cables.push(VethPair::new(near.up(), far).create_between(&host, &other).unwrap());
        times[1].push(started.elapsed());
        namespaces.push(other);
    }
    drop(cables);
    times
}

/// Measures how the time of ADD grows with the number of containers on a bridge, and the time of a
/// GC of all of them.
fn many(program: &Path, count: usize) {
    const DUAL: [&str; 2] = ["10.78.0.0/16", "fd78::/64"];
    for (name, subnets) in [("IPv4", &DUAL[..1]), ("IPv4 and IPv6", &DUAL)] {
        let data = "/run/cni-many";
        let [ours, raw] = grow(program, count, subnets, data);
        let part = (count / 20).max(1);
        let ends = |times: &[Duration]| (median(&times[..part]), median(&times[count - part..]));
        let [(first, last), (raw_first, raw_last)] = [ends(&ours), ends(&raw)];
        println!(
            "{count} on a bridge, {name}: ADD {first:.2} ms, the last {part} {last:.2} ms ({:.2} times); a raw \
             attach {raw_first:.2} and {raw_last:.2} ms ({:.2} times)",
            last / first,
            raw_last / raw_first
        );
        let mut config = of_network(subnets, data);
        config["cni.dev/valid-attachments"] = json!([]);
        let (took, _) = call(program, "GC", "", &config);
        println!("GC of {count} attachments, {name}: {:.2} s", took.as_secs_f64());
    }
}

/// Measures ADD with one UDP port beside many tracked connections, and CHECK of many ports.
fn ports(program: &Path, connections: usize, published: usize) {
    let data = "/run/cni-ports";
    let mut config = of_network(&["10.79.0.0/16"], data);
    let netns = Namespace::named("udp").create().unwrap();
    let mapping = |port: usize, protocol: &str| json!({ "hostPort": port, "containerPort": 53, "protocol": protocol });
    config["runtimeConfig"] = json!({ "portMappings": [mapping(5353, "udp")] });
    let turn = |config: &Value| {
        let took = call(program, "ADD", "udp", config).0;
        call(program, "DEL", "udp", config);
        took
    };
    let few: Vec<_> = (0..10).map(|_| turn(&config)).collect();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..connections {
        let [_, a, b, c] = u32::try_from(number).unwrap().to_be_bytes();
        let to = SocketAddr::from(([127, a, b, c], 9));
        socket.send_to(&[0], to).ok();
    }
    let tracked = Netns::current().unwrap().conntrack().unwrap().len();
    let many: Vec<_> = (0..10).map(|_| turn(&config)).collect();
    println!(
        "ADD with a UDP port: {:.2} ms, beside {tracked} tracked connections {:.2} ms",
        median(&few),
        median(&many)
    );
    for count in [published / 10, published] {
        let mappings: Vec<_> = (0..count).map(|number| mapping(1024 + number, "tcp")).collect();
        config["runtimeConfig"] = json!({ "portMappings": mappings });
        let (added, result) = call(program, "ADD", "udp", &config);
        let mut checked = config.clone();
        checked["prevResult"] = result;
        let (took, _) = call(program, "CHECK", "udp", &checked);
        let deleted = call(program, "DEL", "udp", &config).0;
        println!(
            "{count} published ports: ADD {:.0} ms, CHECK {:.0} ms, DEL {:.0} ms",
            added.as_secs_f64() * 1e3,
            took.as_secs_f64() * 1e3,
            deleted.as_secs_f64() * 1e3
        );
    }
    drop(netns);
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
    many(&program, if is_short { 4 } else { 1000 });
    ports(&program, if is_short { 10 } else { 100_000 }, if is_short { 10 } else { 20_000 });
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
