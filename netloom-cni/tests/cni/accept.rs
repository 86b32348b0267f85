//! Forwarding beside a packet filter that drops forwarded packets, as Docker sets it up with
//! `iptables`.

use std::process::Command;
use std::time::Duration;

use netloom::Route;
use serde_json::json;

use super::plugin::{Host, container, with};
use super::support::{self, kernel};
use super::traffic::{Server, tcp};

const PATIENCE: Duration = Duration::from_secs(2);
const SHORT: Duration = Duration::from_millis(300);

/// Runs `iptables` and `ip6tables` with these arguments. Returns false if they are not installed.
fn both(host: &Host, arguments: &str) -> bool {
    ["iptables", "ip6tables"]
        .iter()
        .all(|tool| kernel::by_hand(&host.netns, &format!("{tool} {arguments}")))
}

/// Returns the rules of a chain as `iptables` lists them.
fn listed(host: &Host, chain: &str) -> Vec<String> {
    let list = || Command::new("iptables").args(["-S", chain]).output().unwrap();
    let output = host.netns.run(list).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| line.starts_with("-A")).map(str::to_owned).collect()
}

const RULES: [&str; 2] = ["-i cni0 ", "-o cni0 "];

#[test]
fn a_foreign_policy_that_drops_is_made_to_accept_what_it_should() {
    support::isolated(|| {
        let host = Host::new();
        let world = host.world();
        if !both(&host, "-P FORWARD DROP") {
            return;
        }
        let red = container("red");
        let ports = json!({ "portMappings": [{ "hostPort": 8080, "containerPort": 80 }] });
        let config = with(&host.config(), "ipam", host.ipam(&["10.88.0.0/24", "fd88::/64"]));
        let config = with(&config, "runtimeConfig", ports);
        let outside = Server::start(&world, "198.51.100.1:80");
        let inside = |red: &_| Server::start(red, "0.0.0.0:80");
        let reached = || tcp(&world, "198.51.100.2:8080", SHORT).is_ok();

        let closed = with(&config, "acceptForward", false);
        host.add("red", &closed);
        let server = inside(&red);
        assert!(!reached() && listed(&host, "FORWARD").is_empty());
        drop(server);
        host.del("red", &closed);

        let result = host.add("red", &config);
        let server = inside(&red);
        assert!(tcp(&world, "198.51.100.2:8080", PATIENCE).is_ok());
        assert!(tcp(&red, "198.51.100.1:80", PATIENCE).is_ok());
        // Ports that are not published stay closed.
        let _way = Route::new("10.88.0.0/24").via("198.51.100.2").create(&world).unwrap();
        let address = result["ips"][0]["address"].as_str().unwrap().split('/').next().unwrap();
        assert!(tcp(&world, &format!("{address}:80"), SHORT).is_err());
        assert!(tcp(&host.netns, &format!("{address}:80"), PATIENCE).is_ok());
        // `iptables` can still list its table.
        let there = listed(&host, "FORWARD");
        for rule in RULES {
            assert!(there.iter().any(|line| line.contains(rule) && line.ends_with("ACCEPT")));
        }
        assert!(both(&host, "-A FORWARD -i lo -j ACCEPT") && both(&host, "-D FORWARD 3"));
        host.check("red", &config, &result).result();
        assert!(both(&host, "-F FORWARD"));
        host.check("red", &config, &result).refused(102, &["FORWARD", "cni0", "missing"]);
        let _blue = container("blue");
        host.add("blue", &host.config());
        host.check("red", &config, &result).result();
        // A second container of the network adds no rules.
        assert_eq!(listed(&host, "FORWARD").len(), 2);
        host.del("blue", &host.config());
        drop(server);
        host.del("red", &config);
        host.call("GC", "", &with(&config, "cni.dev/valid-attachments", json!([]))).result();
        assert!(listed(&host, "FORWARD").is_empty());
        drop(outside);
    });
}

/// Docker reserves a chain for the administrator, whose rules come first.
#[test]
fn rules_go_into_the_chain_that_docker_leaves_to_others() {
    support::isolated(|| {
        let host = Host::new();
        let world = host.world();
        for line in [
            "-P FORWARD DROP",
            "-N DOCKER-USER",
            "-I FORWARD -j DOCKER-USER",
            "-A DOCKER-USER -p tcp --dport 81 -j DROP",
            "-A DOCKER-USER -j RETURN",
        ] {
            if !both(&host, line) {
                return;
            }
        }
        let red = container("red");
        let mapping = |port: u16| json!({ "hostPort": port, "containerPort": port });
        let ports = json!({ "portMappings": [mapping(80), mapping(81)] });
        let config = with(&host.config(), "runtimeConfig", ports);
        host.add("red", &config);
        let servers = [80, 81].map(|port| Server::start(&red, &format!("10.88.0.2:{port}")));
        assert!(tcp(&world, "198.51.100.2:80", PATIENCE).is_ok());
        assert!(tcp(&world, "198.51.100.2:81", SHORT).is_err());
        let there = listed(&host, "DOCKER-USER");
        assert!(there[0].contains("--dport 81") && there[3].ends_with("RETURN"), "{there:?}");
        assert_eq!(listed(&host, "FORWARD").len(), 1);
        drop(servers);
        host.del("red", &config);
    });
}
