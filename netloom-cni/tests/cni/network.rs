//! A container's connectivity, tested with packets, and the effect of each field of the
//! configuration.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use netloom::nft::TableHandle;
use netloom::{Address, Bridge, BridgeVlan, LinkFlags, Netns};
use serde_json::json;

use super::plugin::{Host, address, container, port, with};
use super::support::{self, does_not_reach, json as listed, reaches, unchanged};
use super::traffic::{Server, tcp};

const PATIENCE: Duration = Duration::from_secs(5);

fn seen_by(server: &str, from: &Netns) -> SocketAddr {
    tcp(from, server, PATIENCE).unwrap()
}

#[test]
fn containers_reach_each_other_the_host_and_by_its_address_the_world() {
    support::isolated(|| {
        let host = Host::new();
        let world = host.world();
        let config = with(&host.config(), "ipam", host.ipam(&["10.88.0.0/24", "fd88::/64"]));
        let (red, blue) = (container("red"), container("blue"));
        for name in ["red", "blue"] {
            host.add(name, &config);
        }
        for to in ["10.88.0.1", "10.88.0.3", "fd88::1", "fd88::3", "198.51.100.1", "2001:db8::1"] {
            reaches(&red, to);
        }
        for address in ["198.51.100.1:80", "[2001:db8::1]:80"] {
            let server = Server::start(&world, address);
            let seen = seen_by(address, &red).ip().to_string();
            assert!(seen == "198.51.100.2" || seen == "2001:db8::2", "{seen}");
            drop(server);
        }
        // Packets between two containers are not masqueraded.
        let server = Server::start(&blue, "10.88.0.3:80");
        assert_eq!(seen_by("10.88.0.3:80", &red).ip().to_string(), "10.88.0.2");
        drop(server);
        // The host forwards, but must not take routes from a container's router advertisements.
        assert_eq!(host.netns.sysctl("net/ipv6/conf/cni0/accept_ra").unwrap(), "0");
        if let Some(links) = listed(&host.netns, "ip", "address show dev cni0") {
            let addresses = links[0]["addr_info"].as_array().unwrap();
            let has = |wanted: &str| addresses.iter().any(|one| one["local"] == wanted);
            assert!(has("10.88.0.1") && has("fd88::1"), "{addresses:?}");
        }
        host.del("red", &config);
        assert!(red.link("eth0").is_err());
        reaches(&blue, "198.51.100.1");
    });
}

#[test]
fn without_a_gateway_the_host_has_no_address_and_without_masquerade_the_world_sees_containers() {
    support::isolated(|| {
        let host = Host::new();
        let world = host.world();
        let mut config = host.config();
        config["isDefaultGateway"] = json!(false);
        config["ipMasq"] = json!(false);
        let (red, _blue) = (container("red"), container("blue"));
        host.add("red", &config);
        host.add("blue", &config);
        reaches(&red, "10.88.0.3");
        does_not_reach(&red, "10.88.0.1");
        assert_eq!(host.netns.sysctl("net.ipv4.ip_forward").unwrap(), "0");
        assert!(support::kernel::tables(&host.netns).is_empty());
        host.del("red", &config);

        config["isDefaultGateway"] = json!(true);
        host.add("red", &config);
        netloom::Route::new("10.88.0.0/24").via("198.51.100.2").create(&world).unwrap().keep();
        let server = Server::start(&world, "198.51.100.1:80");
        let own = red.link("eth0").unwrap().addresses().unwrap()[0].prefix.addr();
        assert_eq!(seen_by("198.51.100.1:80", &red).ip(), own);
        drop(server);
    });
}

#[test]
fn mtu_mac_and_the_modes_of_the_port_are_as_configured() {
    support::isolated(|| {
        let host = Host::new();
        // The port's own isolation is used only if bridges do not call the IP rules.
        super::frames::bridges_call_rules(&host, false);
        let red = container("red");
        let mut config = host.config();
        config["mtu"] = json!(1400);
        config["hairpinMode"] = json!(true);
        config["portIsolation"] = json!(true);
        config["mac"] = json!("02:00:00:00:00:01");
        config["args"] = json!({ "cni": { "mac": "02:00:00:00:00:02" } });
        config["runtimeConfig"] = json!({ "mac": "02:00:00:00:00:03" });
        let result = host.add("red", &config);
        let near = host.netns.link(&port(&result)).unwrap();
        let [eth0, near_info] = [red.link("eth0").unwrap().info(), near.info()].map(Result::unwrap);
        assert_eq!((eth0.mtu, near_info.mtu), (1400, 1400));
        assert_eq!(host.netns.link("cni0").unwrap().info().unwrap().mtu, 1400);
        assert_eq!(eth0.mac.unwrap().to_string(), "02:00:00:00:00:03");
        let state = near.port().unwrap().unwrap();
        assert!(state.hairpin && state.isolated);
        host.check("red", &config, &result).result();
        near.set_hairpin(false).unwrap();
        host.check("red", &config, &result).refused(102, &["hairpin mode", &near.name(), "off"]);
        host.del("red", &config);
        config["runtimeConfig"] = json!({});
        let result = host.add("red", &config);
        assert_eq!(result["interfaces"][2]["mac"], "02:00:00:00:00:02");
        host.del("red", &config);
        // If the configuration names no MTU, a bridge that exists keeps its own.
        config["mtu"] = json!(0);
        config["hairpinMode"] = json!(false);
        config["promiscMode"] = json!(true);
        host.add("red", &config);
        assert_eq!(red.link("eth0").unwrap().info().unwrap().mtu, 1400);
        let bridge = host.netns.link("cni0").unwrap().info().unwrap();
        assert!(bridge.flags.contains(LinkFlags::PROMISC));
        host.del("red", &config);
    });
}

#[test]
fn a_bridge_keeps_its_address_unless_another_one_is_forced() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        host.add("red", &host.config());
        host.del("red", &host.config());
        let other = with(&host.config(), "ipam", host.ipam(&["10.99.0.0/24"]));
        let refused = unchanged(&[&host.netns, &red], || host.call("ADD", "red", &other));
        refused.refused(7, &["`cni0` has the address 10.88.0.1/24 already", "10.99.0.1/24"]);
        let forced = with(&other, "forceAddress", true);
        // If a later step fails (here: a gateway that cannot be reached), the replaced address is
        // restored.
        let mut failing = forced.clone();
        failing["ipam"]["routes"] = json!([{"dst": "10.55.0.0/16", "gw": "192.0.2.1"}]);
        assert!(!host.call("ADD", "red", &failing).succeeded);
        assert_eq!(gateways(&host), ["10.88.0.1/24"]);
        host.add("red", &forced);
        reaches(&red, "10.99.0.1");
        assert_eq!(gateways(&host), ["10.99.0.1/24"]);
    });
}

/// Returns the bridge's IPv4 addresses.
fn gateways(host: &Host) -> Vec<String> {
    let addresses = host.netns.link("cni0").unwrap().addresses().unwrap();
    let addresses = addresses.iter().map(|info| info.prefix.to_string());
    addresses.filter(|address| address.starts_with("10.")).collect()
}

#[test]
fn a_container_interface_may_stay_down() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        let mut config = host.config();
        config.as_object_mut().unwrap().remove("ipam");
        config["isDefaultGateway"] = json!(false);
        config["disableContainerInterface"] = json!(true);
        let result = host.add("red", &config);
        assert!(result["ips"].is_null());
        let eth0 = red.link("eth0").unwrap();
        assert!(!eth0.info().unwrap().is_up());
        host.check("red", &config, &result).result();
        host.del("red", &config);
        // Without `ipam`: the interface is up and has only the kernel's own addresses.
        config["disableContainerInterface"] = json!(false);
        let result = host.add("red", &config);
        assert!(red.link("eth0").unwrap().info().unwrap().is_up());
        host.check("red", &config, &result).result();
        host.del("red", &config);
        assert!(host.remembered("net1").is_empty());
    });
}

/// The host forwards, and the world has a route to the containers, but isolated networks stay
/// separate.
#[test]
fn isolated_networks_are_separate_from_each_other() {
    support::isolated(|| {
        let host = Host::new();
        let world = host.world();
        let network = |number: u32, policy: &str| {
            let mut config = host.config();
            config["name"] = json!(format!("net{number}"));
            config["bridge"] = json!(format!("br{number}"));
            config["ipam"] = host.ipam(&[&format!("10.88.{number}.0/24")]);
            config["ingressPolicy"] = json!(policy);
            config
        };
        let [one, two] = [1, 2].map(|number| network(number, "same-bridge"));
        let [three, four] = [network(3, "open"), network(4, "isolated")];
        let names =
            [("a", &one), ("b", &one), ("c", &two), ("d", &three), ("e", &four), ("f", &four)];
        let containers = names.map(|(name, config)| (container(name), host.add(name, config)));
        let netns = |name: &str| &containers[usize::from(name.as_bytes()[0] - b'a')].0;
        let result = |name: &str| &containers[usize::from(name.as_bytes()[0] - b'a')].1;
        reaches(netns("a"), &address(result("b")));
        for (from, to) in [("a", "c"), ("c", "a"), ("a", "e"), ("e", "f")] {
            does_not_reach(netns(from), address(result(to)));
        }
        // A network with the policy `open` can connect to and from every other network.
        reaches(netns("a"), &address(result("d")));
        reaches(netns("d"), &address(result("a")));
        for (container, _) in &containers {
            reaches(container, "198.51.100.1");
        }
        host.check("a", &one, result("a")).result();
        host.check("e", &four, result("e")).result();
        netloom::Route::new("10.88.1.0/24").via("198.51.100.2").create(&world).unwrap().keep();
        reaches(&world, &address(result("a")));
        host.del("c", &two);
        host.check("a", &one, result("a")).result();
        does_not_reach(netns("a"), address(result("e")));
    });
}

fn host_table(host: &Host) -> TableHandle {
    host.netns.nft_tables_with_tag("netloom-cni").unwrap().remove(0)
}

/// Isolation depends on the link of a packet, not on its source address.
#[test]
fn isolation_covers_addresses_that_were_not_assigned() {
    support::isolated(|| {
        let host = Host::new();
        let network = |number: u32, policy: &str| {
            let mut config = host.config();
            config["name"] = json!(format!("net{number}"));
            config["bridge"] = json!(format!("br{number}"));
            let (v4, v6) = (format!("10.88.{number}.0/24"), format!("fd88:{number}::/64"));
            config["ipam"] = host.ipam(&[&v4, &v6]);
            config["ingressPolicy"] = json!(policy);
            config
        };
        let (mut one, two) = (network(1, "same-bridge"), network(2, "isolated"));
        let (red, blue) = (container("red"), container("blue"));
        host.add("red", &one);
        host.add("blue", &two);
        let pairs = [("10.88.2.77/24", "10.88.1.2"), ("fd88:2::77/64", "fd88:1::2")];
        let more = pairs.map(|(more, _)| more);
        let more = more.map(|more| Address::new(more).create(&blue.link("eth0").unwrap()).unwrap());
        for (own, to) in pairs {
            let own: IpNet = own.parse().unwrap();
            let gateway = if own.addr().is_ipv4() { "10.88.2.1" } else { "fd88:2::1" };
            let length = if own.addr().is_ipv4() { 32 } else { 128 };
            let host_of = IpNet::new(to.parse().unwrap(), length).unwrap();
            let route = netloom::Route::new(host_of).via(gateway).source(own.addr());
            let route = route.create(&blue).unwrap();
            does_not_reach(&blue, to);
            drop(route);
        }
        // Isolation also covers addresses that a container adds by itself.
        let hidden = Address::new("10.88.1.77/24").create(&red.link("eth0").unwrap()).unwrap();
        reaches(&host.netns, "10.88.1.77");
        does_not_reach(&blue, "10.88.1.77");
        drop((more, hidden));
        // A bridge has one policy: that of the latest ADD.
        let green = container("green");
        one["ingressPolicy"] = json!("isolated");
        let result = host.add("green", &one);
        host.check("green", &one, &result).result();
        one["ingressPolicy"] = json!("same-bridge");
        host.check("green", &one, &result).refused(102, &["isolation of port"]);
        let failing = with(&one, "runtimeConfig", json!({ "ips": ["10.88.1.2"] }));
        let _pink = container("pink");
        unchanged(&[&host.netns], || assert!(!host.call("ADD", "pink", &failing).succeeded));
        host.del("green", &one);
        host.add("green", &one);
        reaches(&green, "10.88.1.2");
        one["ingressPolicy"] = json!("isolated");
        host.del("green", &one);
        let result = host.add("green", &one);
        let set = host_table(&host).set("pairs").unwrap();
        let index = host.netns.link("br1").unwrap().index().get();
        set.add([(index, index)]).unwrap();
        let said = &["ingressPolicy: `br1` is in `inet netloom-cni pairs`"];
        host.check("green", &one, &result).refused(102, said);
        one["ingressPolicy"] = json!("same-bridge");
        // A later step fails (here: a gateway that cannot be reached), so the policy is restored.
        let mut failing = with(&one, "ingressPolicy", "isolated");
        failing["ipam"]["routes"] = json!([{"dst": "10.55.0.0/16", "gw": "192.0.2.1"}]);
        unchanged(&[&host.netns], || assert!(!host.call("ADD", "pink", &failing).succeeded));
        failing["ingressPolicy"] = json!("same-bridge");
        failing["bridge"] = json!("br3");
        failing["ipam"]["ranges"] = json!([[{ "subnet": "10.88.3.0/24" }]]);
        unchanged(&[&host.netns], || assert!(!host.call("ADD", "pink", &failing).succeeded));
    });
}

/// An address moves to another hardware address: neighbours that used the old one are notified.
#[test]
fn neighbours_are_notified_when_an_address_moves() {
    support::isolated(|| {
        let host = Host::new();
        let config = with(&host.config(), "runtimeConfig", json!({ "ips": ["10.88.0.50"] }));
        let blue = container("blue");
        host.add("blue", &host.config());
        for number in 0..3 {
            let name = format!("red{number}");
            let _red = container(&name);
            host.add(&name, &config);
            // All neighbours that knew the old hardware address use the new one at once.
            reaches(&blue, "10.88.0.50");
            reaches(&host.netns, "10.88.0.50");
            host.del(&name, &config);
        }
    });
}

#[test]
fn a_vlan_is_separate_if_the_kernel_filters() {
    support::isolated(|| {
        let host = Host::new();
        let config = with(&host.config(), "vlan", 100);
        let red = container("red");
        let answer = host.call("ADD", "red", &config);
        if !answer.succeeded {
            let message = answer.said["msg"].as_str().unwrap().to_owned();
            assert_eq!(answer.said["code"], 100, "{message}");
            support::features::unsupported("bridge-vlan-filtering", &message);
            assert!(red.link("eth0").is_err() && host.netns.link("cni0").is_err());
            assert!(host.remembered("net1").is_empty());
            return;
        }
        let result = answer.result();
        let (blue, green) = (container("blue"), container("green"));
        host.add("blue", &config);
        let plain = with(&host.config(), "isDefaultGateway", false);
        host.add("green", &plain);
        reaches(&red, "10.88.0.3");
        reaches(&red, "10.88.0.1");
        does_not_reach(&green, "10.88.0.3");
        assert!(host.netns.link("cni0.100").is_ok());
        host.check("red", &config, &result).result();
        host.del("red", &config);
        reaches(&blue, "10.88.0.1");
    });
}

/// Uses a bridge that another program created. ADD turns VLAN filtering on if a VLAN is requested,
/// and turns it off again if that ADD fails.
#[test]
fn an_existing_bridge_filters_once_a_vlan_is_requested() {
    support::isolated(|| {
        let host = Host::new();
        let bridge = Bridge::new("cni0").up().create(&host.netns).unwrap();
        let filters = || bridge.bridge_info().unwrap().unwrap().vlan_filtering;
        let mut config = with(&host.config(), "vlan", 100);
        config["vlanTrunk"] = json!([{ "minID": 200, "maxID": 299 }, { "id": 7 }]);
        config["preserveDefaultVlan"] = json!(false);
        let (red, blue, green) = (container("red"), container("blue"), container("green"));
        let mut failing = config.clone();
        failing["ipam"]["routes"] = json!([{ "dst": "10.55.0.0/16", "gw": "192.0.2.1" }]);
        let refused = unchanged(&[&host.netns, &red], || host.call("ADD", "red", &failing));
        assert!(!filters());
        let message = refused.said["msg"].as_str().unwrap().to_owned();
        assert!(!refused.succeeded && refused.said["code"] == 100, "{message}");
        if message.contains("CONFIG_BRIDGE_VLAN_FILTERING") {
            assert!(message.contains("set VLAN filtering of `cni0`"), "{message}");
            support::features::unsupported("bridge-vlan-filtering", &message);
            return;
        }
        assert!(message.contains("192.0.2.1"), "{message}");

        let plain = with(&host.config(), "isDefaultGateway", false);
        host.add("green", &plain);
        let result = host.add("red", &config);
        assert!(filters());
        reaches(&red, &address(&host.add("blue", &config)));
        reaches(&red, "10.88.0.1");
        for other in [&red, &blue] {
            let own = other.link("eth0").unwrap().addresses().unwrap()[0].prefix.addr();
            does_not_reach(&green, own.to_string());
        }
        let port = host.netns.link(&port(&result)).unwrap();
        let listed: Vec<_> = port.vlans().unwrap().iter().map(ToString::to_string).collect();
        let trunk = (200..=299).map(|id: u16| id.to_string());
        let wanted = ["7".to_owned(), "100 PVID Egress Untagged".into()].into_iter().chain(trunk);
        assert_eq!(listed, wanted.collect::<Vec<_>>());

        let refused = |words: &str| host.check("red", &config, &result).refused(102, &[words]);
        host.check("red", &config, &result).result();
        bridge.set_vlan_filtering(false).unwrap();
        refused("bridge `cni0` does not filter by VLAN");
        bridge.set_vlan_filtering(true).unwrap();
        for (id, words) in [(100, "VLAN 100 (untagged, pvid)"), (250, "VLAN 250 (tagged)")] {
            let vlan = BridgeVlan::new(id);
            port.leave_vlan(id).unwrap();
            refused(words);
            let vlan = if id == 100 { vlan.pvid().untagged() } else { vlan };
            vlan.create(&port).unwrap().keep();
        }
        let default = BridgeVlan::new(1).create(&port).unwrap();
        refused("VLAN 1, the bridge's default");
        default.delete().unwrap();
        let gateway = host.netns.link("cni0-100").unwrap();
        gateway.leave_vlan(100).unwrap();
        refused("port `cni0-100` is not in VLAN 100");
        BridgeVlan::new(100).pvid().untagged().create(&gateway).unwrap().keep();
        host.check("red", &config, &result).result();
        for (name, config) in [("red", &config), ("blue", &config), ("green", &plain)] {
            host.del(name, config);
        }
        // Filtering stays on: other containers may be in the VLAN by now.
        assert!(filters());
    });
}
