//! The life of attachments: repeated commands, crashes, many containers at once, CHECK and GC.

use std::fs;

use netloom::{Bridge, Owned, RouteInfo, Together, VethEnd, VethPair};
use serde_json::{Value, json};

use super::plugin::{Host, address, answer, container, port, with};
use super::support::{self, kernel, reaches, unchanged};

/// Counts the elements of containers in the plugin's table. The elements of networks are left out.
fn elements(host: &Host) -> usize {
    let tables = host.netns.nft_tables_with_tag("netloom-cni").unwrap();
    let sets = tables.iter().flat_map(|table| table.read().unwrap().sets);
    let elements = sets.flat_map(|set| set.elements);
    elements.filter(|element| element.comment_of().is_some()).count()
}

#[test]
fn del_may_be_repeated_and_deletes_only_its_own_attachment() {
    support::isolated(|| {
        let host = Host::new();
        let config = with(&host.config(), "ingressPolicy", "same-bridge");
        let (red, blue) = (container("red"), container("blue"));
        host.add("blue", &config);
        let one = elements(&host);
        unchanged(&[&host.netns, &blue, &red], || {
            let result = host.add("red", &config);
            assert_eq!(elements(&host), 2 * one);
            let described = with(&config, "prevResult", result);
            for _ in 0..3 {
                host.del("red", &described);
            }
            // DEL for a container that was never added.
            host.del("green", &config);
        });
        assert_eq!(elements(&host), one);
        assert_eq!(host.remembered("net1"), ["10.88.0.2", "blue@eth0", "last.0"]);
        reaches(&blue, "10.88.0.1");
        host.del("blue", &config);
        assert_eq!(elements(&host), 0);
    });
}

#[test]
fn del_succeeds_when_the_namespace_or_the_state_is_gone() {
    support::isolated(|| {
        let host = Host::new();
        let config = host.config();
        let clean = |host: &Host, result: &Value| {
            assert!(host.netns.link(&port(result)).is_err());
            assert_eq!(elements(host), 0);
            assert!(host.remembered("net1").iter().all(|one| one == "last.0"));
        };
        let red = container("red");
        let result = host.add("red", &config);
        drop(red);
        host.del("red", &config);
        clean(&host, &result);
        // A DEL with an empty CNI_NETNS, as a runtime sends it when the namespace is gone.
        let variables = [
            ("CNI_COMMAND", "DEL"),
            ("CNI_CONTAINERID", "red"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/usr/lib/cni"),
        ];
        host.call_with(&variables, &config.to_string()).result();
        // The record is lost, but the names can be computed.
        let _red = container("red");
        let result = host.add("red", &config);
        fs::remove_dir_all(host.state("net1")).unwrap();
        host.del("red", &config);
        clean(&host, &result);
        // Another program deleted the link and the table.
        let result = host.add("red", &config);
        Owned::adopt(host.netns.link(&port(&result)).unwrap()).delete().unwrap();
        for table in host.netns.nft_tables_with_tag("netloom-cni").unwrap() {
            Owned::adopt(table).delete().unwrap();
        }
        host.del("red", &config);
        clean(&host, &result);
    });
}

/// Simulates a reboot, or a container that ended without DEL: a record without its objects.
#[test]
fn an_add_replaces_a_stale_record() {
    support::isolated(|| {
        let host = Host::new();
        let mut config = host.config();
        config["dataDir"] = json!("/run/attachments");
        let publish =
            |port: u16| json!({ "portMappings": [{ "hostPort": port, "containerPort": 80 }] });
        let mut kinds = vec!["netloom"];
        if super::addresses::is_there("host-local") {
            kinds.push("host-local");
        }
        for kind in kinds {
            config["ipam"]["type"] = json!(kind);
            config["cniVersion"] = json!("1.0.0");
            let _red = container("red");
            let first = host.add("red", &with(&config, "runtimeConfig", publish(8080)));
            host.call("ADD", "red", &config).refused(4, &["`eth0` is already in"]);
            Owned::adopt(host.netns.link(&port(&first)).unwrap()).delete().unwrap();
            let second = host.add("red", &with(&config, "runtimeConfig", publish(8081)));
            assert_ne!(address(&first), address(&second), "{kind}");
            assert_eq!(elements(&host), 1);
            let ruleset = format!("{:?}", host.netns.nft_ruleset().unwrap());
            assert!(!ruleset.contains("8080") && ruleset.contains("8081"));
            host.del("red", &config);
            assert_eq!(elements(&host), 0);
        }
    });
}

/// A runtime that died before it read the result never sends a DEL.
#[test]
fn an_add_is_undone_if_its_result_cannot_be_printed() {
    support::isolated(|| {
        let host = Host::new();
        let config = host.config();
        let (_blue, red) = (container("blue"), container("red"));
        host.add("blue", &config);
        unchanged(&[&host.netns, &red], || {
            let mut child = host.start("ADD", "red", &config.to_string());
            drop(child.stdout.take());
            assert!(!child.wait().unwrap().success());
        });
        assert_eq!(elements(&host), 1);
        assert_eq!(host.remembered("net1"), ["10.88.0.2", "blue@eth0", "last.0"]);
    });
}

/// Container B gets A's address while A's DEL is pending.
#[test]
fn a_late_del_leaves_the_rules_of_the_next_container_with_the_address() {
    support::isolated(|| {
        let host = Host::new();
        let world = host.world();
        let mut config = with(&host.config(), "ingressPolicy", "same-bridge");
        config["runtimeConfig"] = json!({ "ips": ["10.88.0.50"] });
        let (_a, b) = (container("a"), container("b"));
        let first = host.add("a", &config);
        // The directory is gone: a reboot cleared a tmpfs, or an administrator deleted it.
        fs::remove_dir_all(host.state("net1")).unwrap();
        Owned::adopt(host.netns.link(&port(&first)).unwrap()).delete().unwrap();
        let second = host.add("b", &config);
        let before = elements(&host);
        host.del("a", &with(&config, "prevResult", first));
        assert_eq!(elements(&host), before);
        host.check("b", &config, &second).result();
        let server = super::traffic::Server::start(&world, "198.51.100.1:80");
        let patience = std::time::Duration::from_secs(5);
        let seen = super::traffic::tcp(&b, "198.51.100.1:80", patience).unwrap();
        assert_eq!(seen.ip().to_string(), "198.51.100.2");
        drop(server);
        host.del("b", &config);
        assert_eq!(elements(&host), 0);
    });
}

/// Container B does not masquerade, so it must not use A's rules.
#[test]
fn the_next_container_with_an_address_inherits_no_rules() {
    support::isolated(|| {
        let host = Host::new();
        let mut config = host.config();
        config["runtimeConfig"] = json!({ "ips": ["10.88.0.50"] });
        let (_a, _b) = (container("a"), container("b"));
        let first = host.add("a", &config);
        assert_eq!(elements(&host), 1);
        fs::remove_dir_all(host.state("net1")).unwrap();
        Owned::adopt(host.netns.link(&port(&first)).unwrap()).delete().unwrap();
        let open = with(&config, "ipMasq", false);
        let second = host.add("b", &open);
        assert_eq!(elements(&host), 0);
        host.del("a", &config);
        host.check("b", &open, &second).result();
        host.del("b", &open);
    });
}

#[test]
fn gc_deletes_exactly_the_attachments_that_are_not_listed() {
    support::isolated(|| {
        let host = Host::new();
        let config = host.config();
        let other = {
            let mut other = with(&config, "name", "net2");
            other["bridge"] = json!("br2");
            other["ipam"] = host.ipam(&["10.99.0.0/24"]);
            other
        };
        let names = ["a", "b", "c", "d"];
        let containers = names.map(container);
        let results = [("a", &config), ("b", &config), ("c", &config), ("d", &other)]
            .map(|(name, config)| host.add(name, config));
        // The record of one container is lost too.
        fs::remove_file(host.state("net1").join("b@eth0")).unwrap();
        let list = json!([{ "containerID": "a", "ifname": "eth0" }, { "containerID": "x", "ifname": "eth0" }]);
        let collect = with(&config, "cni.dev/valid-attachments", list);
        host.call("GC", "", &collect).result();
        assert_eq!(host.remembered("net1"), ["10.88.0.2", "a@eth0", "last.0"]);
        host.check("a", &config, &results[0]).result();
        host.check("d", &other, &results[3]).result();
        for gone in [&results[1], &results[2]] {
            assert!(host.netns.link(&port(gone)).is_err());
        }
        assert_eq!(elements(&host), 2);
        reaches(&containers[0], "10.88.0.1");
        // GC continues after a failure and reports it.
        let add = host.add("c", &config);
        let record = host.state("net1").join("0@eth0");
        fs::create_dir(&record).unwrap();
        host.call("GC", "", &with(&config, "cni.dev/valid-attachments", json!([])))
            .refused(5, &["0@eth0"]);
        assert!(host.netns.link(&port(&add)).is_err());
        fs::remove_dir(&record).unwrap();
        // The list is required, even if it is empty: without it, GC would delete every attachment.
        host.call("GC", "", &config).refused(7, &["cni.dev/valid-attachments", "missing"]);
        host.call("GC", "", &with(&config, "cni.dev/attachments", Value::Null)).result();
        assert_eq!(host.remembered("net1"), ["last.0"]);
        host.check("d", &other, &results[3]).result();
    });
}

/// DEL keeps the `ingressPolicy` of a bridge, because other containers may use the bridge.
#[test]
fn gc_deletes_a_policy_if_its_bridge_has_no_containers() {
    support::isolated(|| {
        let host = Host::new();
        let (_red, blue) = (container("red"), container("blue"));
        let policy = |config: &Value| with(config, "ingressPolicy", "same-bridge");
        let one = policy(&host.config());
        let two = policy(&with(&with(&one, "name", "net2"), "ipam", host.ipam(&["10.99.0.0/24"])));
        // A second network uses the same bridge.
        let two = with(&two, "isDefaultGateway", false);
        host.add("red", &one);
        let result = host.add("blue", &two);
        host.del("red", &one);
        let collect = |config: &Value| {
            host.call("GC", "", &with(config, "cni.dev/valid-attachments", json!([]))).result();
        };
        let in_sets = || {
            let table = host.netns.nft_tables_with_tag("netloom-cni").unwrap().remove(0);
            ["isolated", "pairs"].map(|set| table.set(set).unwrap().elements().unwrap().len())
        };
        collect(&one);
        assert_eq!(in_sets(), [1, 1]);
        host.check("blue", &two, &result).result();
        host.del("blue", &two);
        assert_eq!(in_sets(), [1, 1]);
        collect(&two);
        assert_eq!(in_sets(), [0, 0]);
        // The next container gets the policy again.
        let result = host.add("blue", &two);
        assert_eq!(in_sets(), [1, 1]);
        host.check("blue", &two, &result).result();
        // GC also works if the bridge is gone.
        host.del("blue", &two);
        Owned::adopt(host.netns.link("cni0").unwrap()).delete().unwrap();
        collect(&two);
        assert_eq!(in_sets(), [0, 0]);
        drop(blue);
    });
}

/// The ADD was killed after it created the cable and before it gave its record a name. The record
/// is still the file `new`.
#[test]
fn gc_deletes_the_cable_of_a_killed_add() {
    support::isolated(|| {
        let host = Host::new();
        let config = with(&host.config(), "ipMasq", false);
        let (red, _blue) = (container("red"), container("blue"));
        let killed = host.add("red", &config);
        let state = host.state("net1");
        fs::rename(state.join("red@eth0"), state.join("new")).unwrap();
        fs::remove_file(state.join("10.88.0.2")).unwrap();
        let blue = host.add("blue", &config);
        let list = json!([{ "containerID": "blue", "ifname": "eth0" }]);
        host.call("GC", "", &with(&config, "cni.dev/valid-attachments", list)).result();
        assert!(host.netns.link(&port(&killed)).is_err());
        assert!(red.link("eth0").is_err());
        host.check("blue", &config, &blue).result();
        assert_eq!(host.remembered("net1"), ["10.88.0.3", "blue@eth0", "last.0"]);
    });
}

/// The first ADD was killed after it created the bridge and before it set the bridge up.
#[test]
fn an_add_finishes_the_bridge_of_a_killed_add() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        Bridge::new("cni0").create(&host.netns).unwrap().keep();
        assert_eq!(host.netns.sysctl("net.ipv6.conf.cni0.accept_ra").unwrap(), "1");
        host.add("red", &host.config());
        assert_eq!(host.netns.sysctl("net.ipv6.conf.cni0.accept_ra").unwrap(), "0");
        reaches(&red, "10.88.0.1");
    });
}

#[test]
fn status_says_whether_an_add_would_work() {
    support::isolated(|| {
        let host = Host::new();
        let config = host.config();
        host.call("STATUS", "", &config).result();
        let lo = with(&config, "bridge", "lo");
        host.call("STATUS", "", &lo).refused(50, &["`lo` is not a bridge"]);
        let nobody = with(&config, "ipam", json!({ "type": "nobody" }));
        host.call("STATUS", "", &nobody).refused(50, &["nobody"]);
        fs::write("/run/file", "").unwrap();
        let mut no_directory = config.clone();
        no_directory["ipam"]["dataDir"] = json!("/run/file");
        host.call("STATUS", "", &no_directory).refused(50, &["/run/file"]);
        fs::remove_file("/run/file").unwrap();
        // A container is connected, but the bridge was replaced by another kind of link.
        let _red = container("red");
        host.add("red", &config);
        host.call("STATUS", "", &lo).refused(51, &["`lo` is not a bridge"]);
        host.call("STATUS", "", &config).result();
    });
}

#[test]
fn twenty_adds_at_once_succeed() {
    support::isolated(|| {
        let host = Host::new();
        let config = with(&host.config(), "ingressPolicy", "same-bridge");
        let text = config.to_string();
        let names: Vec<String> = (0..20).map(|number| format!("c{number}")).collect();
        let containers: Vec<_> = names.iter().map(|name| container(name)).collect();
        let all = |command: &str| -> Vec<Value> {
            let children: Vec<_> =
                names.iter().map(|name| host.start(command, name, &text)).collect();
            children.into_iter().map(|child| answer(child).result()).collect()
        };
        for _ in 0..2 {
            let results = all("ADD");
            let mut addresses: Vec<_> = results.iter().map(address).collect();
            addresses.sort();
            addresses.dedup();
            assert_eq!(addresses.len(), 20);
            assert_eq!(elements(&host), 20);
            for (netns, result) in containers.iter().zip(&results) {
                reaches(netns, "10.88.0.1");
                host.check(
                    result["interfaces"][2]["sandbox"]
                        .as_str()
                        .unwrap()
                        .trim_start_matches("/run/netns/"),
                    &config,
                    result,
                )
                .result();
            }
            all("DEL");
            assert_eq!(elements(&host), 0);
            assert_eq!(host.remembered("net1"), ["last.0"]);
            let left = host.netns.links().unwrap();
            assert_eq!(
                left.iter().map(|link| link.name.as_str()).collect::<Vec<_>>(),
                ["lo", "cni0"]
            );
        }
    });
}

/// If the kernel refuses any step of ADD, everything before it is undone.
#[test]
fn a_failed_add_leaves_the_host_unchanged() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        let mut config = with(&host.config(), "ingressPolicy", "same-bridge");
        config["ipam"]["routes"] = json!([{ "dst": "192.0.2.0/24", "gw": "203.0.113.1" }]);
        // The first ADD also creates the bridge, its address, the table and the forwarding.
        unchanged(&[&host.netns, &red], || {
            host.call("ADD", "red", &config).refused(100, &["203.0.113.1"]);
        });
        assert!(host.netns.link("cni0").is_err());
        assert_eq!(host.netns.sysctl("net.ipv4.ip_forward").unwrap(), "0");
        assert!(kernel::tables(&host.netns).is_empty());
        // The second time, the network already has a container.
        let _blue = container("blue");
        host.add("blue", &host.config());
        unchanged(&[&host.netns, &red], || {
            let mut open = config.clone();
            open["ingressPolicy"] = json!("open");
            host.call("ADD", "red", &open).refused(100, &["203.0.113.1"]);
        });
        // The first ADD of another network leaves nothing in the existing table.
        let mut other = with(&config, "name", "net2");
        other["bridge"] = json!("br2");
        other["ipam"] = host.ipam(&["10.99.0.0/24"]);
        other["ipam"]["routes"] = config["ipam"]["routes"].clone();
        unchanged(&[&host.netns, &red], || {
            host.call("ADD", "red", &other).refused(100, &["203.0.113.1"]);
        });
        let table = host.netns.nft_tables_with_tag("netloom-cni").unwrap().remove(0);
        assert!(table.chain("masquerade.10.88.0.0/24").is_ok());
        assert!(table.chain("masquerade.10.99.0.0/24").is_err());
        let routes: Vec<RouteInfo> = red.routes().unwrap();
        assert!(routes.iter().all(|route| route.table == 255), "{routes:?}");
        host.del("red", &config);
        host.del("blue", &config);
        assert_eq!(host.remembered("net1"), ["last.0"]);
    });
}

#[test]
fn status_says_that_a_bridge_is_full() {
    support::isolated(|| {
        let host = Host::new();
        let config = host.config();
        let bridge = Bridge::new("cni0").up().create(&host.netns).unwrap();
        let elsewhere = netloom::Namespace::anonymous().create().unwrap();
        let cable = |number: usize| {
            let near = VethEnd::new(format!("p{number}")).master(&bridge).no_ipv6_address();
            VethPair::new(near, format!("e{number}")).create_between(&host.netns, &elsewhere)
        };
        let mut cables = Together::new(Vec::new());
        cables.extend((0..1022).map(|number| cable(number).unwrap()));
        host.call("STATUS", "", &config).result();
        cables.push(cable(1022).unwrap());
        host.call("STATUS", "", &config).refused(50, &["`cni0` is full", "1023 ports"]);
    });
}

/// If an IPv6 address is added to a link with an MTU below 1,280, the kernel returns a bare EINVAL.
#[test]
fn an_mtu_that_is_too_small_for_ipv6_is_explained() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        let mut config = with(&host.config(), "mtu", 1200);
        config["ipam"] = host.ipam(&["10.88.0.0/24", "fd88::/64"]);
        let said = &["mtu: 1200 is too small for fd88::2/64", "1280"];
        unchanged(&[&host.netns, &red], || host.call("ADD", "red", &config).refused(7, said));
        let small = Bridge::new("cni0").create(&host.netns).unwrap();
        small.set_mtu(1000).unwrap();
        config["mtu"] = json!(1400);
        let said = &["the MTU of bridge `cni0`: 1000 is too small for fd88::"];
        host.call("ADD", "red", &config).refused(7, said);
        config["mtu"] = json!(1000);
        config["ipam"] = host.ipam(&["10.88.0.0/24"]);
        host.add("red", &config);
        host.del("red", &config);
    });
}
