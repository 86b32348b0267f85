//! Every path to a published port, and the paths that must stay closed.

use std::net::IpAddr;

use netloom::{Address, Namespace, Netns, PortForward, Route, Sysctl, VethEnd, VethPair};

use crate::lab::{Lab, address, assert_lost, of_both_kinds, of_kind, seen};
use crate::support;
use crate::support::kernel::{self, tables_besides_settings};
use crate::traffic::{SHORT, Server, tcp, udp};

fn every_way(bridged: bool, tag: Option<&str>) {
    let lab = Lab::new(bridged);
    let _servers = lab.servers();
    let v4 = lab.publish(&of_kind(tag, PortForward::new(8080, "10.0.0.2").target_port(80)));
    let v6 = lab.publish(&of_kind(tag, PortForward::new(8080, "fd00::2").target_port(80)));

    // For a client outside, the server sees the client's own address.
    assert_eq!(seen(&lab.outside, "198.51.100.2:8080"), address("198.51.100.1"));
    assert_eq!(seen(&lab.outside, "[2001:db8::2]:8080"), address("2001:db8::1"));
    // The host reaches the port at each of its addresses.
    for server in ["127.0.0.1:8080", "127.1.2.3:8080", "10.0.0.1:8080", "198.51.100.2:8080"] {
        assert_eq!(seen(&lab.host, server), address("10.0.0.1"), "{server}");
    }
    for server in ["[fd00::1]:8080", "[2001:db8::2]:8080"] {
        assert_eq!(seen(&lab.host, server), address("fd00::1"), "{server}");
    }
    // ::1 is left to local servers, because the kernel routes no packet from ::1 out of the host.
    assert_lost(&lab.host, "[::1]:8080");
    let local = Server::start(&lab.host, "[::1]:8080");
    assert_eq!(seen(&lab.host, "[::1]:8080"), address("::1"));
    drop(local);
    // A neighbour and the container itself reach the port.
    for from in [&lab.neighbor, &lab.web] {
        for server in ["10.0.0.1:8080", "198.51.100.2:8080"] {
            assert_eq!(seen(from, server), address("10.0.0.1"), "{server}");
        }
        for server in ["[fd00::1]:8080", "[2001:db8::2]:8080"] {
            assert_eq!(seen(from, server), address("fd00::1"), "{server}");
        }
    }
    // Other ports and addresses are not forwarded.
    assert_lost(&lab.outside, "198.51.100.2:8081");
    assert_lost(&lab.outside, "198.51.100.2:80");
    let way = Route::new("203.0.113.0/24").via("198.51.100.2").create(&lab.outside).unwrap();
    assert_lost(&lab.outside, "203.0.113.1:8080");
    drop(way);

    drop(v6);
    assert_lost(&lab.outside, "[2001:db8::2]:8080");
    assert_eq!(seen(&lab.outside, "198.51.100.2:8080"), address("198.51.100.1"));
    drop(v4);
    for from in [&lab.outside, &lab.host, &lab.neighbor] {
        assert_lost(from, "198.51.100.2:8080");
    }
    assert_eq!(tables_besides_settings(&lab.host), Vec::<String>::new());
    assert_eq!(lab.host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "0");
}

#[test]
fn every_way_leads_there_and_none_is_left() {
    of_both_kinds(|tag| every_way(false, tag));
}

#[test]
fn every_way_leads_there_where_netfilter_sees_bridges() {
    of_both_kinds(|tag| every_way(true, tag));
}

#[test]
fn a_port_at_one_address_is_at_no_other() {
    of_both_kinds(one_address);
}

fn one_address(tag: Option<&str>) {
    let lab = Lab::new(false);
    let _servers = lab.servers();
    let here = PortForward::new(8080, "10.0.0.2").target_port(80).host_address("198.51.100.2");
    let _here = lab.publish(&of_kind(tag, here));
    let v6 = PortForward::new(8080, "fd00::2").target_port(80).host_address("2001:db8::2");
    let _v6 = lab.publish(&of_kind(tag, v6));
    for from in [&lab.outside, &lab.host, &lab.neighbor, &lab.web] {
        seen(from, "198.51.100.2:8080");
        seen(from, "[2001:db8::2]:8080");
    }
    for server in ["10.0.0.1:8080", "[fd00::1]:8080"] {
        assert_lost(&lab.host, server);
        assert_lost(&lab.neighbor, server);
    }
    assert_lost(&lab.host, "127.0.0.1:8080");
    assert_eq!(lab.host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "0");

    // A mapping at one address takes precedence over a mapping at all addresses.
    let other = Server::start(&lab.neighbor, "10.0.0.3:80");
    let _all = lab.publish(&of_kind(tag, PortForward::new(8080, "10.0.0.3").target_port(80)));
    seen(&lab.host, "127.0.0.1:8080");
    drop(other);
    assert_lost(&lab.host, "127.0.0.1:8080");
    seen(&lab.outside, "198.51.100.2:8080");
}

#[test]
fn the_hosts_link_local_addresses_keep_their_ports() {
    of_both_kinds(|tag| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let port = PortForward::new(8080, "fd00::2").target_port(80);
        let _ports = lab.publish(&of_kind(tag, port.clone()));
        let (bridge, eth0) = (lab.host.link("br0").unwrap(), lab.neighbor.link("eth0").unwrap());
        let _own = Address::new("fe80::1/64").create(&bridge).unwrap();
        let [here, there] = [bridge, eth0].map(|link| format!("[fe80::1%{}]:8080", link.index()));
        assert_lost(&lab.neighbor, &there);
        let _local = Server::start(&lab.host, &here);
        let client = seen(&lab.neighbor, &there);
        assert!(matches!(client, IpAddr::V6(v6) if v6.is_unicast_link_local()), "{client}");
        assert_eq!(seen(&lab.neighbor, "[fd00::1]:8080"), address("fd00::1"));
        let refused = of_kind(tag, port.host_address("fe80::1")).create(&lab.host).unwrap_err();
        assert!(refused.is_invalid_input() && refused.to_string().contains("link-local"));
    });
}

#[test]
fn a_port_at_somebody_elses_address_takes_nothing_from_him() {
    of_both_kinds(|tag| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let published = [("10.0.0.3", "10.0.0.2"), ("fd00::3", "fd00::2")].map(|(at, target)| {
            lab.publish(&of_kind(tag, PortForward::new(80, target).host_address(at)))
        });
        let ways = [("10.0.0.0/24", "198.51.100.2"), ("fd00::/64", "2001:db8::2")];
        let _ways = ways.map(|(to, by)| Route::new(to).via(by).create(&lab.outside).unwrap());
        // The address belongs to the neighbour, so the mapping does not apply, and no server
        // listens.
        for from in [&lab.outside, &lab.host] {
            for server in ["10.0.0.3:80", "[fd00::3]:80"] {
                assert_lost(from, server);
            }
        }
        drop(published);
        let _own = ["10.0.0.3:80", "[fd00::3]:80"].map(|at| Server::start(&lab.neighbor, at));
        seen(&lab.outside, "10.0.0.3:80");
        seen(&lab.outside, "[fd00::3]:80");
    });
}

#[test]
fn a_neighbor_that_routes_to_a_loopback_port_fails() {
    of_both_kinds(attacks);
}

fn attacks(tag: Option<&str>) {
    let lab = Lab::new(false);
    let _servers = lab.servers();
    let attack = |from: &Netns, gateway: &str| {
        // Without `lo`, the attacker has no local addresses. So it routes 127.0.0.1 like any other
        // address, replies included.
        let _on = Sysctl::new("net.ipv4.conf.all.route_localnet", 1).create(from).unwrap();
        let way = Route::new("127.0.0.0/8").via(gateway).create(from).unwrap();
        let seen = [
            tcp(from, "127.0.0.1:8080", SHORT).is_ok(),
            udp(from, "127.0.0.1:8080", SHORT).is_ok(),
        ];
        drop(way);
        seen
    };
    let attackers = [(&lab.outside, "198.51.100.2"), (&lab.neighbor, "10.0.0.1")];

    // The attack works against a plain rule for 127.0.0.1.
    let place = support::Place::of_fd(&*lab.host);
    let naive = "table ip naive {
            chain c { type nat hook prerouting priority -100;
                ip daddr 127.0.0.1 meta l4proto { tcp, udp } th dport 8080 dnat to 10.0.0.2:80
            }
        }";
    if support::nft(&place, &[naive]).is_some() {
        let _on = Sysctl::new("net.ipv4.conf.all.route_localnet", 1).create(&lab.host).unwrap();
        assert_eq!(attack(&lab.outside, "198.51.100.2"), [true, true]);
        support::nft(&place, &["delete", "table", "ip", "naive"]);
    }

    let loopback = PortForward::new(8080, "10.0.0.2").target_port(80).host_address("127.0.0.1");
    let forwards = [loopback, PortForward::new(8080, "10.0.0.2").target_port(80)];
    for forward in forwards {
        let _forward = lab.publish(&of_kind(tag, forward.clone()));
        assert_eq!(seen(&lab.host, "127.0.0.1:8080"), address("10.0.0.1"));
        for (from, gateway) in attackers {
            assert_eq!(attack(from, gateway), [false, false], "{forward} from {gateway}");
        }
        // The attack fails even if `route_localnet` is on for all links.
        let _on = Sysctl::new("net.ipv4.conf.all.route_localnet", 1).create(&lab.host).unwrap();
        for (from, gateway) in attackers {
            assert_eq!(attack(from, gateway), [false, false], "{forward} from {gateway}");
        }
    }
    for from in [&lab.outside, &lab.neighbor] {
        assert_lost(from, "198.51.100.2:8080");
    }
}

#[test]
fn ranges_lead_port_by_port() {
    of_both_kinds(ranges);
}

fn ranges(tag: Option<&str>) {
    let lab = Lab::new(false);
    let _servers = ["10.0.0.2:5003", "10.0.0.2:7003"].map(|a| Server::start(&lab.web, a));
    let _same = lab.publish(&of_kind(tag, PortForward::new(5000..=5009, "10.0.0.2")));
    let _moved = lab
        .publish(&of_kind(tag, PortForward::new(6000..=6009, "10.0.0.2").target_port(7000..=7009)));
    seen(&lab.outside, "198.51.100.2:5003");
    seen(&lab.outside, "198.51.100.2:6003");
    for port in [5002, 5010, 6002, 7003] {
        assert_lost(&lab.outside, &format!("198.51.100.2:{port}"));
    }
    // IPv6, a single host address, and every path.
    let _v6 = ["[fd00::2]:5003", "[fd00::2]:7003"].map(|at| Server::start(&lab.web, at));
    let _same6 = lab.publish(&of_kind(tag, PortForward::new(5000..=5009, "fd00::2")));
    let one = PortForward::new(6000..=6009, "fd00::2").target_port(7000..=7009);
    let _one6 = lab.publish(&of_kind(tag, one.host_address("2001:db8::2")));
    for from in [&lab.outside, &lab.host, &lab.neighbor, &lab.web] {
        for at in ["198.51.100.2", "[2001:db8::2]"] {
            seen(from, &format!("{at}:5003"));
            seen(from, &format!("{at}:6003"));
        }
    }
    seen(&lab.host, "127.0.0.1:6003");
    assert_lost(&lab.host, "[fd00::1]:6003");
    assert_lost(&lab.outside, "[2001:db8::2]:6010");

    let wide = of_kind(tag, PortForward::new(10_000..=14_999, "10.0.0.2"));
    let wide = wide.create(&lab.host).unwrap();
    wide.delete().unwrap();
    seen(&lab.outside, "198.51.100.2:5003");
}

/// For many targets, netloom finds the links in lists of all routes. Each must be the link that the
/// kernel names for the target alone.
#[test]
fn the_links_of_many_targets_are_those_of_each() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let link = |name: &str, address: &str| {
            let end = VethEnd::new(name).address(address).up();
            VethPair::new(end, VethEnd::new(format!("{name}-far")).up()).create(&host).unwrap()
        };
        let wide = link("wide", "10.0.0.1/16");
        let narrow = link("narrow", "10.0.5.1/24");
        let _v6 = link("six", "fd00::1/64");
        let routes = [
            Route::new("10.0.6.0/24").via("10.0.5.2"),
            Route::new("10.0.7.0/24").dev(wide.near()).metric(5),
            Route::new("10.0.7.0/24").dev(narrow.near()).metric(4),
            Route::new("fd00:0:0:1::/64").via("fd00::2"),
        ];
        let _routes = routes.map(|route| route.create(&host).unwrap());
        let v4 = (0..=7).flat_map(|third| (10..40).map(move |last| [10, 0, third, last].into()));
        let v6 = (10..100).map(|last| IpAddr::from([0xfd00, 0, 0, last % 2, 0, 0, 0, last]));
        let targets: Vec<IpAddr> = v4.chain(v6).collect();
        let forward = |target: IpAddr| PortForward::new(80, target).host_address(target);
        let same = || {
            let all: Vec<_> = targets.iter().map(|target| forward(*target)).collect();
            let all = PortForward::create_all(&all, &host).unwrap();
            let links: Vec<_> = all.iter().map(|port| port.link_index()).collect();
            drop(all);
            for (target, link) in targets.iter().zip(&links).step_by(11) {
                let alone = forward(*target).create(&host).unwrap();
                assert_eq!(alone.link_index(), *link, "{target}");
            }
            links
        };
        let links = same();
        // A rule sends packets to another table, which the kernel alone knows how to choose.
        let is_ruled = kernel::by_hand(&host, "ip route add 10.0.1.0/24 dev narrow table 100")
            && kernel::by_hand(&host, "ip rule add to 10.0.1.0/24 lookup 100");
        if is_ruled {
            let ruled = same();
            assert_ne!(ruled, links);
            assert_eq!(ruled[30], narrow.near().index());
        }
        // A target without a route, and one of this namespace itself.
        for (odd, reason) in [("192.0.2.1", "no route"), ("10.0.5.1", "this namespace itself")] {
            let odd = [forward(odd.parse().unwrap())];
            let all: Vec<_> = targets.iter().map(|target| forward(*target)).chain(odd).collect();
            let refused = PortForward::create_all(&all, &host).unwrap_err();
            assert!(refused.to_string().contains(reason), "{refused}");
        }
    });
}
