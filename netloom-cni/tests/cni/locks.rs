//! Many commands run at once while a shared object is missing, so that each tries to create it.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use netloom::{Bridge, Netns, Owned};
use serde_json::{Value, json};

use super::plugin::{Answer, Host, answer, container, with};
use super::support::{self, reaches};

/// Collects the answers of plugins that run at the same time, with a deadline.
#[track_caller]
fn answers(mut children: Vec<Child>) -> Vec<Answer> {
    let patience = Instant::now() + Duration::from_secs(30);
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        if Instant::now() > patience {
            for child in &mut children {
                child.kill().ok();
                child.wait().unwrap();
            }
            panic!("they wait for one another");
        }
        sleep(Duration::from_millis(5));
    }
    children.into_iter().map(answer).collect()
}

fn containers(count: usize) -> Vec<(String, Owned<Netns>)> {
    let names = (0..count).map(|number| format!("c{number}"));
    names.map(|name| (name.clone(), container(&name))).collect()
}

/// Deletes all tables, as `nft flush ruleset` does.
fn forget_all_rules(host: &Host) {
    for table in host.netns.nft_tables_with_tag("netloom-cni").unwrap() {
        Owned::adopt(table).delete().unwrap();
    }
}

#[test]
fn adds_at_once_after_a_ruleset_flush_succeed() {
    support::isolated(|| {
        let host = Host::new();
        let config = with(&host.config(), "ingressPolicy", "same-bridge");
        let containers = containers(6);
        let text = config.to_string();
        let all = |command: &str, of: &[(String, _)]| {
            let start = |one: &(String, _)| host.start(command, &one.0, &text);
            for answer in answers(of.iter().map(start).collect()) {
                answer.result();
            }
        };
        for _ in 0..3 {
            host.add(&containers[0].0, &config);
            forget_all_rules(&host);
            all("ADD", &containers[1..]);
            for (_, netns) in &containers {
                reaches(netns, "10.88.0.1");
            }
            all("DEL", &containers);
        }
        assert_eq!(host.remembered("net1"), ["last.0"]);
    });
}

#[test]
fn first_adds_at_once_on_an_existing_bridge_succeed() {
    support::isolated(|| {
        let host = Host::new();
        Bridge::new("cni0").up().create(&host.netns).unwrap().keep();
        let containers = containers(8);
        let text = host.config().to_string();
        let start = |one: &(String, _)| host.start("ADD", &one.0, &text);
        for answer in answers(containers.iter().map(start).collect()) {
            answer.result();
        }
        for (_, netns) in &containers {
            reaches(netns, "10.88.0.1");
        }
    });
}

/// Runs each command that reads the store and the host at the same time as an ADD that creates
/// missing objects.
#[test]
fn each_command_succeeds_beside_an_add() {
    support::isolated(|| {
        let host = Host::new();
        let config = host.config();
        let containers = containers(2);
        let [old, new] = [&containers[0].0, &containers[1].0];
        let list = json!([old, new].map(|name| json!({ "containerID": name, "ifname": "eth0" })));
        for round in 0..3 {
            for command in ["DEL", "GC", "STATUS", "CHECK"] {
                let result = host.add(old, &config);
                forget_all_rules(&host);
                let beside = match command {
                    "GC" => with(&config, "cni.dev/valid-attachments", list.clone()),
                    "CHECK" => with(&config, "prevResult", result),
                    _ => config.clone(),
                };
                let add = host.start("ADD", new, &config.to_string());
                let other = host.start(command, old, &beside.to_string());
                let mut said = answers(vec![add, other]);
                // CHECK may run before or after ADD restores the rules, so either answer is right.
                let other = said.pop().unwrap();
                assert!(other.succeeded || command == "CHECK", "{command} {round}: {}", other.said);
                assert_ne!(said.pop().unwrap().result(), Value::Null);
                host.del(old, &config);
                host.del(new, &config);
            }
        }
    });
}

/// An ordinary user can lock any file that the user can open, such as the file of the namespace.
#[test]
fn no_command_waits_for_a_lock_that_an_ordinary_user_can_take() {
    support::isolated(|| {
        let host = Host::new();
        let namespace = host.netns.run(|| File::open("/proc/thread-self/ns/net")).unwrap().unwrap();
        namespace.lock().unwrap();
        let _red = container("red");
        let lock = host.state("net1").join("lock");
        let mode = || fs::metadata(&lock).unwrap().permissions().mode() & 0o777;
        host.add("red", &host.config());
        assert_eq!(mode(), 0o600);
        // The mode with which `host-local` creates the file.
        fs::set_permissions(&lock, Permissions::from_mode(0o644)).unwrap();
        host.del("red", &host.config());
        assert_eq!(mode(), 0o600);
    });
}
