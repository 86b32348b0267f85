//! Frames between a bridge's ports: `macspoofchk`, isolation with `br_netfilter`, one
//! subnet twice.

use std::time::Duration;

use netloom::{Netns, Owned, Sysctl};
use serde_json::{Value, json};

use super::plugin::{Host, container, with};
use super::support::{self, does_not_reach, features, kernel, reaches};
use super::traffic::{Server, tcp};

/// Makes the host's bridges call the IP rules, or not. Returns whether the kernel supports that.
pub(crate) fn bridges_call_rules(host: &Host, on: bool) -> bool {
    ["iptables", "ip6tables"].iter().all(|name| {
        let name = format!("net.bridge.bridge-nf-call-{name}");
        match Sysctl::new(name, u8::from(on)).create(&host.netns) {
            Err(error) if error.is_not_found() => {
                if on {
                    features::unsupported("br_netfilter", &error);
                }
                false
            }
            set => {
                set.unwrap().keep();
                true
            }
        }
    })
}

fn elements(host: &Host) -> usize {
    let tables = host.netns.nft_ruleset().unwrap();
    let frames = tables.iter().filter(|table| table.name == "netloom-cni-frames");
    frames.flat_map(|table| &table.sets).map(|set| set.elements.len()).sum()
}

#[test]
fn frames_with_another_hardware_address_are_dropped() {
    support::isolated(|| {
        let host = Host::new();
        let (red, blue) = (container("red"), container("blue"));
        let config = with(&host.config(), "macspoofchk", true);
        let result = host.add("red", &config);
        host.add("blue", &host.config());
        reaches(&red, "10.88.0.1");
        let eth0 = red.link("eth0").unwrap();
        let mac = eth0.info().unwrap().mac.unwrap();
        eth0.set_mac("02:00:00:00:00:99").unwrap();
        does_not_reach(&red, "10.88.0.1");
        does_not_reach(&red, "10.88.0.3");
        eth0.set_mac(mac).unwrap();
        reaches(&red, "10.88.0.1");
        // The other container's configuration requests no check.
        blue.link("eth0").unwrap().set_mac("02:00:00:00:00:98").unwrap();
        reaches(&blue, "10.88.0.1");
        host.check("red", &config, &result).result();
        let flush = "nft flush chain bridge netloom-cni-frames prerouting";
        if kernel::by_hand(&host.netns, flush) {
            host.check("red", &config, &result).refused(102, &["netloom-cni-frames", "rule"]);
            // The next ADD repairs it.
            let _green = container("green");
            host.add("green", &config);
            host.check("red", &config, &result).result();
            host.del("green", &config);
        }
        let table = "nft delete table bridge netloom-cni-frames";
        if kernel::by_hand(&host.netns, table) {
            host.check("red", &config, &result).refused(102, &["netloom-cni-frames", "missing"]);
            host.del("red", &config);
            host.add("red", &config);
        }
        assert_eq!(elements(&host), 2);
        host.del("red", &config);
        assert_eq!(elements(&host), 0);
        host.add("red", &config);
        host.call("GC", "", &with(&config, "cni.dev/valid-attachments", json!([]))).result();
        assert_eq!(elements(&host), 0);
    });
}

const PATIENCE: Duration = Duration::from_secs(2);

fn is_isolated(host: &Host, config: &Value, (red, green): (&Owned<Netns>, &Owned<Netns>)) {
    let ports = json!({ "portMappings": [{ "hostPort": 8080, "containerPort": 80 }] });
    let published = with(&with(config, "hairpinMode", true), "runtimeConfig", ports);
    let result = host.add("red", &published);
    host.add("green", config);
    let ip = |result: &Value, at: usize| -> String {
        let address = result["ips"][at]["address"].as_str().unwrap();
        address.split('/').next().unwrap().to_owned()
    };
    let (red4, red6) = (ip(&result, 0), ip(&result, 1));
    host.check("red", &published, &result).result();
    for address in [&red4, &red6] {
        does_not_reach(green, address);
        reaches(&host.netns, address);
    }
    reaches(green, "10.88.0.1");
    let servers = [format!("{red4}:80"), format!("[{red6}]:80")].map(|at| Server::start(red, &at));
    for (at, from) in [("the network", green), ("the container itself", red)] {
        for server in ["10.88.0.1:8080", "198.51.100.2:8080", "[fd88::1]:8080"] {
            let answer = tcp(from, server, PATIENCE);
            assert!(answer.is_ok(), "from {at} to {server}: {answer:?}");
        }
    }
    assert!(tcp(green, &format!("{red4}:80"), Duration::from_millis(300)).is_err());
    drop(servers);
    host.del("red", &published);
    host.del("green", config);
    assert_eq!(elements(host), 0);
}

#[test]
fn an_isolated_network_reaches_its_published_ports_beside_br_netfilter() {
    support::isolated(|| {
        let host = Host::new();
        let _world = host.world();
        let (red, green) = (container("red"), container("green"));
        let dual = with(&host.config(), "ipam", host.ipam(&["10.88.0.0/24", "fd88::/64"]));
        for calls_rules in [false, true] {
            if !bridges_call_rules(&host, calls_rules) && calls_rules {
                continue;
            }
            let both = (&red, &green);
            is_isolated(&host, &with(&dual, "ingressPolicy", "isolated"), both);
            is_isolated(&host, &with(&dual, "portIsolation", true), both);
        }
    });
}

/// Two networks with one subnet are a mistake, but the first must keep its masquerading.
#[test]
fn a_second_network_with_the_same_subnet_leaves_the_firsts_masquerade() {
    support::isolated(|| {
        let host = Host::new();
        let world = host.world();
        let server = Server::start(&world, "198.51.100.1:80");
        let (red, _blue) = (container("red"), container("blue"));
        let first = host.config();
        let other = with(&with(&first, "name", "net2"), "bridge", "cni1");
        let other = with(&other, "runtimeConfig", json!({ "ips": ["10.88.0.2"] }));
        let result = host.add("red", &first);
        for other in [&other, &with(&other, "ipMasq", false)] {
            let other_is = host.add("blue", other);
            assert_eq!(other_is["ips"][0]["address"], result["ips"][0]["address"]);
            host.check("red", &first, &result).result();
            host.check("blue", other, &other_is).result();
            host.del("blue", other);
            host.netns.link("cni1").map(netloom::Owned::adopt).unwrap().delete().unwrap();
            host.check("red", &first, &result).result();
            assert!(tcp(&red, "198.51.100.1:80", PATIENCE).is_ok());
        }
        drop(server);
    });
}
