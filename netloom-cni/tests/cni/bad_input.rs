//! Bad input gives the specification's error object and leaves nothing behind.

use std::fs;

use netloom::{Bridge, VethPair};
use serde_json::{Value, json};

use super::plugin::{Host, answer, container, has_ipv6, with};
use super::support::{self, kernel, reaches, unchanged};

#[test]
fn missing_or_wrong_variables_are_refused() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        let config = host.config().to_string();
        let all = [
            ("CNI_COMMAND", "ADD"),
            ("CNI_CONTAINERID", "red"),
            ("CNI_NETNS", "/run/netns/red"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/usr/lib/cni"),
        ];
        let changed = |name: &str, value: &'static str| {
            let mut variables = all;
            variables.iter_mut().filter(|one| one.0 == name).for_each(|one| one.1 = value);
            unchanged(&[&host.netns, &red], || host.call_with(&variables, &config))
        };
        for name in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"] {
            changed(name, "").refused(4, &["ADD needs", name]);
        }
        changed("CNI_COMMAND", "").refused(4, &["CNI_COMMAND is not set"]);
        changed("CNI_COMMAND", "ADO").refused(4, &["CNI_COMMAND `ADO`"]);
        for id in ["-red", "a/b", "a@b", "a b"] {
            changed("CNI_CONTAINERID", id).refused(4, &["CNI_CONTAINERID", id]);
        }
        for name in ["a/b", "a:b", "..", "sixteen-letters-", "a b"] {
            changed("CNI_IFNAME", name).refused(4, &["CNI_IFNAME", name]);
        }
        changed("CNI_NETNS", "/run/nowhere").refused(3, &["CNI_NETNS /run/nowhere"]);
        for no_namespace in ["/etc/passwd", "/proc/self/ns/mnt", "/proc/self"] {
            changed("CNI_NETNS", no_namespace).refused(4, &["CNI_NETNS", no_namespace]);
        }
        let with_args = |args: &'static str| {
            let mut variables = all.to_vec();
            variables.push(("CNI_ARGS", args));
            unchanged(&[&host.netns, &red], || host.call_with(&variables, &config))
        };
        with_args("K8S_POD_NAME=web").refused(4, &["CNI_ARGS", "K8S_POD_NAME"]);
        with_args("IgnoreUnknown").refused(4, &["CNI_ARGS", "IgnoreUnknown"]);
        with_args("IP=10.88.0").refused(4, &["CNI_ARGS", "IP `10.88.0`"]);
        with_args("MAC=01:00:00:00:00:01").refused(4, &["CNI_ARGS", "MAC"]);
        // After a failed ADD, a runtime sends a DEL with the same variables.
        let mut variables = all.to_vec();
        variables[0] = ("CNI_COMMAND", "DEL");
        variables.push(("CNI_ARGS", ""));
        for args in ["K8S_POD_NAME=web", "IgnoreUnknown", "IP=10.88.0", "MAC=01:00:00:00:00:01"] {
            variables[5].1 = args;
            host.call_with(&variables, &config).result();
        }
        assert!(host.remembered("net1").is_empty());
    });
}

#[test]
fn invalid_configurations_are_refused() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        let refused = |config: &Value, code: u32, words: &[&str]| {
            let answer = unchanged(&[&host.netns, &red], || host.call("ADD", "red", config));
            answer.refused(code, words);
            // After a failed ADD, a runtime sends a DEL. Without a network name, or with an unknown
            // version, the plugin cannot know what to delete.
            if config["name"] == "net1" && code != 1 && config["cniVersion"] == "1.1.0" {
                unchanged(&[&host.netns, &red], || host.del("red", config));
            }
            assert!(host.remembered("net1").is_empty());
        };
        let variables = [
            ("CNI_COMMAND", "ADD"),
            ("CNI_CONTAINERID", "red"),
            ("CNI_NETNS", "/run/netns/red"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/usr/lib/cni"),
        ];
        for text in ["", "{", "{\"name\": }", "netloom"] {
            host.call_with(&variables, text).refused(6, &["not JSON"]);
        }
        let child = host.start_with_bytes(&variables, b"{\"name\":\"\xff\"}");
        answer(child).refused(6, &["not JSON", "utf-8"]);
        host.call_with(&variables, "[]").refused(7, &["is not an object"]);
        let config = host.config();
        let plain = |field: &str, value: Value| with(&config, field, value);
        for version in ["0.5.0", "1.2.0", "one"] {
            refused(&plain("cniVersion", json!(version)), 1, &["cniVersion", version]);
        }
        for (field, value, words) in [
            ("cniVersion", json!(1), vec!["cniVersion", "1 is not a string"]),
            ("name", json!(""), vec!["name", "\"\""]),
            ("name", json!("a/b"), vec!["name", "\"a/b\""]),
            ("bridge", json!("a/b"), vec!["bridge", "\"a/b\""]),
            ("bridge", json!("sixteen-letters-"), vec!["bridge", "sixteen-letters-"]),
            ("bridge", json!(5), vec!["bridge: 5 is not a string"]),
            ("isGateway", json!("yes"), vec!["isGateway: \"yes\" is not true or false"]),
            ("mtu", json!(-1), vec!["mtu: -1"]),
            ("mtu", json!(12), vec!["mtu: 12"]),
            ("mtu", json!(70_000), vec!["mtu: 70000"]),
            ("mac", json!("02:00"), vec!["mac: \"02:00\""]),
            ("mac", json!("01:00:00:00:00:00"), vec!["mac"]),
            ("vlan", json!(4095), vec!["vlan: 4095"]),
            ("ingressPolicy", json!("closed"), vec!["ingressPolicy: \"closed\""]),
            ("ipam", json!("host-local"), vec!["ipam: \"host-local\" is not an object"]),
            ("ipam", json!({ "type": "nobody" }), vec!["no plugin `nobody`"]),
            ("ipam", json!({ "type": "../host-local" }), vec!["ipam.type"]),
        ] {
            refused(&plain(field, value), 7, &words);
        }
        for (trunk, words) in [
            (json!(5), vec!["vlanTrunk: 5 is not a list"]),
            (json!([{}]), vec!["vlanTrunk[0].id: a VLAN's number, or minID and maxID, is missing"]),
            (json!([{ "id": 4095 }]), vec!["vlanTrunk[0].id: 4095"]),
            (json!([{ "id": 0 }]), vec!["vlanTrunk[0].id: 0"]),
            (json!([{ "id": 5 }, { "minID": 9 }]), vec!["vlanTrunk[1].maxID", "missing"]),
            (json!([{ "maxID": 9 }]), vec!["vlanTrunk[0].minID", "missing"]),
            (json!([{ "minID": 9, "maxID": 5 }]), vec!["vlanTrunk[0].maxID: 5", "9"]),
        ] {
            refused(&plain("vlanTrunk", trunk), 7, &words);
        }
        let twice = with(&plain("vlan", json!(100)), "vlanTrunk", json!([{ "id": 100 }]));
        refused(&twice, 7, &["vlanTrunk", "without 100"]);
        let long = with(&plain("bridge", json!("twelve-chars")), "vlan", 4000);
        refused(&long, 7, &["bridge", "`twelve-chars.4000` is too long"]);
        let both = with(&plain("hairpinMode", json!(true)), "promiscMode", true);
        refused(&both, 7, &["promiscMode", "hairpinMode"]);
        let disabled = plain("disableContainerInterface", json!(true));
        refused(&disabled, 7, &["disableContainerInterface", "ipam"]);
        for (entry, words) in [
            (json!({ "hostPort": 0, "containerPort": 80 }), vec!["hostPort: 0"]),
            (json!({ "hostPort": 80 }), vec!["portMappings[0].containerPort", "missing"]),
            (json!({ "hostPort": 70_000, "containerPort": 80 }), vec!["hostPort: 70000"]),
            (
                json!({ "hostPort": 80, "containerPort": 80, "protocol": "icmp" }),
                vec!["protocol: \"icmp\""],
            ),
            (json!({ "hostPort": 80, "containerPort": 80, "hostIP": "a" }), vec!["hostIP: \"a\""]),
            (
                json!({ "hostPort": 80, "containerPort": 80, "hostIP": "::1" }),
                vec!["hostIP: \"::1\""],
            ),
        ] {
            refused(&plain("runtimeConfig", json!({ "portMappings": [entry] })), 7, &words);
        }
    });
}

#[test]
fn invalid_ranges_are_refused() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        for (ranges, words) in [
            (json!([]), vec!["ipam.ranges"]),
            (json!([[]]), vec!["ipam.ranges[0]"]),
            (json!([{ "subnet": "10.0.0.0/24" }]), vec!["ipam.ranges[0]", "not a list"]),
            (json!([[{}]]), vec!["ipam.ranges[0][0].subnet", "missing"]),
            (json!([[{ "subnet": "10.0.0.0" }]]), vec!["subnet: \"10.0.0.0\""]),
            (json!([[{ "subnet": "10.0.0.1/24" }]]), vec!["host bits", "10.0.0.0/24"]),
            (json!([[{ "subnet": "10.0.0.0/31" }]]), vec!["large enough"]),
            (
                json!([[{ "subnet": "10.0.0.0/24", "rangeStart": "10.0.1.5" }]]),
                vec!["rangeStart: \"10.0.1.5\"", "10.0.0.0/24"],
            ),
            (
                json!([[{ "subnet": "10.0.0.0/24", "gateway": "fd00::1" }]]),
                vec!["gateway: \"fd00::1\""],
            ),
            (
                json!([[{ "subnet": "10.0.0.0/24", "rangeStart": "10.0.0.9", "rangeEnd": "10.0.0.5" }]]),
                vec!["rangeEnd", "10.0.0.9"],
            ),
            (
                json!([[{ "subnet": "10.0.0.0/24" }, { "subnet": "10.0.0.128/25" }]]),
                vec!["ranges[0][1]", "overlap"],
            ),
            (
                json!([[{ "subnet": "10.0.0.0/24" }], [{ "subnet": "10.0.0.128/25" }]]),
                vec!["ranges[1]", "overlaps", "ranges[0]"],
            ),
            (json!([[{ "subnet": "10.0.0.0/24" }, { "subnet": "fd00::/64" }]]), vec!["family"]),
        ] {
            let mut config = host.config();
            config["ipam"]["ranges"] = ranges;
            let answer = unchanged(&[&host.netns, &red], || host.call("ADD", "red", &config));
            answer.refused(7, &words);
            host.del("red", &config);
        }
        for (route, code, words) in [
            (json!({}), 7, vec!["ipam.routes[0].dst"]),
            (json!({ "dst": "10.0.0.0/8", "gw": "fd00::1" }), 7, vec!["routes[0].gw"]),
            (json!({ "dst": "10.0.0.0/8", "advmss": -1 }), 7, vec!["routes[0].advmss: -1"]),
            (json!({ "dst": "10.0.0.0/8", "scope": 256 }), 7, vec!["routes[0].scope: 256"]),
        ] {
            let mut config = host.config();
            config["ipam"]["routes"] = json!([route]);
            host.call("ADD", "red", &config).refused(code, &words);
            host.del("red", &config);
        }
        let mut config = host.config();
        config["ipam"]["dataDir"] = json!("here");
        host.call("ADD", "red", &config).refused(7, &["dataDir", "here"]);
        host.del("red", &config);
        assert!(host.remembered("net1").is_empty());
    });
}

#[test]
fn what_the_kernel_refuses_is_named() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        let config = host.config();
        let refused = |config: &Value, code: u32, words: &[&str]| {
            let answer = unchanged(&[&host.netns, &red], || host.call("ADD", "red", config));
            answer.refused(code, words);
            let left = host.remembered("net1");
            // The file `last.N` records the last assigned address and reserves nothing.
            assert!(left.iter().all(|name| name.starts_with("last.")), "{left:?}");
        };
        // The container has an interface with the requested name.
        let cable = VethPair::new("eth0", "eth1").create(&red).unwrap();
        refused(&config, 4, &["CNI_IFNAME", "`eth0` is already in"]);
        drop(cable);
        // Another link has the bridge's name.
        let cable = VethPair::new("cni0", "other").create(&host.netns).unwrap();
        refused(&config, 7, &["bridge", "`cni0` is not a bridge but veth"]);
        drop(cable);
        let lo = with(&config, "bridge", "lo");
        refused(&lo, 7, &["`lo` is not a bridge"]);
        // The bridge's name is an alternative name, which the rules of `ingressPolicy` cannot
        // compare.
        let bridge = Bridge::new("br7").create(&host.netns).unwrap();
        if kernel::by_hand(&host.netns, "ip link property add dev br7 altname other7") {
            let other = with(&config, "bridge", "other7");
            refused(&other, 7, &["bridge", "`other7` is an alternative name of `br7`"]);
            host.call("STATUS", "", &other).refused(50, &["alternative name of `br7`"]);
        }
        drop(bridge);
        // CNI_NETNS is the host's own namespace.
        let own = netloom::Namespace::named("host").attach(&host.netns).unwrap();
        host.call("ADD", "host", &config).refused(4, &["the host's own"]);
        drop(own);
        // A gateway that is out of reach.
        let mut routed = config.clone();
        routed["ipam"]["routes"] = json!([{ "dst": "192.0.2.0/24", "gw": "203.0.113.1" }]);
        refused(&routed, 100, &["192.0.2.0/24 via 203.0.113.1"]);
        // The data directory is not writable.
        fs::write("/run/file", "").unwrap();
        let mut no_directory = config;
        no_directory["ipam"]["dataDir"] = json!("/run/file");
        refused(&no_directory, 5, &["/run/file/net1"]);
        fs::remove_file("/run/file").unwrap();
    });
}

/// Run `NETLOOM_VM_APPEND=ipv6.disable=1 tools/vm 6.12 where_the_kernel_has_no_ipv6` for a kernel
/// without IPv6.
#[test]
fn where_the_kernel_has_no_ipv6_ipv4_works_and_ipv6_is_named() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        let config = host.config();
        let result = host.add("red", &config);
        reaches(&red, "10.88.0.1");
        host.check("red", &config, &result).result();
        host.del("red", &config);
        let dual = with(&config, "ipam", host.ipam(&["10.88.0.0/24", "fd88::/64"]));
        let only_addresses = with(&with(&dual, "isDefaultGateway", false), "ipMasq", false);
        for config in [&dual, &only_addresses] {
            if has_ipv6() {
                host.add("red", config);
            } else {
                let refused = unchanged(&[&host.netns, &red], || host.call("ADD", "red", config));
                refused.refused(100, &["add address fd88::", "this kernel has no IPv6"]);
            }
            host.del("red", config);
        }
        assert!(red.link("eth0").is_err());
        assert!(host.remembered("net1").iter().all(|name| name.starts_with("last.")));
    });
}

/// CHECK, GC and STATUS are missing in old versions.
#[test]
fn commands_that_a_version_lacks_are_refused() {
    support::isolated(|| {
        let host = Host::new();
        let _red = container("red");
        let of = |version: &str| with(&host.config(), "cniVersion", version);
        host.call("CHECK", "red", &of("0.3.1")).refused(1, &["has no CHECK", "0.4.0"]);
        for command in ["GC", "STATUS"] {
            host.call(command, "red", &of("1.0.0")).refused(1, &["has no", command, "1.1.0"]);
        }
        host.call("CHECK", "red", &of("1.0.0")).refused(7, &["prevResult"]);
    });
}
