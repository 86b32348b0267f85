//! Damage by other programs: every command ends in time, DEL removes its part, and ADD repairs the
//! parts that it needs or fails.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use netloom::{Link, Owned};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use super::plugin::{Answer, Host, answer, container, port, with};
use super::support::{self, does_not_reach, tools};
use super::traffic::{Server, tcp};

/// Waits for a plugin, with a deadline.
#[track_caller]
fn in_time(mut child: Child) -> Answer {
    let end = Instant::now() + Duration::from_secs(10);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().ok();
            child.wait().unwrap();
            panic!("the plugin does not end");
        }
        sleep(Duration::from_millis(2));
    }
    answer(child)
}

#[track_caller]
fn call(host: &Host, command: &str, container: &str, config: &Value) -> Answer {
    in_time(host.start(command, container, &config.to_string()))
}

/// Returns the configuration of a network that uses all of the plugin's packet filter.
fn network(host: &Host) -> Value {
    let mut config = with(&host.config(), "ingressPolicy", "same-bridge");
    config["ipam"] = host.ipam(&["10.88.0.0/24", "fd88::/64"]);
    config
}

fn with_port(config: &Value, port: u16) -> Value {
    let mappings = json!([{ "hostPort": port, "containerPort": 80 }]);
    with(config, "runtimeConfig", json!({ "portMappings": mappings }))
}

/// Returns the elements of the ruleset that contain an address.
fn elements_of(host: &Host, address: &str) -> Vec<String> {
    let ruleset = host.netns.nft_ruleset().unwrap();
    let sets = ruleset.iter().flat_map(|table| &table.sets);
    let elements = sets.flat_map(|set| &set.elements).map(|element| format!("{element:?}"));
    elements.filter(|element| element.contains(address)).collect()
}

/// Runs these `nft` commands. A command whose object is missing may fail.
fn do_damage(host: &Host, lines: &[&str]) {
    for line in lines {
        let nft = || Command::new("nft").args(line.split(' ')).stderr(Stdio::null()).status();
        host.netns.run(nft).unwrap().unwrap();
    }
}

/// Damages the packet filter of a network with containers. The next ADD repairs the parts that it
/// needs: CHECK finds everything, and packets pass. DEL and GC succeed, and leave no element.
fn mended(damages: &[&[&str]]) {
    for damage in damages.iter().filter(|_| tools::is_there("nft")) {
        let host = Host::new();
        let world = host.world();
        let (_red, blue, green) = (container("red"), container("blue"), container("green"));
        let config = network(&host);
        let red = host.add("red", &with_port(&config, 8080));
        host.add("green", &with_port(&config, 8082));
        do_damage(&host, damage);
        let wanted = with_port(&config, 8081);
        let result = call(&host, "ADD", "blue", &wanted).result();
        let checked = host.check("blue", &wanted, &result);
        assert!(checked.succeeded, "after {damage:?}: {}", checked.said);
        let patience = Duration::from_secs(5);
        let server = Server::start(&world, "198.51.100.1:80");
        let seen = tcp(&blue, "198.51.100.1:80", patience).unwrap();
        assert_eq!(seen.ip().to_string(), "198.51.100.2", "after {damage:?}");
        drop(server);
        let server = Server::start(&blue, "10.88.0.4:80");
        tcp(&world, "198.51.100.2:8081", patience).unwrap();
        drop(server);
        do_damage(&host, damage);
        let deleted = call(&host, "DEL", "red", &config);
        assert!(deleted.succeeded, "DEL after {damage:?}: {}", deleted.said);
        assert!(host.netns.link(&port(&red)).is_err());
        // Without its elements in `tags`, a port cannot be found by its tag.
        if !damage.concat().contains(" tags") {
            assert_eq!(elements_of(&host, "10.88.0.2"), [""; 0], "after {damage:?}");
        }
        do_damage(&host, damage);
        let list = json!([{ "containerID": "blue", "ifname": "eth0" }]);
        let collected = call(&host, "GC", "", &with(&config, "cni.dev/valid-attachments", list));
        assert!(collected.succeeded, "GC after {damage:?}: {}", collected.said);
        assert!(green.link("eth0").is_err());
        host.del("blue", &config);
        assert_eq!(host.remembered("net1"), ["last.0", "last.1"]);
    }
}

#[test]
fn flushed_chains_and_tables_are_mended() {
    support::isolated(|| {
        mended(&[
            &["flush chain inet netloom-cni forward"],
            &["flush chain inet netloom-cni postrouting"],
            &["flush chain inet netloom-cni masquerade.10.88.0.0/24"],
            &["flush table inet netloom-cni"],
            &["flush table ip netloom-ports"],
            &["flush table ip6 netloom-ports"],
            &["flush table ip netloom-loopback"],
        ]);
    });
}

#[test]
fn missing_chains_are_mended() {
    support::isolated(|| {
        mended(&[
            &["delete chain inet netloom-cni forward"],
            &["delete chain inet netloom-cni postrouting"],
            &[
                "flush chain ip netloom-ports prerouting",
                "delete chain ip netloom-ports prerouting",
            ],
            &["delete chain ip netloom-ports loopback"],
        ]);
    });
}

/// The table of an older version lacks one map.
#[test]
fn missing_maps_are_mended() {
    support::isolated(|| {
        mended(&[
            &["flush table inet netloom-cni", "delete map inet netloom-cni masquerade6"],
            &["flush table inet netloom-cni", "delete map inet netloom-cni masquerade4"],
            &["delete map ip netloom-ports tags"],
            &["flush table ip netloom-ports", "delete map ip netloom-ports any"],
            &["flush table ip netloom-ports", "delete set ip netloom-ports hairpin"],
        ]);
    });
}

#[test]
fn dormant_tables_are_woken() {
    support::isolated(|| {
        mended(&[
            &["add table inet netloom-cni { flags dormant; }"],
            &["add table ip netloom-ports { flags dormant; }"],
            &["add table ip netloom-loopback { flags dormant; }"],
        ]);
    });
}

/// A function that damages an attachment's files, given the network's directory and the record's
/// name.
type Spoil = fn(&std::path::Path, &str);

/// Whatever the record contains, DEL removes everything that ADD created.
#[test]
fn an_unreadable_record_is_swept_as_a_missing_one() {
    support::isolated(|| {
        let spoils: [Spoil; 5] = [
            |state, name| fs::write(state.join(name), "{").unwrap(),
            |state, name| fs::write(state.join(name), "").unwrap(),
            |state, name| fs::write(state.join(name), r#"{"addresses": ["all"]}"#).unwrap(),
            |state, name| {
                fs::remove_file(state.join(name)).unwrap();
                mkfifo(&state.join(name), Mode::S_IRWXU).unwrap();
            },
            |state, name| {
                fs::remove_file(state.join(name)).unwrap();
                symlink("/dev/zero", state.join(name)).unwrap();
            },
        ];
        let host = Host::new();
        let _red = container("red");
        let config = network(&host);
        for spoil in spoils {
            let result = host.add("red", &with_port(&config, 8080));
            let address = super::plugin::address(&result);
            spoil(&host.state("net1"), "red@eth0");
            call(&host, "DEL", "red", &config).result();
            assert!(host.netns.link(&port(&result)).is_err());
            assert_eq!(elements_of(&host, &address), [""; 0]);
            assert!(!host.remembered("net1").contains(&"red@eth0".to_owned()));
        }
    });
}

/// A lock file that cannot be opened is an error for each command, but DEL still removes the rest.
#[test]
fn no_command_waits_at_a_fifo_or_a_directory() {
    support::isolated(|| {
        let host = Host::new();
        let _red = container("red");
        let config = network(&host);
        let spoils: [Spoil; 2] = [
            |state, name| mkfifo(&state.join(name), Mode::S_IRWXU).unwrap(),
            |state, name| fs::create_dir_all(state.join(name).join("x")).unwrap(),
        ];
        for name in ["lock", "new"] {
            for spoil in spoils {
                let result = host.add("red", &config);
                let state = host.state("net1");
                fs::remove_file(state.join(name)).ok();
                spoil(&state, name);
                let deleted = call(&host, "DEL", "red", &config);
                assert!(host.netns.link(&port(&result)).is_err());
                assert_eq!(elements_of(&host, &super::plugin::address(&result)), [""; 0]);
                if !deleted.succeeded {
                    let message = deleted.said["msg"].to_string();
                    assert!(message.contains(name), "{message}");
                    // The message has the failure once.
                    assert!(!message.contains(';'), "{message}");
                    call(&host, "ADD", "red", &config).refused(5, &[name]);
                    let collect = with(&config, "cni.dev/valid-attachments", json!([]));
                    call(&host, "GC", "", &collect).refused(5, &[name]);
                }
                fs::remove_dir_all(&state).unwrap();
            }
        }
    });
}

/// A record in `new` must not name a file in another directory.
#[test]
fn an_id_in_a_file_leads_to_no_other_directory() {
    support::isolated(|| {
        let host = Host::new();
        let _red = container("red");
        let config = host.config();
        host.add("red", &config);
        for (id, ifname) in [("../../x", "eth0"), ("x", "/../../../x"), ("..", ""), ("", "")] {
            let text = json!({ "containerID": id, "ifname": ifname, "addresses": [] });
            fs::write(host.state("net1").join("new"), text.to_string()).unwrap();
            host.call("STATUS", "", &config).result();
            assert_eq!(host.remembered("net1"), ["10.88.0.2", "last.0", "red@eth0"]);
            let names = |path: &str| -> Vec<_> {
                let entries = fs::read_dir(path).unwrap();
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
            };
            assert!(names("/run").iter().all(|name| !name.contains('@')));
            assert!(names("/").iter().all(|name| !name.contains('@')));
        }
        host.del("red", &config);
    });
}

/// A container whose id is too long for a file name was never added.
#[test]
fn a_container_with_too_long_an_id_is_refused_and_deleted() {
    support::isolated(|| {
        let host = Host::new();
        let _red = container("red");
        let id = "x".repeat(300);
        let call = |command: &str| {
            let variables = [
                ("CNI_COMMAND", command),
                ("CNI_CONTAINERID", &id),
                ("CNI_NETNS", "/run/netns/red"),
                ("CNI_IFNAME", "eth0"),
                ("CNI_PATH", "/usr/lib/cni"),
            ];
            host.call_with(&variables, &host.config().to_string())
        };
        call("ADD").refused(4, &["CNI_CONTAINERID", "at most"]);
        call("DEL").result();
    });
}

/// An administrator renames the bridge of an isolated network.
#[test]
fn a_renamed_bridge_keeps_its_isolation() {
    support::isolated(|| {
        let host = Host::new();
        let (red, blue) = (container("red"), container("blue"));
        let mut config = host.config();
        for policy in ["same-bridge", "isolated"] {
            config["ingressPolicy"] = json!(policy);
            let mut other = with(&config, "name", "net2");
            other["bridge"] = json!("br2");
            other["ipam"] = host.ipam(&["10.99.0.0/24"]);
            host.add("red", &config);
            let there = super::plugin::address(&host.add("blue", &other));
            let here = red.link("eth0").unwrap().addresses().unwrap()[0].prefix.addr();
            does_not_reach(&red, there.as_str());
            let renamed: Vec<Link> = [("cni0", "old0"), ("br2", "old2")]
                .map(|(name, new)| {
                    let link = host.netns.link(name).unwrap();
                    link.set_down().unwrap();
                    link.rename(new).unwrap();
                    link.set_up().unwrap();
                    link
                })
                .into();
            for (from, to) in [(&red, &there), (&blue, &here.to_string())] {
                from.ping("10.88.0.1").or_else(|_| from.ping("10.99.0.1")).unwrap();
                does_not_reach(from, to.as_str());
            }
            host.del("red", &config);
            host.del("blue", &other);
            for link in renamed {
                Owned::adopt(link).delete().unwrap();
            }
        }
    });
}
