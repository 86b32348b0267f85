//! Addresses: the built-in assignment, its files after crashes, and `host-local` if it is
//! installed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use netloom::Bridge;
use serde_json::{Value, json};

use super::plugin::{Host, address, answer, container, with};
use super::support::{self, features, kernel, reaches, tools};

#[test]
fn a_released_address_is_not_assigned_again_at_once() {
    support::isolated(|| {
        let host = Host::new();
        let _red = container("red");
        let config = with(&host.config(), "ipam", host.ipam(&["10.88.0.0/29"]));
        let next = || {
            let result = host.add("red", &config);
            host.del("red", &config);
            address(&result)
        };
        let given: Vec<_> = (0..6).map(|_| next()).collect();
        let all = ["10.88.0.2", "10.88.0.3", "10.88.0.4", "10.88.0.5", "10.88.0.6", "10.88.0.2"];
        assert_eq!(given, all);
        assert_eq!(host.remembered("net1"), ["last.0"]);
    });
}

#[test]
fn an_exhausted_range_is_an_error_until_an_address_is_released() {
    support::isolated(|| {
        let host = Host::new();
        let mut config = host.config();
        config["ipam"] = host.ipam(&["10.88.0.0/24"]);
        config["ipam"]["ranges"] = json!([[{ "subnet": "10.88.0.0/24", "rangeStart": "10.88.0.10", "rangeEnd": "10.88.0.11" }]]);
        let containers = ["red", "blue", "green"].map(container);
        assert_eq!(address(&host.add("red", &config)), "10.88.0.10");
        host.call("STATUS", "", &config).result();
        assert_eq!(address(&host.add("blue", &config)), "10.88.0.11");
        host.call("STATUS", "", &config)
            .refused(50, &["no address is free", "10.88.0.10-10.88.0.11"]);
        let full = support::unchanged(&[&host.netns, &containers[2]], || {
            host.call("ADD", "green", &config)
        });
        full.refused(101, &["no address is free in 10.88.0.10-10.88.0.11"]);
        host.del("red", &config);
        assert_eq!(address(&host.add("green", &config)), "10.88.0.10");
        // A second ADD without a DEL is refused.
        host.call("ADD", "green", &config).refused(4, &["`eth0` is already in"]);
        host.del("green", &config);
        host.del("blue", &config);
        assert_eq!(host.remembered("net1"), ["last.0"]);
    });
}

#[test]
fn an_add_skips_many_taken_addresses_in_a_row() {
    support::isolated(|| {
        let host = Host::new();
        let _red = container("red");
        let config = host.config();
        fs::create_dir_all(host.state("net1")).unwrap();
        for last in (2..61).chain(70..255) {
            fs::write(host.state("net1").join(format!("10.88.0.{last}")), "other\neth0").unwrap();
        }
        for wanted in ["10.88.0.61", "10.88.0.62"] {
            assert_eq!(address(&host.add("red", &config)), wanted);
            host.del("red", &config);
        }
        fs::remove_file(host.state("net1").join("last.0")).unwrap();
        std::os::unix::fs::symlink("10.88.0.69", host.state("net1").join("last.0")).unwrap();
        // After the last address of the range, the search continues at its first address.
        assert_eq!(address(&host.add("red", &config)), "10.88.0.61");
        host.del("red", &config);
    });
}

#[test]
fn several_ranges_several_sets_and_the_gateways_left_out() {
    support::isolated(|| {
        let host = Host::new();
        let mut config = host.config();
        config["isDefaultGateway"] = json!(false);
        config["ipam"]["ranges"] = json!([
            [
                { "subnet": "10.88.0.0/24", "rangeStart": "10.88.0.254", "gateway": "10.88.0.9" },
                { "subnet": "10.89.0.0/24", "rangeEnd": "10.89.0.2" },
            ],
            [{ "subnet": "fd88::/64", "rangeStart": "fd88::ff" }],
        ]);
        config["ipam"]["routes"] = json!([{ "dst": "192.0.2.0/24" }]);
        let all = [
            ("red", "10.88.0.254/24", "10.88.0.9", "fd88::ff/64"),
            ("blue", "10.89.0.2/24", "10.89.0.1", "fd88::100/64"),
        ];
        for (name, v4, gateway, v6) in all {
            let netns = container(name);
            let result = host.add(name, &config);
            assert_eq!(result["ips"][0]["address"], v4);
            assert_eq!(result["ips"][0]["gateway"], gateway);
            assert_eq!(result["ips"][1]["address"], v6);
            assert_eq!(result["ips"][1]["gateway"], "fd88::1");
            let addresses = netns.link("eth0").unwrap().addresses().unwrap();
            for wanted in [v4, v6] {
                assert!(addresses.iter().any(|info| info.prefix.to_string() == wanted), "{wanted}");
            }
            let routes = netns.routes().unwrap();
            let route = routes.iter().find(|route| route.destination.to_string() == "192.0.2.0/24");
            assert_eq!(route.unwrap().gateway().unwrap().to_string(), gateway);
        }
        let _green = container("green");
        host.call("ADD", "green", &config)
            .refused(101, &["10.88.0.254-10.88.0.254, 10.89.0.1-10.89.0.2"]);
    });
}

#[test]
fn an_address_can_be_requested_in_each_of_the_ways() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        let dual = with(&host.config(), "ipam", host.ipam(&["10.88.0.0/24", "fd88::/64"]));
        let capability =
            with(&dual, "runtimeConfig", json!({ "ips": ["10.88.0.77/24", "fd88::77"] }));
        let result = host.add("red", &capability);
        assert_eq!(result["ips"][0]["address"], "10.88.0.77/24");
        assert_eq!(result["ips"][1]["address"], "fd88::77/64");
        let _blue = container("blue");
        let taken = host.call("ADD", "blue", &capability);
        let holder = "10.88.0.77 is taken by container `red` (`eth0` on network `net1`)";
        taken.refused(101, &[holder]);
        host.del("red", &dual);
        let arguments = with(&dual, "args", json!({ "cni": { "ips": ["10.88.0.78"] } }));
        assert_eq!(address(&host.add("red", &arguments)), "10.88.0.78");
        host.del("red", &dual);
        let variables = [
            ("CNI_COMMAND", "ADD"),
            ("CNI_CONTAINERID", "red"),
            ("CNI_NETNS", "/run/netns/red"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/"),
            ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAME=web;IP=10.88.0.79;MAC=02:00:00:00:00:79"),
        ];
        let result = host.call_with(&variables, &dual.to_string()).result();
        assert_eq!(address(&result), "10.88.0.79");
        assert_eq!(result["interfaces"][2]["mac"], "02:00:00:00:00:79");
        let mac = red.link("eth0").unwrap().info().unwrap().mac.unwrap();
        assert_eq!(mac.to_string(), "02:00:00:00:00:79");
        host.del("red", &dual);
        let ranges = json!({ "ipRanges": [[{ "subnet": "10.99.0.0/24" }]] });
        assert_eq!(address(&host.add("red", &with(&dual, "runtimeConfig", ranges))), "10.99.0.2");
        host.del("red", &dual);
        for (wanted, words) in [
            ("10.88.0.1", "is the gateway"),
            ("10.88.0.255", "is in no range"),
            ("192.0.2.1", "is in no range"),
        ] {
            let asked = with(&dual, "runtimeConfig", json!({ "ips": [wanted] }));
            host.call("ADD", "red", &asked).refused(101, &[wanted, words]);
        }
    });
}

/// After a kill at any moment, the files are readable, DEL cleans up, and the next ADD succeeds.
#[test]
fn a_killed_plugin_leaves_a_readable_state() {
    support::isolated(|| {
        let host = Host::new();
        let config = with(&host.config(), "ipam", host.ipam(&["10.88.0.0/28"]));
        // The first container creates the bridge, so every kill happens while an attachment is
        // created.
        let _first = container("first");
        host.add("first", &config);
        let kept = host.remembered("net1");
        let mut was_killed = 0;
        for number in 0..60_u64 {
            let name = format!("c{number}");
            // Without masquerading, the cable is the only object of an attachment in the kernel.
            let config = with(&config, "ipMasq", number % 4 < 2);
            let text = config.to_string();
            let netns = container(&name);
            let mut child = host.start("ADD", &name, &text);
            sleep(Duration::from_micros(number * 150));
            child.kill().unwrap();
            was_killed += u32::from(!child.wait().unwrap().success());
            if number % 2 == 0 {
                host.del(&name, &config);
            } else {
                let list = json!([{ "containerID": "first", "ifname": "eth0" }]);
                host.call("GC", "", &with(&config, "cni.dev/valid-attachments", list)).result();
            }
            let left = host.remembered("net1");
            let left: Vec<_> = left.iter().filter(|one| *one != "new").collect();
            let kept: Vec<_> = kept.iter().collect();
            assert_eq!(left, kept, "after {number}");
            assert!(netns.link("eth0").is_err());
        }
        assert!(was_killed > 0);
        let again = container("again");
        host.add("again", &config);
        support::reaches(&again, "10.88.0.1");
        host.del("again", &config);
        assert_eq!(host.remembered("net1"), kept);
    });
}

/// Builds by hand the files that an ADD leaves if it is killed after a step of writing its record.
/// DEL, and then a new ADD, must cope with each.
#[test]
fn each_step_of_a_write_leaves_a_readable_state() {
    support::isolated(|| {
        let host = Host::new();
        let _red = container("red");
        let config = host.config();
        let state = host.state("net1");
        fs::create_dir_all(&state).unwrap();
        let whole = r#"{"addresses":["10.88.0.2/24"],"containerID":"red","ifname":"eth0"}"#;
        let link = |name: &str| fs::hard_link(state.join("new"), state.join(name)).unwrap();
        for (steps, text) in
            [(0, ""), (0, "{\"addr"), (0, whole), (1, whole), (2, whole), (3, whole)]
        {
            fs::write(state.join("new"), text).unwrap();
            for name in ["red@eth0", "10.88.0.2"].iter().take(steps) {
                link(name);
            }
            if steps == 3 {
                fs::remove_file(state.join("new")).unwrap();
            }
            host.del("red", &config);
            let left = host.remembered("net1");
            assert!(left.iter().all(|one| one == "new" || one == "last.0"), "{steps}: {left:?}");
            let result = host.add("red", &config);
            host.check("red", &config, &result).result();
            host.del("red", &config);
            assert_eq!(host.remembered("net1"), ["last.0"]);
        }
        // DEL releases the addresses of an unreadable record.
        host.add("red", &config);
        fs::write(state.join("red@eth0"), "nonsense").unwrap();
        host.del("red", &config);
        assert_eq!(host.remembered("net1"), ["last.0"]);
        // An invalid `last.0` counts as none.
        fs::remove_file(state.join("last.0")).unwrap();
        fs::write(state.join("last.0"), "nonsense").unwrap();
        assert_eq!(address(&host.add("red", &config)), "10.88.0.2");
        host.del("red", &config);
        // After a power cut, an address may exist without its attachment. GC releases it.
        fs::write(state.join("10.88.0.9"), whole).unwrap();
        fs::write(state.join("10.88.0.10"), "other\neth0").unwrap();
        host.call("GC", "", &with(&config, "cni.dev/valid-attachments", json!([]))).result();
        assert_eq!(host.remembered("net1"), ["10.88.0.10", "last.0"]);
    });
}

pub(crate) fn is_there(plugin: &str) -> bool {
    let is_there = Path::new("/usr/lib/cni").join(plugin).exists();
    if !is_there {
        assert!(!tools::is_required("cni"), "the reference plugins are not installed");
        features::note("cni", "the reference plugins are not installed");
    }
    is_there
}

#[test]
fn host_local_assigns_the_addresses_if_configured() {
    support::isolated(|| {
        if !is_there("host-local") {
            return;
        }
        let host = Host::new();
        let _red = container("red");
        let mut config = with(&host.config(), "cniVersion", "1.0.0");
        config["dataDir"] = json!("/run/attachments");
        config["ipam"]["type"] = json!("host-local");
        config["ipam"]["dataDir"] = json!("/run/host-local");
        let names = || -> Vec<String> {
            let entries = fs::read_dir("/run/host-local/net1").into_iter().flatten();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name.starts_with("10.")).collect()
        };
        let result = host.add("red", &config);
        assert_eq!(result["ips"][0]["address"], "10.88.0.2/24");
        assert_eq!(names(), ["10.88.0.2"]);
        assert!(Path::new("/run/attachments/net1/red@eth0").exists());
        host.check("red", &config, &result).result();
        host.del("red", &config);
        assert!(names().is_empty());
        assert!(!Path::new("/run/attachments/net1/red@eth0").exists());
        // A later step fails, so the address is released.
        let mut failing = config.clone();
        failing["ipam"]["routes"] = json!([{ "dst": "192.0.2.0/24", "gw": "203.0.113.1" }]);
        host.call("ADD", "red", &failing).refused(100, &["203.0.113.1"]);
        assert!(names().is_empty());
        // A failure of `host-local` is reported with its own code.
        let mut bad = config;
        bad["ipam"]["ranges"] = json!([]);
        let answer = host.call("ADD", "red", &bad);
        answer.refused(999, &["plugin `host-local`, ADD", "no IP ranges"]);
    });
}

#[test]
fn static_assigns_the_configured_address() {
    support::isolated(|| {
        if !is_there("static") {
            return;
        }
        let host = Host::new();
        let red = container("red");
        let mut config = with(&host.config(), "cniVersion", "1.0.0");
        config["dataDir"] = json!("/run/attachments");
        config["ipam"] = json!({
            "type": "static",
            "addresses": [{ "address": "10.88.0.7/24", "gateway": "10.88.0.1" }],
            "routes": [{ "dst": "192.0.2.0/24" }],
        });
        let result = host.add("red", &config);
        assert_eq!(result["ips"][0]["address"], "10.88.0.7/24");
        reaches(&red, "10.88.0.1");
        host.check("red", &config, &result).result();
        if kernel::by_hand(&red, "ip route del 192.0.2.0/24") {
            host.check("red", &config, &result).refused(102, &["route 192.0.2.0/24"]);
        }
        host.del("red", &config);
        assert!(host.remembered("net1").is_empty());
    });
}

/// Uses every route field of specification 1.1.0.
#[test]
fn routes_of_a_delegated_plugin_are_created_with_all_their_fields() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        let answer = json!({
            "cniVersion": "1.1.0",
            "ips": [{ "address": "10.88.0.7/24", "gateway": "10.88.0.1" }],
            "routes": [
                { "dst": "192.0.2.0/24", "advmss": 1300, "mtu": 1350, "priority": 9, "table": 100 },
                { "dst": "203.0.113.0/24", "scope": 253 },
            ],
        });
        let script =
            format!("#!/bin/sh\ncat >/dev/null\n[ $CNI_COMMAND != ADD ] || echo '{answer}'\n");
        fs::write("/run/given", script).unwrap();
        fs::set_permissions("/run/given", fs::Permissions::from_mode(0o755)).unwrap();
        let mut config = with(&host.config(), "ipam", json!({ "type": "given" }));
        config["dataDir"] = json!("/run/attachments");
        let call = |command: &str, config: &Value| {
            let variables = [
                ("CNI_COMMAND", command),
                ("CNI_CONTAINERID", "red"),
                ("CNI_NETNS", "/run/netns/red"),
                ("CNI_IFNAME", "eth0"),
                ("CNI_PATH", "/run"),
                ("PATH", "/usr/bin:/bin"),
            ];
            host.call_with(&variables, &config.to_string())
        };
        let result = call("ADD", &config).result();
        let table = |to: &str, field: &str| -> Value {
            let routes = result["routes"].as_array().unwrap();
            routes.iter().find(|route| route["dst"] == to).unwrap()[field].clone()
        };
        assert_eq!(
            (table("192.0.2.0/24", "advmss"), table("203.0.113.0/24", "scope")),
            (json!(1300), json!(253))
        );
        let routes = red.routes().unwrap();
        let made = |to: &str| routes.iter().find(|one| one.destination.to_string() == to).unwrap();
        let far = made("192.0.2.0/24");
        assert_eq!((far.advmss, far.mtu, far.metric, far.table), (Some(1300), Some(1350), 9, 100));
        assert_eq!(
            (made("203.0.113.0/24").scope, made("203.0.113.0/24").gateway()),
            (netloom::Scope::Link, None)
        );
        call("CHECK", &with(&config, "prevResult", result)).result();
        call("DEL", &config).result();
    });
}

#[test]
fn ten_adds_at_once_get_addresses_from_host_local() {
    support::isolated(|| {
        if !is_there("host-local") {
            return;
        }
        let host = Host::new();
        let mut config = with(&host.config(), "cniVersion", "1.0.0");
        config["dataDir"] = json!("/run/attachments");
        config["ipam"]["type"] = json!("host-local");
        config["ipam"]["dataDir"] = json!("/run/host-local");
        let (text, names) = (config.to_string(), (0..10).map(|number| format!("c{number}")));
        let names: Vec<String> = names.collect();
        let containers: Vec<_> = names.iter().map(|name| container(name)).collect();
        let all = |command: &str| -> Vec<Value> {
            let started = names.iter().map(|name| host.start(command, name, &text));
            let started: Vec<_> = started.collect();
            started.into_iter().map(|child| answer(child).result()).collect()
        };
        let results = all("ADD");
        let mut addresses: Vec<_> = results.iter().map(address).collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 10);
        for ((name, netns), result) in names.iter().zip(&containers).zip(&results) {
            reaches(netns, "10.88.0.1");
            host.check(name, &config, result).result();
        }
        all("DEL");
        let left = fs::read_dir("/run/host-local/net1").unwrap();
        let mut left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(!left.any(|name| name.starts_with("10.")));
    });
}

/// Shares one directory and one lock with `host-local`.
#[test]
fn an_address_that_host_local_assigned_is_not_assigned_again() {
    support::isolated(|| {
        if !is_there("host-local") {
            return;
        }
        let host = Host::new();
        let mut config = with(&host.config(), "cniVersion", "1.0.0");
        config["ipam"]["dataDir"] = json!("/run/networks");
        let mut theirs = config.clone();
        theirs["ipam"]["type"] = json!("host-local");
        theirs["dataDir"] = json!("/run/attachments");
        let containers = ["a", "b", "c", "d"].map(|name| (name, container(name)));
        let given: Vec<Value> = containers
            .iter()
            .zip([&theirs, &config, &theirs, &config])
            .map(|((name, _), config)| host.add(name, config)["ips"][0]["address"].clone())
            .collect();
        let mut distinct: Vec<_> = given.iter().map(Value::to_string).collect();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 4, "{given:?}");
        let nlink = fs::metadata("/run/networks/net1/b@eth0").unwrap().nlink();
        assert_eq!(nlink, 2);
        for ((name, _), config) in containers.iter().zip([&theirs, &config, &theirs, &config]) {
            host.del(name, config);
        }
    });
}

/// The plugin `dhcp` sends requests over the interface, so the interface must exist before.
#[test]
fn a_dhcp_server_on_the_bridge_gives_the_address() {
    support::isolated(|| {
        let plugin = Path::new("/usr/lib/cni/dhcp");
        let has_server = Command::new("/bin/busybox").arg("udhcpd").arg("--help").output();
        let is_root = nix::unistd::getuid().is_root();
        if !is_root || !plugin.exists() || has_server.is_err() {
            return features::note("dhcp", "it takes root, the CNI plugin dhcp and busybox");
        }
        let host = Host::new();
        let red = container("red");
        let bridge = Bridge::new("cni0").address("10.88.0.1/24").up().create(&host.netns).unwrap();
        fs::write("/run/leases", "").unwrap();
        fs::create_dir_all("/run/cni").unwrap();
        let settings = "start 10.88.0.100\nend 10.88.0.109\ninterface cni0\noption subnet \
                        255.255.255.0\noption router 10.88.0.1\nlease_file /run/leases\n";
        fs::write("/run/udhcpd.conf", settings).unwrap();
        let start = |program: &Path, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
            host.netns.run(|| command.spawn()).unwrap().unwrap()
        };
        let server = start(Path::new("/bin/busybox"), &["udhcpd", "-f", "/run/udhcpd.conf"]);
        let daemon = start(plugin, &["daemon"]);
        while !Path::new("/run/cni/dhcp.sock").exists() {
            sleep(Duration::from_millis(10));
        }
        let mut config = with(&host.config(), "isDefaultGateway", false);
        config["cniVersion"] = json!("1.0.0");
        config["ipam"] = json!({ "type": "dhcp" });
        config["dataDir"] = json!("/run/attachments");
        let result = host.add("red", &config);
        assert!(address(&result).starts_with("10.88.0.10"), "{result}");
        assert_eq!(result["ips"][0]["gateway"], "10.88.0.1");
        reaches(&red, "10.88.0.1");
        host.check("red", &config, &result).result();
        host.del("red", &config);
        assert!(red.link("eth0").is_err());
        // Without an answer of the server, ADD leaves nothing.
        for mut child in [daemon, server] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(!host.call("ADD", "red", &config).succeeded);
        assert!(red.link("eth0").is_err());
        drop(bridge);
    });
}
