//! NAT to port ranges and address ranges, and NAT selected by packet mark.

use std::net::IpAddr;

use netloom::{Address, NatRule, Protocol, Route, nft};

use crate::traffic::{Net, Server};
use crate::{SERVERS, forwarding, is_lost, seen, support};

#[test]
fn masquerading_chooses_ports_in_each_way() {
    support::isolated(|| {
        let net = Net::new();
        let _on = forwarding(&net.host);
        let _servers = SERVERS.map(|address| Server::start(&net.server, address));
        let ways: [fn(NatRule) -> NatRule; 6] = [
            |rule| rule,
            NatRule::random,
            NatRule::fully_random,
            NatRule::persistent_address,
            |rule| rule.random().persistent_address(),
            |rule| rule.to_ports(5000..=5003).random().persistent_address(),
        ];
        for (at, way) in ways.into_iter().enumerate() {
            let rules = [Protocol::TCP, Protocol::UDP].map(|protocol| {
                let rule = NatRule::masquerade().protocol(protocol).oifname("out0").mark(0);
                way(rule).create(&net.host).unwrap()
            });
            for (server, own) in SERVERS.into_iter().zip(["198.51.100.2", "2001:db8::2"]) {
                for seen in seen(&net.client, server) {
                    assert_eq!(seen.ip().to_string(), own, "way {at}");
                    assert!(at < 5 || (5000..=5003).contains(&seen.port()), "{seen}");
                }
            }
            for rule in &rules {
                assert_eq!(rule.counter().unwrap().packets, 2, "way {at}, one of each family");
            }
        }
    });
}

#[test]
fn source_nat_gives_ports_and_an_address_of_a_range_gets_them_too() {
    support::isolated(|| {
        let net = Net::new();
        let _on = forwarding(&net.host);
        let _servers = SERVERS.map(|address| Server::start(&net.server, address));
        let _back = [("203.0.113.0/24", "198.51.100.2"), ("2001:db8:7::/64", "2001:db8::2")]
            .map(|(network, via)| Route::new(network).via(via).create(&net.server).unwrap());
        let ranges = ["203.0.113.8-203.0.113.9", "2001:db8:7::8-2001:db8:7::9"];
        for (to, server) in ranges.into_iter().zip(SERVERS) {
            let rules = [Protocol::TCP, Protocol::UDP].map(|protocol| {
                let rule = NatRule::snat(to).protocol(protocol).to_ports(6000..=6007);
                rule.random().create(&net.host).unwrap()
            });
            let (first, last) = to.split_once('-').unwrap();
            let [first, last] = [first, last].map(|end| end.parse::<IpAddr>().unwrap());
            for seen in seen(&net.client, server) {
                assert!((first..=last).contains(&seen.ip()), "{seen}");
                assert!((6000..=6007).contains(&seen.port()), "{seen}");
            }
            for rule in &rules {
                assert_eq!(rule.counter().unwrap().packets, 1);
            }
        }
    });
}

#[test]
fn destination_nat_leads_to_one_of_a_range_and_by_an_ipv6_prefix() {
    support::isolated(|| {
        let net = Net::new();
        let _on = forwarding(&net.host);
        let eth0 = net.client.link("eth0").unwrap();
        let _more =
            ["10.0.0.3/24", "fd00::3/64"].map(|more| Address::new(more).create(&eth0).unwrap());
        let servers = ["10.0.0.2", "10.0.0.3", "[fd00::2]", "[fd00::3]"]
            .map(|at| [7000, 7001].map(|port| Server::start(&net.client, &format!("{at}:{port}"))));
        let outside = &net.server;
        let cases =
            [("10.0.0.2-10.0.0.3", "198.51.100.2:99"), ("fd00::2-fd00::3", "[2001:db8::2]:99")];
        for (to, at) in cases {
            let rules = [Protocol::TCP, Protocol::UDP].map(|protocol| {
                let rule = NatRule::dnat(to).protocol(protocol).dport(99);
                rule.to_ports(7000..=7001).create(&net.host).unwrap()
            });
            seen(outside, at);
            for rule in &rules {
                assert_eq!(rule.counter().unwrap().packets, 1);
            }
        }
        let _way = Route::new("2001:db8:9::/64").via("2001:db8::2").create(outside).unwrap();
        let prefix = NatRule::dnat("fd00::/64").destination("2001:db8:9::/64");
        let _prefix = prefix.create(&net.host).unwrap();
        seen(outside, "[2001:db8:9::2]:7000");
        seen(outside, "[2001:db8:9::3]:7000");
        assert!(is_lost(outside, "[2001:db8:9::4]:7000"));
        drop(servers);
    });
}

#[test]
fn redirection_leads_to_one_of_several_ports() {
    support::isolated(|| {
        let net = Net::new();
        let at = [5353, 5354]
            .map(|port| [format!("198.51.100.2:{port}"), format!("[2001:db8::2]:{port}")]);
        let _servers = at.map(|at| at.map(|at| Server::start(&net.host, &at)));
        let _rules = [Protocol::TCP, Protocol::UDP].map(|protocol| {
            let rule = NatRule::redirect(5353..=5354).protocol(protocol).dport(53);
            rule.iifname("out0").create(&net.host).unwrap()
        });
        for server in ["198.51.100.2:53", "[2001:db8::2]:53"] {
            seen(&net.server, server);
        }
    });
}

#[test]
fn a_mark_that_somebody_sets_is_seen() {
    support::isolated(|| {
        let net = Net::new();
        let _on = forwarding(&net.host);
        let _servers = SERVERS.map(|address| Server::start(&net.server, address));
        let marks = |mark: u32| {
            let chain = nft::Chain::new("marks").hook(nft::Hook::Prerouting, nft::Priority::MANGLE);
            let chain = chain.rule(nft::Rule::new().set_mark(mark));
            nft::Table::new(nft::Family::Inet, "marks").chain(chain).create(&net.host).unwrap()
        };
        for (rule, mark, other) in [
            (NatRule::masquerade().mark(0x10), 0x10, 0x11),
            (NatRule::masquerade().mark_bits(0x10, 0xf0), 0x1f, 0x20),
        ] {
            let rule = rule.create(&net.host).unwrap();
            for (mark, is_seen) in [(mark, true), (other, false)] {
                let _marks = marks(mark);
                for server in SERVERS {
                    if is_seen {
                        seen(&net.client, server);
                    } else {
                        assert!(is_lost(&net.client, server));
                    }
                }
            }
            assert_eq!(rule.counter().unwrap().packets, 4, "TCP and UDP of each family");
        }
    });
}
