//! Published ports, tested with packets: from outside, from the host, from a neighbour.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use netloom::{Netns, Owned, PortForward, Setting};
use serde_json::{Value, json};

use super::plugin::{Host, answer, container, port, with};
use super::support::{self, kernel, unchanged};
use super::traffic::{Server, tcp, udp};

const PATIENCE: Duration = Duration::from_secs(5);

fn published(host: &Host, mappings: &Value) -> Value {
    let dual = with(&host.config(), "ipam", host.ipam(&["10.88.0.0/24", "fd88::/64"]));
    with(&dual, "runtimeConfig", json!({ "portMappings": mappings }))
}

fn web() -> Value {
    json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }])
}

fn answers(from: &Netns, server: &str) -> Option<SocketAddr> {
    tcp(from, server, PATIENCE).ok()
}

#[test]
fn a_published_port_is_reached_from_outside_the_host_and_neighbours() {
    support::isolated(|| {
        let host = Host::new();
        let world = host.world();
        let mut mappings = web();
        let dns = json!({ "hostPort": 53, "containerPort": 5353, "protocol": "UDP" });
        mappings.as_array_mut().unwrap().push(dns);
        // With br_netfilter, a container reaches its own published port only through a bridge port
        // in hairpin mode.
        let config = with(&published(&host, &mappings), "hairpinMode", true);
        let (red, blue) = (container("red"), container("blue"));
        let result = host.add("red", &config);
        host.add("blue", &with(&config, "runtimeConfig", json!({})));
        let v4 = Server::start(&red, "10.88.0.2:80");
        let v6 = Server::start(&red, "[fd88::2]:80");
        let names = Server::start(&red, "10.88.0.2:5353");
        let seen = answers(&world, "198.51.100.2:8080").unwrap();
        assert_eq!(seen.ip().to_string(), "198.51.100.1");
        assert!(answers(&world, "[2001:db8::2]:8080").is_some());
        for from in [&*host.netns, &*blue, &*red] {
            assert!(answers(from, "198.51.100.2:8080").is_some(), "{from}");
        }
        assert!(answers(&host.netns, "127.0.0.1:8080").is_some());
        assert!(udp(&world, "198.51.100.2:53", PATIENCE).is_ok());
        assert!(udp(&host.netns, "127.0.0.1:53", PATIENCE).is_ok());
        host.check("red", &config, &result).result();
        drop((v4, v6, names));
        unchanged(&[&world], || host.del("red", &config));
        let server = Server::start(&blue, "10.88.0.3:80");
        let gone = tcp(&world, "198.51.100.2:8080", Duration::from_millis(300));
        assert!(gone.is_err());
        drop(server);
    });
}

/// Isolated networks are reachable only at their published ports.
#[test]
fn published_ports_of_an_isolated_network_are_reachable() {
    support::isolated(|| {
        let host = Host::new();
        let _world = host.world();
        let config = with(&published(&host, &web()), "ingressPolicy", "same-bridge");
        let mut other = with(&config, "name", "net2");
        other["bridge"] = json!("br2");
        other["ipam"] = host.ipam(&["10.99.0.0/24"]);
        other["runtimeConfig"] = json!({});
        let (red, blue) = (container("red"), container("blue"));
        host.add("red", &config);
        host.add("blue", &other);
        let server = Server::start(&red, "10.88.0.2:80");
        assert!(answers(&blue, "198.51.100.2:8080").is_some());
        assert!(tcp(&blue, "10.88.0.2:80", Duration::from_millis(300)).is_err());
        drop(server);
    });
}

/// Publishes a port at one address of the host, and so for one family.
#[test]
fn a_port_may_be_published_at_one_address() {
    support::isolated(|| {
        let host = Host::new();
        let world = host.world();
        let (red, blue) = (container("red"), container("blue"));
        let at =
            |address: &str| json!([{ "hostPort": 8080, "containerPort": 80, "hostIP": address }]);
        let v6 = published(&host, &at("2001:db8::2"));
        let v4 = published(&host, &at("0.0.0.0"));
        let red_is = host.add("red", &v6);
        let blue_is = host.add("blue", &v4);
        let servers = [Server::start(&red, "[fd88::2]:80"), Server::start(&blue, "10.88.0.3:80")];
        for address in ["[2001:db8::2]:8080", "198.51.100.2:8080"] {
            assert!(answers(&world, address).is_some(), "{address}");
        }
        drop(servers);
        host.check("red", &v6, &red_is).result();
        host.check("blue", &v4, &blue_is).result();
        host.del("red", &v6);
        let gone = tcp(&world, "[2001:db8::2]:8080", Duration::from_millis(300));
        assert!(gone.is_err());
        host.del("blue", &v4);
        for wrong in ["::1", "224.0.0.1", "198.51.100"] {
            host.call("ADD", "red", &published(&host, &at(wrong))).refused(7, &["hostIP", wrong]);
        }
    });
}

#[test]
fn a_port_that_is_taken_is_refused_and_nothing_is_left() {
    support::isolated(|| {
        let host = Host::new();
        let config = published(&host, &web());
        let red = container("red");
        let result = host.add("red", &config);
        let blue = container("blue");
        let refused = unchanged(&[&host.netns, &red, &blue], || host.call("ADD", "blue", &config));
        let holder = "container `red` (`eth0` on network `net1`) has the port 8080/tcp";
        refused.refused(100, &[holder]);
        assert!(!host.remembered("net1").iter().any(|name| name.starts_with("blue")));
        host.check("red", &config, &result).result();
        // A runtime sends DEL after a failed ADD. It must not withdraw the port of the other
        // container.
        host.del("blue", &config);
        host.check("red", &config, &result).result();
        let server = Server::start(&red, "10.88.0.2:80");
        assert!(answers(&host.netns, "127.0.0.1:8080").is_some());
        drop(server);
        // The same port may also be published at one host address only.
        let at = |address: &str| {
            published(&host, &json!([{ "hostPort": 8080, "containerPort": 81, "hostIP": address }]))
        };
        host.add("blue", &at("127.0.0.1"));
        let server = Server::start(&blue, "10.88.0.4:81");
        assert!(answers(&host.netns, "127.0.0.1:8080").is_some());
        drop(server);
        host.del("blue", &at("127.0.0.1"));
        host.del("red", &config);
        // Another program than the CNI plugin has published the port.
        let bridge = host.netns.link("cni0").unwrap();
        let held = PortForward::new(8080, "10.88.0.99").link(&bridge).create(&host.netns).unwrap();
        let refused = unchanged(&[&host.netns, &blue], || host.call("ADD", "blue", &config));
        refused.refused(100, &["8080"]);
        drop(held);
        let other = json!({ "hostPort": 8080, "containerPort": 81 });
        let twice = published(&host, &json!([web()[0], other]));
        host.call("ADD", "blue", &twice).refused(100, &["8080"]);
        let by_args = json!({ "cni": { "portMappings": web() } });
        let by_args = with(&with(&config, "runtimeConfig", json!({})), "args", by_args);
        let result = host.add("blue", &by_args);
        host.check("blue", &config, &result).result();
        host.del("blue", &by_args);
        // The host may have an address on the bridge that the plugin did not add.
        let no_gateway = with(&config, "isDefaultGateway", false);
        let result = host.add("blue", &no_gateway);
        host.check("blue", &no_gateway, &result).result();
        host.del("blue", &no_gateway);
    });
}

/// Any program may delete the rules of published ports. CHECK notices that.
#[test]
fn check_notices_withdrawn_ports() {
    support::isolated(|| {
        let host = Host::new();
        let config = published(&host, &web());
        let _red = container("red");
        let result = host.add("red", &config);
        let off = Setting::route_localnet("cni0").to(false).create(&host.netns).unwrap();
        let said =
            &["published port 0.0.0.0:8080", "not in force", "route_localnet of `cni0` is off"];
        host.check("red", &config, &result).refused(102, said);
        drop(off);
        host.check("red", &config, &result).result();
        host.del("red", &config);
        for chain in ["ports", "prerouting", "output", "postrouting", "loopback"] {
            let result = host.add("red", &config);
            host.check("red", &config, &result).result();
            if !kernel::by_hand(&host.netns, &format!("nft flush chain ip netloom-ports {chain}")) {
                return host.del("red", &config);
            }
            let said = &["published port 0.0.0.0:8080", "not in force", "a rule"];
            host.check("red", &config, &result).refused(102, said);
            host.del("red", &config);
        }
    });
}

/// The reference plugin skips it too: another network of the container may have such an address.
#[test]
fn a_mapping_of_another_family_is_skipped() {
    support::isolated(|| {
        let host = Host::new();
        let _red = container("red");
        let publishes = |config: &Value, mapping: Value| {
            with(config, "runtimeConfig", json!({ "portMappings": [mapping] }))
        };
        let v6 = json!({ "hostPort": 8080, "containerPort": 80, "hostIP": "2001:db8::2" });
        let mut frames = host.config();
        frames.as_object_mut().unwrap().remove("ipam");
        for config in [publishes(&host.config(), v6.clone()), publishes(&frames, web()[0].clone())]
        {
            let result = host.add("red", &config);
            assert!(host.netns.port_forwards().unwrap().is_empty());
            host.check("red", &config, &result).result();
            host.del("red", &config);
        }
        // A mapping without a host address needs a container address of one family only.
        host.add("red", &publishes(&host.config(), web()[0].clone()));
        host.del("red", &publishes(&host.config(), web()[0].clone()));
    });
}

#[test]
fn check_and_gc_know_published_ports() {
    support::isolated(|| {
        let host = Host::new();
        let config = published(&host, &web());
        let _red = container("red");
        let result = host.add("red", &config);
        let tables = host.netns.nft_ruleset().unwrap();
        let tag = tables.iter().flat_map(|table| &table.sets).flat_map(|set| &set.elements);
        let mut tags = tag.filter_map(|element| element.comment_of());
        let tag = tags.find(|tag| tag.starts_with("netloom-cni.")).unwrap().to_owned();
        let mut ports = host.netns.port_forwards_with_tag(&tag).unwrap();
        assert_eq!(ports.len(), 2, "of both families");
        if kernel::by_hand(&host.netns, "nft flush map ip netloom-ports any") {
            assert!(!ports[0].is_in_force().unwrap() && ports[1].is_in_force().unwrap());
            host.check("red", &config, &result).refused(102, &["published port 0.0.0.0:8080"]);
        }
        Owned::adopt(ports.remove(1)).delete().unwrap();
        host.check("red", &config, &result).refused(102, &["published port", "8080"]);
        // DEL withdraws the ports even if the record is lost.
        fs::remove_file(host.state("net1").join("red@eth0")).unwrap();
        host.call("GC", "", &with(&config, "cni.dev/valid-attachments", json!([]))).result();
        assert!(host.netns.link(&port(&result)).is_err());
        assert!(host.netns.port_forwards_with_tag(&tag).unwrap().is_empty());
        assert!(!host.remembered("net1").iter().any(|name| name.contains('@')));
        host.add("red", &config);
        host.del("red", &config);
    });
}

#[test]
fn twenty_adds_at_once_publish_their_ports() {
    support::isolated(|| {
        let host = Host::new();
        let world = host.world();
        let names: Vec<String> = (0..20).map(|number| format!("c{number}")).collect();
        let containers: Vec<_> = names.iter().map(|name| container(name)).collect();
        let config = |number: usize| {
            let port = json!([{ "hostPort": 9000 + number, "containerPort": 80 }]);
            published(&host, &port).to_string()
        };
        let all = |command: &str| -> Vec<Value> {
            let started = names.iter().enumerate();
            let started = started.map(|(at, name)| host.start(command, name, &config(at)));
            let started: Vec<_> = started.collect();
            started.into_iter().map(|child| answer(child).result()).collect()
        };
        let results = all("ADD");
        for (at, result) in results.iter().enumerate() {
            let server = format!("{}:80", super::plugin::address(result));
            let server = Server::start(&containers[at], &server);
            assert!(answers(&world, &format!("198.51.100.2:{}", 9000 + at)).is_some());
            drop(server);
        }
        // Half of the containers leave while others arrive under the same names and host ports.
        let odd = |at: &usize| at % 2 == 1;
        let going: Vec<_> = (0..20).filter(odd).collect();
        let new: Vec<String> = going.iter().map(|at| format!("d{at}")).collect();
        let more: Vec<_> = new.iter().map(|name| container(name)).collect();
        let port = |at: usize| {
            published(&host, &json!([{ "hostPort": 9100 + at, "containerPort": 80 }])).to_string()
        };
        let started = going.iter().zip(&new).flat_map(|(at, name)| {
            [host.start("DEL", &names[*at], &config(*at)), host.start("ADD", name, &port(*at))]
        });
        let started: Vec<_> = started.collect();
        let said: Vec<_> = started.into_iter().map(|child| answer(child).result()).collect();
        for ((at, netns), result) in going.iter().zip(&more).zip(said.iter().skip(1).step_by(2)) {
            let server = format!("{}:80", super::plugin::address(result));
            let server = Server::start(netns, &server);
            assert!(answers(&world, &format!("198.51.100.2:{}", 9100 + at)).is_some());
            drop(server);
        }
        for at in (0..20).filter(|at| !odd(at)) {
            host.check(&names[at], &serde_json::from_str(&config(at)).unwrap(), &results[at])
                .result();
        }
        all("DEL");
        for (at, name) in going.iter().zip(&new) {
            host.del(name, &serde_json::from_str(&port(*at)).unwrap());
        }
        let left = support::kernel::tables(&host.netns);
        assert!(left.iter().all(|table| !table.contains("netloom-ports")), "{left:?}");
    });
}
