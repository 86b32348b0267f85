//! Published ports by packets: every way to them, and those that must not be.
#![allow(clippy::unwrap_used, clippy::print_stdout, let_underscore_drop)] // tests fail by them

mod support;
mod traffic;

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};

use netloom::{
    Bridge, ConntrackFilter, Forwarding, ForwardingHandle, Link, Netns, Owned, PortForward,
    Protocol, Route, Sysctl, Veth, VethEnd, VethPair,
};
use traffic::{PATIENCE, SHORT, Server, ask, namespace, tcp, udp, udp_socket};

/// Two containers on a host's bridge, and a machine outside.
struct Lab {
    host: Owned<Netns>,
    web: Owned<Netns>,
    neighbor: Owned<Netns>,
    outside: Owned<Netns>,
    _bridge: Owned<Link>,
    _cables: [Owned<Veth>; 3],
    _on: [Owned<ForwardingHandle>; 2],
}

impl Lab {
    /// `bridged`: whether netfilter sees what the bridge passes (`br_netfilter`).
    fn new(bridged: bool) -> Self {
        let [host, web, neighbor, outside] = [(); 4].map(|()| namespace());
        for family in ["", "6"] {
            let name = format!("net.bridge.bridge-nf-call-ip{family}tables");
            if let Ok(sysctl) = Sysctl::new(name, u8::from(bridged)).create(&host) {
                sysctl.keep();
            }
        }
        host.link("lo").unwrap().set_up().unwrap();
        let bridge = Bridge::new("br0").address("10.0.0.1/24").address("fd00::1/64").up();
        let bridge = bridge.create(&host).unwrap();
        let container = |port: &str, netns: &Netns, v4: &str, v6: &str| {
            let near = VethEnd::new(port).master(&bridge).up();
            let eth0 = VethEnd::new("eth0").address(v4).address(v6);
            let eth0 = eth0.gateway("10.0.0.1").gateway("fd00::1").up();
            VethPair::new(near, eth0).create_between(&host, netns).unwrap()
        };
        let cables = [
            container("port1", &web, "10.0.0.2/24", "fd00::2/64"),
            container("port2", &neighbor, "10.0.0.3/24", "fd00::3/64"),
            VethPair::new(
                VethEnd::new("out0").address("198.51.100.2/24").address("2001:db8::2/64").up(),
                VethEnd::new("eth0").address("198.51.100.1/24").address("2001:db8::1/64").up(),
            )
            .create_between(&host, &outside)
            .unwrap(),
        ];
        if bridged {
            // What comes back to the port it came from.
            let place = support::Place::of_fd(&*host);
            support::tools::run(
                &place,
                "bridge",
                &["link", "set", "dev", "port1", "hairpin", "on"],
            );
        }
        let on = [Forwarding::ipv4(), Forwarding::ipv6()].map(|on| on.create(&host).unwrap());
        Self { host, web, neighbor, outside, _bridge: bridge, _cables: cables, _on: on }
    }

    fn servers(&self) -> [Server; 2] {
        ["10.0.0.2:80", "[fd00::2]:80"].map(|address| Server::start(&self.web, address))
    }

    fn publish(&self, forward: &PortForward) -> [Owned<netloom::PortForwardHandle>; 2] {
        [Protocol::TCP, Protocol::UDP]
            .map(|protocol| forward.clone().protocol(protocol).create(&self.host).unwrap())
    }
}

/// Who the server saw, the same by TCP and UDP.
#[track_caller]
fn seen(from: &Netns, server: &str) -> IpAddr {
    let [tcp, udp] = [tcp(from, server, PATIENCE), udp(from, server, PATIENCE)]
        .map(|seen| seen.unwrap_or_else(|error| panic!("{server}: {error}")));
    assert_eq!(tcp.ip(), udp.ip());
    tcp.ip()
}

#[track_caller]
fn assert_lost(from: &Netns, server: &str) {
    for seen in [tcp(from, server, SHORT), udp(from, server, SHORT)] {
        assert!(seen.is_err(), "{server}: {seen:?}");
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn every_way(bridged: bool) {
    let lab = Lab::new(bridged);
    let _servers = lab.servers();
    let v4 = lab.publish(&PortForward::new(8080, "10.0.0.2").target_port(80));
    let v6 = lab.publish(&PortForward::new(8080, "fd00::2").target_port(80));

    // From outside: the client's own address.
    assert_eq!(seen(&lab.outside, "198.51.100.2:8080"), address("198.51.100.1"));
    assert_eq!(seen(&lab.outside, "[2001:db8::2]:8080"), address("2001:db8::1"));
    // From the host, at each of its addresses.
    for server in ["127.0.0.1:8080", "127.1.2.3:8080", "10.0.0.1:8080", "198.51.100.2:8080"] {
        assert_eq!(seen(&lab.host, server), address("10.0.0.1"), "{server}");
    }
    for server in ["[fd00::1]:8080", "[2001:db8::2]:8080"] {
        assert_eq!(seen(&lab.host, server), address("fd00::1"), "{server}");
    }
    // Not ::1, from which no packet gets out: it is left to who listens there.
    assert_lost(&lab.host, "[::1]:8080");
    let local = Server::start(&lab.host, "[::1]:8080");
    assert_eq!(seen(&lab.host, "[::1]:8080"), address("::1"));
    drop(local);
    // From a neighbour and from the container itself.
    for from in [&lab.neighbor, &lab.web] {
        for server in ["10.0.0.1:8080", "198.51.100.2:8080"] {
            assert_eq!(seen(from, server), address("10.0.0.1"), "{server}");
        }
        for server in ["[fd00::1]:8080", "[2001:db8::2]:8080"] {
            assert_eq!(seen(from, server), address("fd00::1"), "{server}");
        }
    }
    // Other ports and addresses are nobody's.
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
    let place = support::Place::of_fd(&*lab.host);
    if let Some(listed) = support::nft(&place, &["list", "ruleset"]) {
        assert_eq!(listed, "");
    }
    assert_eq!(lab.host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "0");
}

#[test]
fn every_way_leads_there_and_none_is_left() {
    support::isolated(|| every_way(false));
}

#[test]
fn every_way_leads_there_where_netfilter_sees_bridges() {
    support::isolated(|| every_way(true));
}

#[test]
fn a_port_at_one_address_is_at_no_other() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let here = PortForward::new(8080, "10.0.0.2").target_port(80).host_address("198.51.100.2");
        let _here = lab.publish(&here);
        let v6 = PortForward::new(8080, "fd00::2").target_port(80).host_address("2001:db8::2");
        let _v6 = lab.publish(&v6);
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

        // One address goes before all of them.
        let other = Server::start(&lab.neighbor, "10.0.0.3:80");
        let _all = lab.publish(&PortForward::new(8080, "10.0.0.3").target_port(80));
        seen(&lab.host, "127.0.0.1:8080");
        drop(other);
        assert_lost(&lab.host, "127.0.0.1:8080");
        seen(&lab.outside, "198.51.100.2:8080");
    });
}

#[test]
fn a_neighbor_that_routes_to_a_loopback_port_fails() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let attack = |from: &Netns, gateway: &str| {
            // Without lo no address is local, and 127.0.0.1 is one like any other, for answers too.
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

        // The attack is one: with a rule for 127.0.0.1 and nothing else it gets through.
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
            let _forward = lab.publish(&forward);
            assert_eq!(seen(&lab.host, "127.0.0.1:8080"), address("10.0.0.1"));
            for (from, gateway) in attackers {
                assert_eq!(attack(from, gateway), [false, false], "{forward} from {gateway}");
            }
            // Not even where somebody has turned it on for all.
            let _on = Sysctl::new("net.ipv4.conf.all.route_localnet", 1).create(&lab.host).unwrap();
            for (from, gateway) in attackers {
                assert_eq!(attack(from, gateway), [false, false], "{forward} from {gateway}");
            }
        }
        for from in [&lab.outside, &lab.neighbor] {
            assert_lost(from, "198.51.100.2:8080");
        }
    });
}

#[test]
fn two_handles_of_a_namespace_do_not_switch_off_under_each_other() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let other = lab.host.run(|| Netns::current().unwrap()).unwrap();
        let first = PortForward::new(8080, "10.0.0.2").target_port(80).create(&lab.host).unwrap();
        let second = PortForward::new(8081, "10.0.0.2").target_port(80).create(&other).unwrap();
        drop(first);
        tcp(&lab.host, "127.0.0.1:8081", PATIENCE).unwrap();
        drop(second);
        assert_eq!(lab.host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "0");
        // What is kept lives as long as the handle, and no longer: it does not keep itself alive.
        let kept = PortForward::new(8082, "10.0.0.2").target_port(80).create(&other).unwrap();
        let kept = kept.keep();
        tcp(&lab.host, "127.0.0.1:8082", PATIENCE).unwrap();
        drop(kept);
        drop(other);
        support::eventually("the table went with its socket", || {
            support::kernel::tables(&lab.host).is_empty()
        });
    });
}

#[test]
fn ranges_lead_port_by_port() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let _servers = ["10.0.0.2:5003", "10.0.0.2:7003"].map(|a| Server::start(&lab.web, a));
        let _same = lab.publish(&PortForward::new(5000..=5009, "10.0.0.2"));
        let _moved =
            lab.publish(&PortForward::new(6000..=6009, "10.0.0.2").target_port(7000..=7009));
        seen(&lab.outside, "198.51.100.2:5003");
        seen(&lab.outside, "198.51.100.2:6003");
        for port in [5002, 5010, 6002, 7003] {
            assert_lost(&lab.outside, &format!("198.51.100.2:{port}"));
        }
        let wide = PortForward::new(10_000..=14_999, "10.0.0.2").create(&lab.host).unwrap();
        wide.delete().unwrap();
        seen(&lab.outside, "198.51.100.2:5003");
    });
}

#[test]
fn stale_udp_connections_go_with_what_made_them_stale() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let _web = Server::start(&lab.web, "10.0.0.2:53");
        let _neighbor = Server::start(&lab.neighbor, "10.0.0.3:53");
        let port_of_web = || PortForward::new(53, "10.0.0.2").udp();
        let other =
            PortForward::new(54, "10.0.0.2").target_port(53).udp().create(&lab.host).unwrap();

        // Clients that never stop sending, before there is a mapping.
        let client = udp_socket(&lab.outside, "198.51.100.2:53").unwrap();
        let bystander = udp_socket(&lab.outside, "198.51.100.2:54").unwrap();
        assert!(ask(&client, SHORT).is_err());
        ask(&bystander, PATIENCE).unwrap();
        let entry = |port| {
            let filter = ConntrackFilter::new().udp().original_destination_port(port);
            filter.list(&lab.host).unwrap()
        };
        let untouched = entry(54);
        assert_eq!((entry(53).len(), untouched.len()), (1, 1));

        let first = port_of_web().create(&lab.host).unwrap();
        ask(&client, PATIENCE).unwrap();
        assert_eq!(entry(53)[0].reply.source, address("10.0.0.2"));
        first.delete().unwrap();
        assert_eq!(entry(53), []);
        assert!(ask(&client, SHORT).is_err());

        let second = PortForward::new(53, "10.0.0.3").udp().host_address("198.51.100.2");
        let second = second.create(&lab.host).unwrap();
        ask(&client, PATIENCE).unwrap();
        assert_eq!(entry(53)[0].reply.source, address("10.0.0.3"));
        // At another address: exactly that address.
        let _elsewhere = port_of_web().host_address("10.0.0.1").create(&lab.host).unwrap();
        assert_eq!(entry(53).len(), 1);
        // Nor does one at all addresses come or go for this one.
        let kept = entry(53);
        let all = port_of_web().create(&lab.host).unwrap();
        assert_eq!((entry(53)[0].original, entry(53)[0].reply), (kept[0].original, kept[0].reply));
        drop(all);
        assert_eq!(entry(53).len(), 1);
        drop(second);
        assert_eq!(entry(53), []);
        assert_eq!(entry(54).len(), 1);
        assert_eq!(entry(54)[0].original, untouched[0].original);
        drop(other);
        assert_eq!(entry(54), []);
    });
}

#[test]
fn a_conflict_names_the_holder() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let web = PortForward::new(8080, "10.0.0.2").target_port(80);
        let holder = web.create(&lab.host).unwrap();
        let conflict = |forward: PortForward| {
            let error = forward.create(&lab.host).unwrap_err();
            assert!(error.is_already_exists(), "{error}");
            error.to_string()
        };
        let error = conflict(PortForward::new(8080, "10.0.0.3"));
        assert!(error.contains("0.0.0.0:8080->10.0.0.2:80/tcp has the port"), "{error}");
        conflict(PortForward::new(8000..=8100, "10.0.0.3"));
        // Another protocol, another family, another address: no conflict.
        let _others = [
            web.clone().udp(),
            web.clone().sctp(),
            web.clone().host_address("127.0.0.1"),
            PortForward::new(8080, "fd00::2"),
        ]
        .map(|forward| forward.create(&lab.host).unwrap());

        let all = [PortForward::new(1, "10.0.0.2"), PortForward::new(8080, "10.0.0.3")];
        assert!(PortForward::create_all(&all, &lab.host).is_err());
        let twice = [PortForward::new(1, "10.0.0.2"), PortForward::new(1, "10.0.0.3")];
        let error = PortForward::create_all(&twice, &lab.host).unwrap_err();
        assert!(error.to_string().contains("0.0.0.0:1->10.0.0.2:1/tcp has the port"), "{error}");
        let _one = PortForward::new(1, "10.0.0.2").create(&lab.host).unwrap();

        let stale = (*holder).clone();
        holder.delete().unwrap();
        let _next = PortForward::new(8080, "10.0.0.3").create(&lab.host).unwrap();
        Owned::adopt(stale).delete().unwrap();
        conflict(web);
    });
}

#[test]
fn thousands_are_made_at_once_and_go_one_by_one() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let targets = (2..=201).map(|host| format!("10.0.0.{host}")).collect::<Vec<_>>();
        let forwards: Vec<_> = (0..10_000_u16)
            .map(|at| {
                let forward =
                    PortForward::new(10_000 + at, targets[usize::from(at) % 200].as_str());
                forward.target_port(80)
            })
            .collect();
        // An ordinary user's send buffer holds some 7,000 at once.
        let (first, rest) = forwards.split_at(5_000);
        let mut made = PortForward::create_all(first, &lab.host).unwrap();
        made.extend(PortForward::create_all(rest, &lab.host).unwrap());
        assert_eq!(made.len(), 10_000);
        tcp(&lab.outside, "198.51.100.2:10000", PATIENCE).unwrap();
        tcp(&lab.host, "127.0.0.1:19800", PATIENCE).unwrap();
        let one_more = PortForward::new(80, "10.0.0.2").create(&lab.host).unwrap();
        tcp(&lab.outside, "198.51.100.2:80", PATIENCE).unwrap();
        one_more.delete().unwrap();
        assert_eq!(lab.host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "1");
        made.drain(1..);
        tcp(&lab.outside, "198.51.100.2:10000", PATIENCE).unwrap();
        assert!(tcp(&lab.host, "127.0.0.1:19800", SHORT).is_err());
        drop(made);
        assert_eq!(lab.host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "0");
    });
}

#[test]
fn a_killed_process_takes_its_ports_along() {
    const PATH: &str = "NETLOOM_TEST_PORTS_OF";
    if let Some(path) = std::env::var_os(PATH) {
        let host = Netns::from_path(path).unwrap();
        let forward = PortForward::new(8080, "10.0.0.2").target_port(80);
        let _forwards =
            [forward.clone().create(&host).unwrap(), forward.udp().create(&host).unwrap()];
        println!("made");
        loop {
            std::thread::park();
        }
    }
    support::isolated(|| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let host = format!("/proc/{}/fd/{}", std::process::id(), lab.host.as_fd().as_raw_fd());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["a_killed_process_takes_its_ports_along", "--exact", "--nocapture"])
            .env(PATH, host)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("made")));
        seen(&lab.outside, "198.51.100.2:8080");
        seen(&lab.host, "127.0.0.1:8080");
        // Somebody flushes all while traffic flows.
        let place = support::Place::of_fd(&*lab.host);
        if support::nft(&place, &["flush", "ruleset"]).is_some() {
            seen(&lab.outside, "198.51.100.2:8080");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        support::eventually("the table went with the process", || {
            support::kernel::tables(&lab.host).is_empty()
        });
        assert_lost(&lab.outside, "198.51.100.2:8080");
    });
}

#[test]
fn what_can_never_be_is_refused_before_any_system_call() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let empty = std::ops::RangeInclusive::new(9, 8);
        let bad = [
            PortForward::new(0, "10.0.0.2"),
            PortForward::new(empty.clone(), "10.0.0.2"),
            PortForward::new(80, "web"),
            PortForward::new(80, "0.0.0.0"),
            PortForward::new(80, "127.0.0.1"),
            PortForward::new(80, "224.0.0.1"),
            PortForward::new(80, "10.0.0.2").target_port(0),
            PortForward::new(80, "10.0.0.2").target_port(80..=81),
            PortForward::new(80..=82, "10.0.0.2").target_port(80..=81),
            PortForward::new(80, "10.0.0.2").protocol(Protocol::ICMP),
            PortForward::new(80, "10.0.0.2").host_address("fd00::1"),
            PortForward::new(80, "10.0.0.2").host_address("0.0.0.0"),
            PortForward::new(80, "fd00::2").host_address("::1"),
        ];
        for forward in bad {
            let error = forward.create(&here).unwrap_err();
            assert!(error.is_invalid_input(), "{forward}: {error}");
        }
        let error = PortForward::new(80, "10.0.0.2").create(&here).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::libc::ENETUNREACH), "{error}");
        assert!(error.to_string().contains("no route to the target"), "{error}");
    });
}
