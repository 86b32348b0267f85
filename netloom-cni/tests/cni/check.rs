//! CHECK names the missing part, for each part in turn.

use std::fs;

use netloom::nft::{Chain, Hook, Priority, TableHandle};
use netloom::{Link, Netns, Owned};
use serde_json::{Value, json};

use super::plugin::{Host, address, container, port, with};
use super::support::{self, kernel};

/// A damage to a complete network.
struct Damage<'a> {
    host: &'a Host,
    red: &'a Netns,
    result: Value,
}

impl Damage<'_> {
    fn port(&self) -> Link {
        self.host.netns.link(&port(&self.result)).unwrap()
    }

    fn bridge(&self) -> Link {
        self.host.netns.link("cni0").unwrap()
    }

    fn eth0(&self) -> Link {
        self.red.link("eth0").unwrap()
    }

    fn table(&self) -> TableHandle {
        self.host.netns.nft_tables_with_tag("netloom-cni").unwrap().remove(0)
    }

    fn take_out_of(&self, set: &str) {
        self.table().set(set).unwrap().remove([address(&self.result).as_str()]).unwrap();
    }
}

/// The words that CHECK must say, and the function that does the damage.
type Case = (&'static str, fn(&Damage<'_>));

/// Runs each case: ADD, the damage, and CHECK, which must name the damage.
fn named(damages: &[Case]) {
    let host = Host::new();
    let red = container("red");
    let mut config = with(&host.config(), "ingressPolicy", "same-bridge");
    config["ipam"]["routes"] = json!([{ "dst": "192.0.2.0/24" }]);
    config["mtu"] = json!(1450);
    config["promiscMode"] = json!(true);
    for (words, damage) in damages {
        let result = host.add("red", &config);
        host.check("red", &config, &result).result();
        damage(&Damage { host: &host, red: &red, result: result.clone() });
        host.check("red", &config, &result).refused(102, &[words]);
        host.del("red", &config);
        // Delete the table, so that the next case starts with a complete network.
        for table in host.netns.nft_tables_with_tag("netloom-cni").unwrap() {
            Owned::adopt(table).delete().unwrap();
        }
    }
}

#[test]
fn check_names_what_is_missing_in_the_container() {
    support::isolated(|| {
        named(&[
            ("address 10.88.0.", |it| {
                let address = it.eth0().addresses().unwrap()[0].prefix;
                Owned::adopt(it.eth0().address(address).unwrap()).delete().unwrap();
            }),
            ("`eth0` in", |it| it.eth0().set_down().unwrap()),
            ("interface `eth0` has the MTU 1300, not 1450", |it| it.eth0().set_mtu(1300).unwrap()),
            ("has the MAC address 02:00:00:00:00:99", |it| {
                it.eth0().set_mac("02:00:00:00:00:99").unwrap();
            }),
        ]);
    });
}

/// Needs `ip` to delete the address.
#[test]
fn check_names_a_missing_route() {
    support::isolated(|| {
        if !kernel::by_hand(&Netns::current().unwrap(), "ip link show") {
            return;
        }
        named(&[("route 192.0.2.0/24 via 10.88.0.1 is missing", |it| {
            assert!(kernel::by_hand(it.red, "ip route del 192.0.2.0/24"));
        })]);
    });
}

/// Takes route fields that versions before 1.1.0 lack from the configuration.
#[test]
fn check_takes_missing_route_fields_from_the_configuration() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        for version in ["1.0.0", "1.1.0"] {
            let mut config = with(&host.config(), "cniVersion", version);
            config["isDefaultGateway"] = json!(false);
            config["ipam"]["routes"] = json!([
                { "dst": "192.0.2.0/24", "table": 100 },
                { "dst": "198.18.0.0/15", "mtu": 1300, "priority": 7 },
                { "dst": "203.0.113.0/24", "advmss": 1400, "scope": 253 },
                { "dst": "100.64.0.0/10", "advmss": 70000, "scope": 0, "gw": "10.88.0.1" },
            ]);
            let result = host.add("red", &config);
            host.check("red", &config, &result).result();
            let routes = red.routes().unwrap();
            let made =
                |to: &str| routes.iter().find(|one| one.destination.to_string() == to).unwrap();
            let (near, far) = (made("203.0.113.0/24"), made("100.64.0.0/10"));
            assert_eq!(
                (near.advmss, near.scope, near.gateway()),
                (Some(1400), netloom::Scope::Link, None)
            );
            assert_eq!((far.advmss, far.scope), (Some(65_495), netloom::Scope::Global));
            for (without, with) in [
                ("ip route del 203.0.113.0/24", "ip route add 203.0.113.0/24 dev eth0"),
                (
                    "ip route del 203.0.113.0/24",
                    "ip route add 203.0.113.0/24 dev eth0 scope global advmss 1400",
                ),
            ] {
                if kernel::by_hand(&red, without) && kernel::by_hand(&red, with) {
                    let words = &["route 203.0.113.0/24", "is missing"];
                    host.check("red", &config, &result).refused(102, words);
                }
            }
            if kernel::by_hand(&red, "ip route del 203.0.113.0/24") {
                let again = "ip route add 203.0.113.0/24 dev eth0 advmss 1400";
                assert!(kernel::by_hand(&red, again));
                host.check("red", &config, &result).result();
            }
            if kernel::by_hand(&red, "ip route del 198.18.0.0/15") {
                let without = &["route 198.18.0.0/15", "is missing"];
                host.check("red", &config, &result).refused(102, without);
                assert!(kernel::by_hand(&red, "ip route add 198.18.0.0/15 dev eth0 metric 7"));
                host.check("red", &config, &result).refused(102, without);
            }
            host.del("red", &config);
        }
    });
}

#[test]
fn check_names_what_is_missing_on_the_host() {
    support::isolated(|| {
        named(&[
            ("is not a port of bridge `cni0`", |it| it.port().release().unwrap()),
            ("is down", |it| it.port().set_down().unwrap()),
            ("has the MTU 1300, not 1450", |it| it.port().set_mtu(1300).unwrap()),
            ("promiscuous mode of bridge `cni0` is off", |it| {
                it.bridge().set_promiscuous(false).unwrap();
            }),
            ("interface `veth", |it| Owned::adopt(it.port()).delete().unwrap()),
            ("gateway address 10.88.0.1/24", |it| {
                Owned::adopt(it.bridge().address("10.88.0.1/24").unwrap()).delete().unwrap();
            }),
            ("bridge `cni0` is down", |it| it.bridge().set_down().unwrap()),
            ("bridge `cni0` is missing", |it| Owned::adopt(it.bridge()).delete().unwrap()),
            ("forwarding of IPv4 is off", |it| {
                it.host
                    .netns
                    .run(|| fs::write("/proc/sys/net/ipv4/ip_forward", "0"))
                    .unwrap()
                    .unwrap();
            }),
            ("is not reserved", |it| {
                let path = it.host.state("net1").join(address(&it.result));
                fs::remove_file(path).unwrap();
            }),
        ]);
    });
}

#[test]
fn check_names_what_is_missing_in_the_packet_filter() {
    support::isolated(|| {
        named(&[
            ("not in `netloom-cni masquerade4`", |it| it.take_out_of("masquerade4")),
            ("ingressPolicy: `cni0` is not in `inet netloom-cni isolated`", |it| {
                it.table().set("isolated").unwrap().flush().unwrap();
            }),
            ("ingressPolicy: `cni0` is not in `inet netloom-cni pairs`", |it| {
                it.table().set("pairs").unwrap().flush().unwrap();
            }),
            ("chain `netloom-cni postrouting` is missing", |it| {
                Owned::adopt(it.table().chain("postrouting").unwrap()).delete().unwrap();
            }),
            ("rule `ip saddr vmap @masquerade4` of chain `netloom-cni postrouting`", |it| {
                it.table().chain("postrouting").unwrap().flush().unwrap();
            }),
            ("of chain `netloom-cni forward` is missing", |it| {
                let rules = it.table().chain("forward").unwrap().rules().unwrap();
                Owned::adopt(rules.last().unwrap().0.clone()).delete().unwrap();
            }),
            ("chain `netloom-cni forward` has another type, hook", |it| {
                let (table, postrouting) = (it.table(), Priority::SOURCE_NAT);
                Owned::adopt(table.chain("forward").unwrap()).delete().unwrap();
                let elsewhere = Chain::new("forward").hook(Hook::Postrouting, postrouting);
                elsewhere.create(&table).unwrap().keep();
            }),
            ("of chain `netloom-cni masquerade.10.88.0.0/24` is missing", |it| {
                it.table().chain("masquerade.10.88.0.0/24").unwrap().flush().unwrap();
            }),
            ("the table `netloom-cni` of the packet filter is missing", |it| {
                Owned::adopt(it.table()).delete().unwrap();
            }),
        ]);
    });
}

/// The words of CHECK, and the change of the host that causes them.
type Breakage<'a> = (&'a str, &'a dyn Fn());

/// CHECK names parts that exist, but do not work.
#[test]
fn broken_parts_are_named() {
    support::isolated(|| {
        let host = Host::new();
        let _red = container("red");
        let mut config = host.config();
        config["runtimeConfig"] =
            json!({ "portMappings": [{ "hostPort": 8080, "containerPort": 80 }] });
        let by_hand = |line: &str| kernel::by_hand(&host.netns, line);
        let damages: [Breakage<'_>; 7] = [
            ("the table `netloom-cni` of the packet filter is dormant", &|| {
                host.netns.nft_tables_with_tag("netloom-cni").unwrap()[0]
                    .set_dormant(true)
                    .unwrap();
            }),
            ("forwarding of IPv4 is off on `cni0`", &|| {
                let set = || fs::write("/proc/sys/net/ipv4/conf/cni0/forwarding", "0");
                host.netns.run(set).unwrap().unwrap();
            }),
            ("the record of container `red`", &|| {
                fs::write(host.state("net1").join("red@eth0"), "{").unwrap();
            }),
            ("the record of container `red`", &|| {
                fs::remove_file(host.state("net1").join("red@eth0")).unwrap();
            }),
            ("is not in force: its element or a rule is missing", &|| {
                by_hand("nft add table ip netloom-ports { flags dormant; }");
            }),
            ("the table `netloom-loopback`", &|| {
                by_hand("nft delete table ip netloom-loopback");
            }),
            ("the table `netloom-loopback`", &|| {
                by_hand("nft add table ip netloom-loopback { flags dormant; }");
            }),
        ];
        let has_nft = support::tools::is_there("nft");
        let of_nft = |at: usize| at > 3;
        for (at, (words, damage)) in damages.into_iter().enumerate() {
            if of_nft(at) && !has_nft {
                continue;
            }
            let result = host.add("red", &config);
            host.check("red", &config, &result).result();
            damage();
            host.check("red", &config, &result).refused(102, &[words]);
            host.del("red", &config);
            Owned::adopt(host.netns.link("cni0").unwrap()).delete().unwrap();
            fs::remove_dir_all(host.state("net1")).unwrap();
            for table in host.netns.nft_tables_with_tag("netloom-cni").unwrap() {
                Owned::adopt(table).delete().unwrap();
            }
        }
    });
}

/// A later plugin of the chain removed a route from the container and from the result.
#[test]
fn a_route_that_the_result_lacks_is_not_missed() {
    support::isolated(|| {
        let host = Host::new();
        let red = container("red");
        let mut config = host.config();
        config["ipam"]["routes"] = json!([{ "dst": "192.0.2.0/24" }]);
        let mut result = host.add("red", &config);
        if !kernel::by_hand(&red, "ip route del 192.0.2.0/24") {
            return;
        }
        let missing = &["route 192.0.2.0/24 via 10.88.0.1 is missing"];
        host.check("red", &config, &result).refused(102, missing);
        result["routes"].as_array_mut().unwrap().retain(|route| route["dst"] != "192.0.2.0/24");
        host.check("red", &config, &result).result();
        host.del("red", &config);
    });
}

fn detect_duplicates(netns: &Netns) {
    for which in ["all", "default"] {
        let name = format!("net.ipv6.conf.{which}.accept_dad");
        netloom::Sysctl::new(name, 1).create(netns).unwrap().keep();
    }
}

#[test]
fn enabledad_waits_until_addresses_are_usable_and_refuses_a_duplicate() {
    support::isolated(|| {
        let host = Host::new();
        let (red, blue) = (container("red"), container("blue"));
        detect_duplicates(&red);
        detect_duplicates(&blue);
        let mut config = with(&host.config(), "enabledad", true);
        config["ipam"] = host.ipam(&["10.88.0.0/24", "fd88::/64"]);
        let result = host.add("red", &config);
        let addresses = red.link("eth0").unwrap().addresses().unwrap();
        let own = addresses.iter().find(|info| info.prefix.to_string() == "fd88::2/64").unwrap();
        assert!(!own.tentative && !own.dad_failed, "{own}");
        host.check("red", &config, &result).result();
        // Another station already uses the next address of the range.
        let added = netloom::Address::new("fd88::3/64").create(&red.link("eth0").unwrap());
        let added = added.unwrap();
        support::unchanged(&[&host.netns, &blue], || {
            host.call("ADD", "blue", &config).refused(101, &["enabledad", "fd88::3/64"]);
        });
        drop(added);
        // CHECK reports a duplicate that the kernel found after ADD.
        let lone = with(&config, "enabledad", false);
        let result = host.add("blue", &lone);
        host.check("blue", &lone, &result).result();
        host.del("blue", &lone);
        host.del("red", &config);
    });
}
