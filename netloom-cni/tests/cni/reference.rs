//! Configurations and environments that the reference plugins accept.

use std::process::Command;
use std::time::Duration;

use netloom::{Netns, Route, RouteInfo, Sysctl, VethEnd, VethPair};
use serde_json::{Value, json};

use super::plugin::{Host, address, answer, container, has_ipv6, program, with};
use super::support::{self, reaches};
use super::traffic::{Server, tcp};

const PATIENCE: Duration = Duration::from_secs(2);

fn dual(host: &Host) -> Value {
    with(&host.config(), "ipam", host.ipam(&["10.88.0.0/24", "fd88::/64"]))
}

/// Returns a second network with its own bridge.
fn second(host: &Host) -> Value {
    let config = with(&with(&host.config(), "name", "net2"), "bridge", "cni1");
    with(&config, "ipam", host.ipam(&["10.89.0.0/24", "fd89::/64"]))
}

/// Returns the variables of a call for the container `red` with this interface name.
fn by(ifname: &'static str, command: &'static str) -> [(&'static str, &'static str); 4] {
    let (id, netns) = (("CNI_CONTAINERID", "red"), ("CNI_NETNS", "/run/netns/red"));
    [("CNI_COMMAND", command), id, netns, ("CNI_IFNAME", ifname)]
}

/// Returns the gateways of the routes to a destination, the preferred one first.
fn gateways(netns: &Netns, destination: &str) -> Vec<String> {
    let is_it = |route: &RouteInfo| route.destination.to_string() == destination;
    let routes = netns.routes().unwrap().into_iter().filter(is_it);
    let hops = routes.flat_map(|route| route.next_hops);
    hops.filter_map(|hop| hop.gateway).map(|gateway| gateway.to_string()).collect()
}

#[test]
fn routes_go_beside_those_that_a_container_has() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        let end = VethEnd::new("net0").address("192.0.2.2/24").address("2001:db8:1::2/64").up();
        let other = VethPair::new(end, "net1").create(&red).unwrap();
        red.link("net1").unwrap().set_up().unwrap();
        let _own = ["192.0.2.1", "2001:db8:1::1"]
            .map(|gateway| Route::default_via(gateway).create(&red).unwrap());
        let mut config = dual(&host);
        let to = "198.18.0.0/15";
        config["ipam"]["routes"] = json!([
            { "dst": to, "gw": "10.88.0.7" },
            { "dst": to, "gw": "10.88.0.8" },
            { "dst": "2001:db8:2::/48", "gw": "fd88::7" },
            { "dst": "2001:db8:2::/48", "gw": "fd88::8" },
            // The kernel's own routes for the addresses exist twice.
            { "dst": "10.88.0.0/24", "scope": 253 },
            { "dst": "fd88::/64" },
        ]);
        let result = host.add("red", &config);
        assert_eq!(gateways(&red, "0.0.0.0/0"), ["10.88.0.1", "192.0.2.1"]);
        let default6 = gateways(&red, "::/0");
        assert!(default6.contains(&"fd88::1".into()) && default6.contains(&"2001:db8:1::1".into()));
        assert_eq!(gateways(&red, to), ["10.88.0.8", "10.88.0.7"]);
        assert_eq!(gateways(&red, "2001:db8:2::/48").len(), 2);
        reaches(&red, "10.88.0.1");
        host.check("red", &config, &result).result();
        host.call_with(&by("eth1", "ADD"), &second(&host).to_string()).result();
        assert_eq!(gateways(&red, "0.0.0.0/0"), ["10.89.0.1", "10.88.0.1", "192.0.2.1"]);
        host.call_with(&by("eth1", "DEL"), &second(&host).to_string()).result();
        host.del("red", &config);
        assert_eq!(gateways(&red, "0.0.0.0/0"), ["192.0.2.1"]);
        assert_eq!(gateways(&red, "::/0"), ["2001:db8:1::1"]);
        drop(other);
    });
}

/// The engine hands the same mappings to each network of a container.
#[test]
fn a_port_of_two_networks_belongs_to_the_first_and_then_to_the_second() {
    support::isolated(|| {
        let host = Host::new();
        let (red, _blue) = (container("red"), container("blue"));
        let ports = json!({ "portMappings": [
            { "hostPort": 8080, "containerPort": 80 },
            // The list has the port twice, because `0.0.0.0` and no address mean the same.
            { "hostPort": 8080, "containerPort": 80, "hostIP": "0.0.0.0" },
            { "hostPort": 53, "containerPort": 53, "protocol": "UDP" },
        ]});
        let first = with(&host.config(), "runtimeConfig", ports.clone());
        let other = with(&second(&host), "runtimeConfig", ports.clone());
        host.add("red", &first);
        let result = host.call_with(&by("eth1", "ADD"), &other.to_string()).result();
        let text = |config: &Value| with(config, "prevResult", result.clone()).to_string();
        host.call_with(&by("eth1", "CHECK"), &text(&other)).result();
        let target = |port: u16| -> Vec<String> {
            let ports = host.netns.port_forwards().unwrap();
            let ports = ports.iter().filter(|one| one.host_ports().first() == port);
            ports.map(|one| one.target().to_string()).collect()
        };
        assert_eq!(target(8080), ["10.88.0.2", "fd89::2"]);
        // A request of another container is a conflict, and changes nothing.
        host.call("ADD", "blue", &other).refused(100, &["8080", "has the port"]);
        let server = Server::start(&red, "0.0.0.0:80");
        assert!(tcp(&host.netns, "127.0.0.1:8080", PATIENCE).is_ok());
        host.del("red", &first);
        assert_eq!(target(8080), ["10.89.0.2", "fd89::2"]);
        assert_eq!(target(53), ["10.89.0.2", "fd89::2"]);
        assert!(tcp(&host.netns, "127.0.0.1:8080", PATIENCE).is_ok());
        host.call_with(&by("eth1", "CHECK"), &text(&other)).result();
        // The networks in the other order, and GC instead of DEL.
        host.add("red", &first);
        assert_eq!(target(8080), ["10.89.0.2", "fd89::2"]);
        let none = with(&other, "cni.dev/valid-attachments", json!([]));
        host.call("GC", "", &none).result();
        assert_eq!(target(8080), ["10.88.0.3"]);
        host.del("red", &first);
        assert!(host.netns.port_forwards().unwrap().is_empty());
        drop(server);
    });
}

#[test]
fn a_container_whose_ipv6_is_off_gets_requested_ipv6_addresses() {
    support::isolated(|| {
        if !has_ipv6() {
            return;
        }
        let host = Host::new();
        let red = container("red");
        for which in ["all", "default", "lo"] {
            let off = Sysctl::new(format!("net.ipv6.conf.{which}.disable_ipv6"), 1);
            off.create(&red).unwrap().keep();
        }
        let off = |which: &str| red.sysctl(&format!("net.ipv6.conf.{which}.disable_ipv6")).unwrap();
        // Without a requested IPv6 address, IPv6 stays off.
        host.add("red", &host.config());
        assert_eq!((off("eth0"), off("lo")), ("1".into(), "1".into()));
        host.del("red", &host.config());
        // A failed ADD leaves IPv6 off.
        let mut failing = dual(&host);
        failing["ipam"]["routes"] = json!([{ "dst": "192.0.2.0/24", "gw": "203.0.113.1" }]);
        host.call("ADD", "red", &failing).refused(100, &["203.0.113.1"]);
        assert_eq!((off("default"), off("lo")), ("1".into(), "1".into()));
        let result = host.add("red", &dual(&host));
        reaches(&red, "fd88::1");
        assert_eq!((off("eth0"), off("lo"), off("default")), ("0".into(), "0".into(), "1".into()));
        host.check("red", &dual(&host), &result).result();
        host.del("red", &dual(&host));
    });
}

#[test]
fn an_address_has_a_broadcast_address_and_survives_its_interface_down() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        let result = host.add("red", &dual(&host));
        let eth0 = red.link("eth0").unwrap();
        let has = || -> Vec<_> {
            let all = eth0.addresses().unwrap();
            all.into_iter().map(|info| (info.prefix.to_string(), info.broadcast)).collect()
        };
        let v4 = ("10.88.0.2/24".into(), Some("10.88.0.255".parse().unwrap()));
        let v6 = ("fd88::2/64".into(), None);
        assert!(has().contains(&v4) && has().contains(&v6), "{:?}", has());
        eth0.set_down().unwrap();
        eth0.set_up().unwrap();
        assert!(has().contains(&v4) && has().contains(&v6), "{:?}", has());
        host.del("red", &with(&dual(&host), "prevResult", result));
    });
}

/// Simulates a container that may configure the network, but not change sysctls.
#[test]
fn a_read_only_proc_sys_suffices_if_forwarding_is_on() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        let call = |command: &str| {
            let mut unshare = Command::new("unshare");
            unshare.args(["-m", "--propagation", "private", "/bin/sh", "-c"]);
            unshare.arg("mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec \"$0\"");
            unshare.arg(program());
            answer(host.start_by(unshare, command, "red", &dual(&host).to_string()))
        };
        call("ADD").refused(100, &["Read-only file system"]);
        call("DEL").result();
        for name in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
            Sysctl::new(name, 1).create(&host.netns).unwrap().keep();
        }
        call("ADD").result();
        reaches(&red, "10.88.0.1");
        reaches(&red, "fd88::1");
        call("DEL").result();
    });
}

#[test]
fn variables_as_libcni_reads_them() {
    support::isolated(|| {
        let host = Host::new();
        let _red = container("red");
        let call = |arguments: &'static str, config: &Value| {
            let mut variables = by("eth0", "ADD").to_vec();
            variables.push(("CNI_ARGS", arguments));
            host.call_with(&variables, &config.to_string())
        };
        // CNI_PATH may be missing if nothing is delegated.
        for ignore in ["TRUE", "True", "true", "1"] {
            let arguments = format!("IgnoreUnknown={ignore};K8S_POD_NAME=web").leak();
            call(arguments, &host.config()).result();
            host.call_with(&by("eth0", "DEL"), &host.config().to_string()).result();
        }
        for ignore in ["FALSE", "0"] {
            let arguments = format!("IgnoreUnknown={ignore};K8S_POD_NAME=web").leak();
            call(arguments, &host.config()).refused(4, &["K8S_POD_NAME"]);
        }
        call("IgnoreUnknown=yes", &host.config()).refused(4, &["IgnoreUnknown `yes`"]);
        // `args` takes precedence.
        let asked = with(&host.config(), "args", json!({ "cni": { "ips": ["10.88.0.78"] } }));
        assert_eq!(address(&call("IP=10.88.0.79", &asked).result()), "10.88.0.78");
        host.call_with(&by("eth0", "DEL"), &host.config().to_string()).result();
        let none = with(&host.config(), "args", json!({ "cni": { "ips": [] } }));
        assert_eq!(address(&call("IP=10.88.0.79", &none).result()), "10.88.0.79");
        host.call_with(&by("eth0", "DEL"), &host.config().to_string()).result();
        let valid = with(&host.config(), "cni.dev/valid-attachments", json!([]));
        for (command, config) in [("GC", &valid), ("STATUS", &host.config())] {
            host.call_with(&[("CNI_COMMAND", command)], &config.to_string()).result();
        }
        let mut delegated = host.config();
        delegated["ipam"]["type"] = json!("host-local");
        call("", &delegated).refused(4, &["ADD needs CNI_PATH"]);
        host.call_with(&by("eth0", "DEL"), &delegated.to_string()).result();
    });
}

#[test]
fn the_versions_before_lists_of_interfaces() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        for version in ["0.1.0", "0.2.0"] {
            let mut config = with(&dual(&host), "cniVersion", version);
            let delegates = std::path::Path::new("/usr/lib/cni/host-local").exists();
            let kinds = if delegates { &["netloom", "host-local"][..] } else { &["netloom"] };
            for kind in kinds {
                config["ipam"]["type"] = json!(kind);
                let result = host.add("red", &config);
                assert_eq!(result["cniVersion"], version);
                let ip4 = &result["ip4"];
                assert!(ip4["ip"].as_str().unwrap().starts_with("10.88.0."), "{result}");
                assert_eq!(ip4["gateway"], "10.88.0.1");
                assert_eq!(ip4["routes"], json!([{ "dst": "0.0.0.0/0", "gw": "10.88.0.1" }]));
                assert!(result["ip6"]["ip"].as_str().unwrap().starts_with("fd88::"), "{result}");
                assert_eq!(result["ip6"]["gateway"], "fd88::1");
                assert!(result["interfaces"].is_null() && result["ips"].is_null());
                reaches(&red, "10.88.0.1");
                host.del("red", &with(&config, "prevResult", result));
            }
        }
        // A configuration without a version is of the first one.
        let mut config = host.config();
        config.as_object_mut().unwrap().remove("cniVersion");
        assert!(host.add("red", &config)["ip4"]["ip"].is_string());
        host.del("red", &config);
        let config = with(&host.config(), "cniVersion", "0.3.0");
        let result = host.add("red", &config);
        assert_eq!(result["ips"][0]["version"], "4");
        host.del("red", &config);
    });
}

#[test]
fn limits_of_traffic_are_refused_by_name() {
    support::isolated(|| {
        let host = Host::new();
        let _red = container("red");
        let limited =
            |limits: Value| with(&host.config(), "runtimeConfig", json!({ "bandwidth": limits }));
        let rates = json!({ "ingressRate": 0, "egressRate": 1_000_000, "egressBurst": 8000 });
        let refused = host.call("ADD", "red", &limited(rates));
        refused.refused(2, &["runtimeConfig.bandwidth.egressRate: 1000000 is not supported"]);
        for none in [json!({}), json!({ "ingressRate": 0, "egressRate": 0 }), Value::Null] {
            host.add("red", &limited(none));
            host.del("red", &host.config());
        }
    });
}

#[test]
fn the_fields_of_portmap_are_taken() {
    support::isolated(|| {
        let host = Host::new();
        let world = host.world();
        let red = container("red");
        let ports = json!({ "portMappings": [{ "hostPort": 8080, "containerPort": 80 }] });
        let config = with(&host.config(), "runtimeConfig", ports);
        let client = |config: &Value| {
            let result = host.add("red", config);
            let server = Server::start(&red, "0.0.0.0:80");
            let client = tcp(&world, "198.51.100.2:8080", PATIENCE).unwrap().ip().to_string();
            drop(server);
            host.check("red", config, &result).result();
            host.del("red", config);
            client
        };
        let marked = with(&with(&config, "markMasqBit", 5), "snat", true);
        let empty = with(&with(&marked, "conditionsV4", json!([])), "conditionsV6", Value::Null);
        assert_eq!(client(&empty), "198.51.100.1");
        let chain = with(&config, "externalSetMarkChain", "KUBE-MARK-MASQ");
        assert_eq!(client(&chain), "198.51.100.1");
        // The container sees the gateway.
        assert_eq!(client(&with(&config, "masqAll", true)), "10.88.0.1");
        let both = with(&marked, "externalSetMarkChain", "KUBE-MARK-MASQ");
        host.call("ADD", "red", &both).refused(7, &["markMasqBit", "externalSetMarkChain"]);
        host.call("ADD", "red", &with(&config, "markMasqBit", 32)).refused(7, &["markMasqBit: 32"]);
        let conditions = json!(["!", "-d", "192.0.2.0/24"]);
        for name in ["conditionsV4", "conditionsV6"] {
            let refused = host.call("ADD", "red", &with(&config, name, conditions.clone()));
            refused.refused(2, &[name, "not supported"]);
        }
    });
}
