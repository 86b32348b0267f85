//! Every kind of NAT, tested with packets: TCP and UDP, IPv4 and IPv6.
#![allow(clippy::unwrap_used, let_underscore_drop)] // tests fail by them

#[path = "nat_kinds/choices.rs"]
mod choices;
mod support;
mod traffic;

use std::net::{Ipv4Addr, SocketAddr};

use netloom::{
    Bridge, Error, Firewall, Forwarding, ForwardingHandle, Namespace, NatRule, Netns, Owned,
    PortGuard, Protocol, Route,
};
use traffic::{Net, PATIENCE, SHORT, Server, tcp, udp};

type OnBoth = [Owned<ForwardingHandle>; 2];

fn forwarding(host: &Netns) -> OnBoth {
    [Forwarding::ipv4(), Forwarding::ipv6()].map(|forwarding| forwarding.create(host).unwrap())
}

/// Returns the client addresses that the server saw over TCP and UDP. Both must be the same
/// address.
fn seen(from: &Netns, server: &str) -> [SocketAddr; 2] {
    let seen = [tcp(from, server, PATIENCE), udp(from, server, PATIENCE)];
    let seen = seen.map(|seen| seen.unwrap_or_else(|error| panic!("{server}: {error}")));
    assert_eq!(seen[0].ip(), seen[1].ip());
    seen
}

fn is_lost(from: &Netns, server: &str) -> bool {
    tcp(from, server, SHORT).is_err() && udp(from, server, SHORT).is_err()
}

const SERVERS: [&str; 2] = ["198.51.100.1:80", "[2001:db8::1]:80"];

#[test]
fn masquerading_takes_ports_of_the_range() {
    support::isolated(|| {
        let net = Net::new();
        let _on = forwarding(&net.host);
        let _servers = SERVERS.map(|address| Server::start(&net.server, address));
        let rule = |protocol| {
            let rule = NatRule::masquerade().protocol(protocol).oifname("out0");
            rule.to_ports(4000..=4007).fully_random().create(&net.host).unwrap()
        };
        let rules = [rule(Protocol::TCP), rule(Protocol::UDP)];
        for server in SERVERS {
            for seen in seen(&net.client, server) {
                assert!((4000..=4007).contains(&seen.port()), "{seen}");
                assert!(["198.51.100.2", "2001:db8::2"].contains(&&*seen.ip().to_string()));
            }
        }
        for rule in &rules {
            let counter = rule.counter().unwrap();
            assert_eq!(counter.packets, 2, "the first packet of a connection of each family");
            assert!(counter.bytes > 2 * 28);
        }
    });
}

#[test]
fn source_nat_gives_an_address_one_of_a_range_or_that_of_a_prefix() {
    support::isolated(|| {
        let net = Net::new();
        let _on = forwarding(&net.host);
        let _servers = SERVERS.map(|address| Server::start(&net.server, address));
        let _back = [("203.0.113.0/24", "198.51.100.2"), ("2001:db8:7::/64", "2001:db8::2")]
            .map(|(net_, via)| Route::new(net_).via(via).create(&net.server).unwrap());
        let cases = [
            ("203.0.113.7", "2001:db8:7::7", "203.0.113.7", "2001:db8:7::7"),
            (
                "203.0.113.8-203.0.113.9",
                "2001:db8:7::8-2001:db8:7::9",
                "203.0.113.",
                "2001:db8:7::",
            ),
            ("203.0.113.0/24", "2001:db8:7::/64", "203.0.113.2", "2001:db8:7::2"),
        ];
        for (v4, v6, seen4, seen6) in cases {
            let _rules = [(v4, "10.0.0.0/24"), (v6, "fd00::/64")].map(|(to, from)| {
                NatRule::snat(to).source(from).persistent_address().create(&net.host).unwrap()
            });
            for (server, expected) in SERVERS.into_iter().zip([seen4, seen6]) {
                let seen = seen(&net.client, server)[0].ip().to_string();
                assert!(seen.starts_with(expected), "{seen}, not {expected}");
                if let Some((first, last)) = v4.split_once('-')
                    && server.starts_with('1')
                {
                    let seen: Ipv4Addr = seen.parse().unwrap();
                    assert!(
                        (first.parse::<Ipv4Addr>().unwrap()..=last.parse().unwrap())
                            .contains(&seen)
                    );
                }
            }
        }
    });
}

#[test]
fn destination_nat_leads_inside_to_an_address_a_port_or_a_prefix() {
    support::isolated(|| {
        let net = Net::new();
        let _on = forwarding(&net.host);
        let _servers = ["10.0.0.2:80", "10.0.0.2:8080", "[fd00::2]:80", "[fd00::2]:8080"]
            .map(|address| Server::start(&net.client, address));
        let outside = &net.server;
        assert!(is_lost(outside, "198.51.100.2:8080"));

        for (to, host) in [("10.0.0.2", "198.51.100.2"), ("fd00::2", "[2001:db8::2]")] {
            let both = [Protocol::TCP, Protocol::UDP];
            let _same_port = both.map(|protocol| {
                let rule = NatRule::dnat(to).iifname("out0").protocol(protocol);
                rule.dport(8080).create(&net.host).unwrap()
            });
            let _other_port = both.map(|protocol| {
                let rule = NatRule::dnat(to).to_ports(80).protocol(protocol);
                rule.dport(1000..=1009).create(&net.host).unwrap()
            });
            for port in [8080, 1000, 1009] {
                let seen = seen(outside, &format!("{host}:{port}"));
                let addresses = ["198.51.100.1", "2001:db8::1"];
                assert!(addresses.contains(&&*seen[0].ip().to_string()), "the source stays");
            }
            assert!(is_lost(outside, &format!("{host}:1010")));
        }

        let _way = Route::new("203.0.113.0/24").via("198.51.100.2").create(outside).unwrap();
        let prefix = NatRule::dnat("10.0.0.0/24").destination("203.0.113.0/24");
        let _prefix = prefix.create(&net.host).unwrap();
        seen(outside, "203.0.113.2:80");
        assert!(is_lost(outside, "203.0.113.3:80"));
    });
}

#[test]
fn redirection_leads_to_a_local_port_from_outside_and_from_here() {
    support::isolated(|| {
        let net = Net::new();
        net.host.link("lo").unwrap().set_up().unwrap();
        let addresses = ["198.51.100.2:5353", "[2001:db8::2]:5353", "127.0.0.1:5353", "[::1]:5353"];
        let _servers = addresses.map(|address| Server::start(&net.host, address));
        let both = [Protocol::TCP, Protocol::UDP];
        let from_outside = both.map(|protocol| {
            let rule = NatRule::redirect(5353).protocol(protocol).dport(53);
            rule.create(&net.host).unwrap()
        });
        for server in ["198.51.100.2:53", "[2001:db8::2]:53"] {
            seen(&net.server, server);
        }
        assert!(is_lost(&net.host, "198.51.100.1:53"), "what is sent from here is another chain's");
        let _from_here = both.map(|protocol| {
            let rule = NatRule::redirect(5353).locally_generated().protocol(protocol).dport(53);
            rule.create(&net.host).unwrap()
        });
        for server in ["198.51.100.1:53", "[2001:db8::1]:53"] {
            seen(&net.host, server);
        }
        drop(from_outside);
        assert!(is_lost(&net.server, "198.51.100.2:53"));
    });
}

#[test]
fn a_rule_sees_only_what_it_is_for() {
    support::isolated(|| {
        let net = Net::new();
        let _on = forwarding(&net.host);
        let _server = Server::start(&net.server, SERVERS[0]);
        let own = "10.0.0.0/24";
        let matching = [
            NatRule::masquerade().source(own),
            NatRule::masquerade().destination("198.51.100.0/24"),
            NatRule::masquerade().source(own).destination_not(own),
            NatRule::masquerade().source_not("10.0.1.0/24").source_not("10.0.2.0/23"),
            NatRule::masquerade().iifname("in0").oifname("out0"),
            NatRule::masquerade().tcp().dport(80),
            NatRule::masquerade().tcp().dport(79..=81).sport(1024..=65_535),
            NatRule::masquerade().mark(0),
            NatRule::masquerade().mark_bits(0, 0xff),
        ];
        for rule in matching {
            let rule = (rule.create(&net.host).unwrap(), rule);
            let seen = tcp(&net.client, SERVERS[0], PATIENCE);
            assert!(seen.is_ok(), "{}: {seen:?}", rule.1);
            assert_eq!(rule.0.counter().unwrap().packets, 1, "{}", rule.1);
        }
        let others = [
            NatRule::masquerade().source("10.0.0.4/30"),
            NatRule::masquerade().source("fd00::/64"),
            NatRule::masquerade().destination("198.51.100.128/25"),
            NatRule::masquerade().source_not(own),
            NatRule::masquerade().destination_not("198.51.100.0/24"),
            NatRule::masquerade().iifname("out0"),
            NatRule::masquerade().oifname("in0"),
            NatRule::masquerade().udp(),
            NatRule::masquerade().tcp().dport(81..=90),
            NatRule::masquerade().tcp().sport(1..=2),
            NatRule::masquerade().mark(1),
            NatRule::masquerade().mark_bits(1, 0xff),
        ];
        for rule in others {
            let rule = (rule.create(&net.host).unwrap(), rule);
            assert!(tcp(&net.client, SERVERS[0], SHORT).is_err(), "{}", rule.1);
            assert_eq!(rule.0.counter().unwrap().packets, 0, "{}", rule.1);
        }
    });
}

#[test]
fn nft_lists_what_a_rule_says_of_itself() {
    support::isolated(|| {
        let net = Net::new();
        let rules = [
            NatRule::masquerade(),
            NatRule::masquerade().source("10.0.0.0/20").oifname("out0").random(),
            NatRule::masquerade().udp().to_ports(1024..=2047).fully_random().persistent_address(),
            NatRule::snat("203.0.113.7").source("10.0.0.7/32"),
            NatRule::snat("203.0.113.7-203.0.113.9").tcp().to_ports(99).source("10.0.0.0/8"),
            NatRule::snat("2001:db8:7::7").sctp().to_ports(9..=12).source_not("fd00::/64"),
            NatRule::dnat("10.0.0.2")
                .tcp()
                .dport(80)
                .to_ports(8080)
                .iifname("out0")
                .destination("198.51.100.2/32"),
            NatRule::dnat("fd00::2").udp().dport(53..=54).destination_not("fd00::/17"),
            NatRule::redirect(5353).udp().dport(53).mark(0x10),
            NatRule::redirect(5353..=5355).tcp().sport(7).locally_generated(),
        ];
        let place = support::Place::of_fd(&*net.host);
        for rule in rules {
            let made = rule.create(&net.host).unwrap();
            let Some(listed) = support::nft(&place, &["list", "ruleset"]) else { return };
            // `nft` adds the family to a translation, writes a mark with 8 digits, and names the
            // protocol with a port.
            let mut said = rule.to_string().replace(" 0x10 ", " 0x00000010 ");
            for (ours, nfts) in [
                ("nat to 10.", "nat ip to 10."),
                ("nat to 203.", "nat ip to 203."),
                ("nat to fd00:", "nat ip6 to fd00:"),
                ("nat to 2001:", "nat ip6 to 2001:"),
                ("nat to [2001:", "nat ip6 to [2001:"),
                ("meta l4proto tcp th ", "tcp "),
                ("meta l4proto udp th ", "udp "),
            ] {
                said = said.replace(ours, nfts);
            }
            let (matches, statement) = said.split_at(
                ["masquerade", "snat", "dnat", "redirect"]
                    .iter()
                    .filter_map(|word| said.find(word))
                    .min()
                    .unwrap(),
            );
            let found = listed.lines().any(|line| {
                let line = line.trim();
                line.ends_with(statement) && line.contains(&format!("{matches}counter"))
            });
            assert!(found, "{said}\n{listed}");
            assert!(listed.contains(&format!("chain {} {{", made.chain())), "{listed}");
        }
        assert_eq!(support::nft(&place, &["list", "ruleset"]).as_deref(), Some(""));
    });
}

#[test]
fn what_can_never_be_is_refused_before_any_system_call() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let empty = std::ops::RangeInclusive::new(9, 8);
        let bad = [
            NatRule::snat("203.0.113.7").source("fd00::/64"),
            NatRule::masquerade().source("10.0.0.0/8").destination("fd00::/64"),
            NatRule::masquerade().source("10.0.0.1/8"),
            NatRule::masquerade().destination_not("0.0.0.0/0"),
            NatRule::snat("203.0.113.9-203.0.113.7"),
            NatRule::snat("203.0.113.9-fd00::1"),
            NatRule::dnat("web"),
            NatRule::dnat("10.0.0.2").dport(80),
            NatRule::dnat("10.0.0.2").to_ports(80),
            NatRule::dnat("10.0.0.2").protocol(Protocol::ICMP).to_ports(80),
            NatRule::dnat("10.0.0.2").tcp().dport(80).to_ports(empty.clone()),
            NatRule::dnat("10.0.0.2").oifname("eth0"),
            NatRule::dnat("10.0.0.2").iifname("eth0").locally_generated(),
            NatRule::redirect(0).tcp(),
            NatRule::redirect(empty).tcp(),
            NatRule::redirect(80),
            NatRule::masquerade().locally_generated(),
            NatRule::masquerade().oifname("a/b"),
            NatRule::masquerade().persistent(""),
            NatRule::masquerade().persistent("a\"b"),
            NatRule::masquerade().persistent("x".repeat(128)),
        ];
        for rule in bad {
            let error = rule.create(&here).unwrap_err();
            assert!(error.is_invalid_input(), "{rule}: {error}");
        }
    });
}

#[test]
fn a_link_of_another_namespace_is_refused() {
    support::isolated(|| {
        let [here, there] = [(); 2].map(|()| Namespace::anonymous().create().unwrap());
        let bridge = Bridge::new("br0").create(&there).unwrap();
        let refused = |error: Error| {
            assert!(error.is_invalid_input(), "{error}");
            assert!(error.to_string().contains("`br0` is in another namespace"), "{error}");
        };
        support::unchanged(&[&here, &there], || {
            refused(NatRule::masquerade().oif(&bridge).create(&here).unwrap_err());
            let rule = NatRule::redirect(80).tcp().iif(&bridge).persistent("web");
            refused(rule.create(&here).unwrap_err());
            refused(Firewall::new().network(&bridge).create(&here).unwrap_err());
            refused(Firewall::new().connect("br1", &bridge).create(&here).unwrap_err());
            let port = PortGuard::new(&bridge).address("10.0.0.2");
            refused(Firewall::new().port(port).create(&here).unwrap_err());
        });
        let firewall = Firewall::new().network(&bridge).create(&there).unwrap();
        let elsewhere = Bridge::new("br0").create(&here).unwrap();
        refused(firewall.add_network(&elsewhere).unwrap_err());
    });
}
