//! The firewall, tested with packets: isolated networks, replies that pass, spoofed frames that are
//! dropped, and clamped segment sizes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;
mod traffic;

use std::net::{Ipv6Addr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use netloom::nft::{Chain, Family, Hook, Policy, Priority, Rule, Table};
use netloom::{
    Address, Bridge, Firewall, Forwarding, ForwardingHandle, Link, Namespace, Netns, Owned, Ping,
    PortForward, PortGuard, Veth, VethEnd, VethPair,
};
use nix::sys::socket::{
    MsgFlags, SockaddrIn6, bind, getsockopt, recv, sendto, setsockopt, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use support::Place;
use support::features::supported;
use traffic::{Server, namespace};

/// Two bridges with containers, and the world outside.
struct Host {
    _forwarding: [Owned<ForwardingHandle>; 2],
    a: (Owned<Veth>, Owned<Netns>),
    b: (Owned<Veth>, Owned<Netns>),
    c: (Owned<Veth>, Owned<Netns>),
    world: (Owned<Veth>, Owned<Netns>),
    bridges: [Owned<Link>; 2],
    router: Owned<Netns>,
}

impl Host {
    fn new() -> Self {
        Self::between(Bridge::new("br0"), Bridge::new("br1"))
    }

    fn between(br0: Bridge, br1: Bridge) -> Self {
        let host = namespace();
        let bridge = |one: Bridge, v4, v6| one.address(v4).address(v6).up().create(&host).unwrap();
        let br0 = bridge(br0, "10.0.0.1/24", "fd00::1/64");
        let br1 = bridge(br1, "10.0.1.1/24", "fd00:1::1/64");
        let attach = |port: &str, bridge: &Link, number: u8| {
            let container = namespace();
            let near = VethEnd::new(port).master(bridge).up();
            let network = u8::from(bridge.name() == "br1");
            let mut end = VethEnd::new("eth0")
                .address(format!("10.0.{network}.{number}/24"))
                .address(format!("{}::{number}/64", ["fd00", "fd00:1"][usize::from(network)]))
                .gateway(format!("10.0.{network}.1"))
                .gateway(format!("{}::1", ["fd00", "fd00:1"][usize::from(network)]))
                .up();
            if port == "pa" {
                end = end.mac("02:00:00:00:00:0a");
            }
            let cable = VethPair::new(near, end).create_between(&host, &container).unwrap();
            (cable, container)
        };
        let a = attach("pa", &br0, 2);
        let b = attach("pb", &br0, 3);
        let c = attach("pc", &br1, 2);
        let world = namespace();
        let cable = VethPair::new(
            VethEnd::new("out0").address("198.51.100.2/24").address("2001:db8::2/64").up(),
            VethEnd::new("eth0")
                .address("198.51.100.1/24")
                .address("2001:db8::1/64")
                .gateway("198.51.100.2")
                .gateway("2001:db8::2")
                .up(),
        )
        .create_between(&host, &world)
        .unwrap();
        let forwarding =
            [Forwarding::ipv4(), Forwarding::ipv6()].map(|on| on.create(&host).unwrap());
        let world = (cable, world);
        // The kernel may notice a veth's carrier up to a second late.
        let settled = || {
            let all = ["10.0.0.2", "10.0.0.3", "10.0.1.2", "fd00::2", "fd00::3", "fd00:1::2"];
            all.iter().all(|to| reaches(&world.1, to))
        };
        assert!((0..20).any(|_| settled()), "the network is not up");
        Self { _forwarding: forwarding, a, b, c, world, bridges: [br0, br1], router: host }
    }

    fn firewall() -> Firewall {
        Firewall::new().network("br0").network("br1")
    }
}

fn reaches(from: &Netns, to: &str) -> bool {
    Ping::new(to).timeout(Duration::from_millis(300)).send(from).is_ok()
}

#[test]
fn networks_are_apart_and_answers_come_in() {
    support::isolated(|| {
        let net = Host::new();
        let all = [
            (&net.a.1, "10.0.1.2"),
            (&net.a.1, "10.0.0.3"),
            (&net.a.1, "198.51.100.1"),
            (&net.world.1, "10.0.0.2"),
            (&net.a.1, "fd00:1::2"),
            (&net.a.1, "fd00::3"),
            (&net.a.1, "2001:db8::1"),
            (&net.world.1, "fd00::2"),
        ];
        assert!(all.iter().all(|(from, to)| reaches(from, to)), "all is open before");
        let firewall = Host::firewall().create(&net.router).unwrap();
        let reached: Vec<_> = all.iter().map(|(from, to)| reaches(from, to)).collect();
        assert_eq!(reached, [false, true, true, false].repeat(2));
        for host in ["10.0.0.1", "fd00::1"] {
            assert!(reaches(&net.a.1, host), "the host itself is let alone");
        }
        for container in ["10.0.1.2", "fd00:1::2"] {
            firewall.remove_network("br1").unwrap();
            assert!(reaches(&net.world.1, container));
            firewall.add_network("br1").unwrap();
            assert!(!reaches(&net.world.1, container));
        }
        drop(firewall);
        assert!(all.iter().all(|(from, to)| reaches(from, to)), "and afterwards");
    });
}

#[test]
fn connected_networks_and_published_ports_get_through() {
    support::isolated(|| {
        let net = Host::new();
        let _firewall = Host::firewall().connect("br0", "br1").create(&net.router).unwrap();
        assert!(reaches(&net.a.1, "10.0.1.2") && reaches(&net.c.1, "10.0.0.3"));
        assert!(reaches(&net.a.1, "fd00:1::2") && reaches(&net.c.1, "fd00::3"));
        for (target, host, client) in [
            ("10.0.1.2", "198.51.100.2", "198.51.100.1"),
            ("fd00:1::2", "2001:db8::2", "2001:db8::1"),
        ] {
            let at = |host: &str, port: u16| {
                std::net::SocketAddr::new(host.parse().unwrap(), port).to_string()
            };
            let _server = Server::start(&net.c.1, &at(target, 80));
            let (tcp, udp) = (traffic::tcp, traffic::udp);
            assert!(tcp(&net.world.1, &at(target, 80), traffic::SHORT).is_err());
            assert!(udp(&net.world.1, &at(target, 80), traffic::SHORT).is_err());
            let port = PortForward::new(8080, target).target_port(80);
            let _ports = [port.clone(), port.udp()].map(|port| port.create(&net.router).unwrap());
            for ask in [tcp, udp] {
                let seen = ask(&net.world.1, &at(host, 8080), traffic::PATIENCE).unwrap();
                assert_eq!(seen.ip().to_string(), client);
            }
        }
    });
}

#[test]
fn a_published_port_is_reached_from_another_network() {
    support::isolated(|| {
        let net = Host::new();
        let _firewall = Host::firewall().create(&net.router).unwrap();
        for (target, server, published) in [
            ("10.0.1.2", "10.0.1.2:80", "10.0.0.1:8080"),
            ("fd00:1::2", "[fd00:1::2]:80", "[fd00::1]:8080"),
        ] {
            let _server = Server::start(&net.c.1, server);
            let port = PortForward::new(8080, target).target_port(80);
            let _ports = [port.clone(), port.udp()].map(|port| port.create(&net.router).unwrap());
            for ask in [traffic::tcp, traffic::udp] {
                assert!(ask(&net.a.1, published, traffic::PATIENCE).is_ok());
                assert!(ask(&net.a.1, server, traffic::SHORT).is_err());
            }
        }
    });
}

#[test]
fn networks_are_connected_and_apart_again() {
    support::isolated(|| {
        let net = Host::new();
        let firewall = Host::firewall().create(&net.router).unwrap();
        let both = || {
            let ways = [(&net.a.1, "10.0.1.2"), (&net.c.1, "10.0.0.2"), (&net.a.1, "fd00:1::2")];
            ways.map(|(from, to)| reaches(from, to))
        };
        assert_eq!(both(), [false; 3]);
        firewall.connect("br0", "br1").unwrap();
        assert_eq!(both(), [true; 3]);
        firewall.disconnect("br1", "br0").unwrap();
        assert_eq!(both(), [false; 3]);
        assert!(firewall.disconnect("br1", "br0").unwrap_err().is_not_found());
        assert!(firewall.connect("br1", "br1").is_err());
        // Removing a network removes its connections.
        firewall.connect("br0", "br1").unwrap();
        firewall.remove_network("br1").unwrap();
        firewall.add_network("br1").unwrap();
        assert_eq!(both(), [false; 3]);
        assert_eq!(firewall.table().set("paths").unwrap().elements().unwrap().len(), 2);
    });
}

#[test]
fn a_network_by_handle_follows_a_rename() {
    support::isolated(|| {
        let net = Host::new();
        let [br0, _] = &net.bridges;
        let firewall = Firewall::new().network(br0).network("br1").create(&net.router).unwrap();
        let both = || {
            let ways = [(&net.a.1, "10.0.1.2"), (&net.c.1, "10.0.0.2"), (&net.c.1, "fd00::2")];
            ways.map(|(from, to)| reaches(from, to))
        };
        let from_outside = || reaches(&net.world.1, "10.0.0.2");
        assert_eq!((both(), from_outside()), ([false; 3], false));
        for name in ["elsewhere", "again"] {
            let Some(()) = supported("rename-while-up", br0.rename(name)) else { return };
            assert_eq!((both(), from_outside()), ([false; 3], false), "{name}");
            firewall.connect("br1", br0).unwrap();
            assert_eq!(both(), [true; 3]);
            firewall.disconnect(name, "br1").unwrap();
            assert_eq!(both(), [false; 3]);
        }
        // A network is removed by handle or by current name, however the network was added.
        firewall.remove_network("again").unwrap();
        assert!(from_outside());
        assert!(firewall.remove_network(br0).unwrap_err().is_not_found());
        for (added, removed) in [("again", br0.into()), ("br1", netloom::LinkRef::from("br1"))] {
            firewall.add_network(added).unwrap();
            firewall.remove_network(removed).unwrap();
        }
        assert!(from_outside());
    });
}

/// Another program renamed the handle's link, and a new link has the old name.
#[test]
fn a_network_by_handle_is_not_the_one_that_took_its_name() {
    support::isolated(|| {
        let host = namespace();
        let old = Bridge::new("br0").create(&host).unwrap();
        let firewall = Firewall::new().network(&old).create(&host).unwrap();
        if !support::by_hand(&host, "ip link set br0 name elsewhere") {
            return;
        }
        let _new = Bridge::new("br0").create(&host).unwrap();
        for is_deleted in [false, true] {
            if is_deleted {
                assert!(support::by_hand(&host, "ip link del elsewhere"));
                firewall.add_network(&old).unwrap();
            }
            firewall.add_network("br0").unwrap();
            firewall.remove_network(&old).unwrap();
            firewall.remove_network("br0").unwrap();
        }
    });
}

#[test]
fn a_guard_by_handle_follows_a_rename() {
    support::isolated(|| {
        let net = Host::new();
        let (cable, a) = &net.a;
        let guard = || PortGuard::new(cable.near()).mac("02:00:00:00:00:0a");
        let firewall = Host::firewall().port(guard()).create(&net.router).unwrap();
        let is_guarded = || {
            cable.peer().set_mac("02:00:00:00:00:0a").unwrap();
            assert!(reaches(a, "10.0.0.3"));
            cable.peer().set_mac("02:00:00:00:00:0b").unwrap();
            !reaches(a, "10.0.0.3")
        };
        assert!(is_guarded());
        let renamed = cable.near().rename("renamed");
        let Some(()) = supported("rename-while-up", renamed) else { return };
        assert!(is_guarded());
        assert!(guard().create(&firewall).unwrap_err().is_already_exists());
        assert!(firewall.guard("pa").unwrap_err().is_not_found());
        Owned::adopt(firewall.guard("renamed").unwrap()).delete().unwrap();
        assert!(!is_guarded());
        let _guard = guard().create(&firewall).unwrap();
        assert!(is_guarded());
    });
}

/// A rule compares the packet's primary link name, so an alternative name would never match.
#[test]
fn an_alternative_name_is_refused() {
    support::isolated(|| {
        let net = Host::new();
        let host = Place::of_fd(&*net.router);
        for (link, name) in [("br0", "other0"), ("pa", "other-port")] {
            let add = ["link", "property", "add", "dev", link, "altname", name];
            if support::ip(&host, &add).is_none() {
                return;
            }
        }
        let guard = || PortGuard::new("other-port").address("10.0.0.2");
        let firewall = Host::firewall().create(&net.router).unwrap();
        let refused = [
            Firewall::new().network("other0").create(&net.router).unwrap_err(),
            Firewall::new().connect("br1", "other0").create(&net.router).unwrap_err(),
            Firewall::new().port(guard()).create(&net.router).unwrap_err(),
            firewall.add_network("other0").unwrap_err(),
            firewall.connect("other0", "br1").unwrap_err(),
            guard().create(&firewall).unwrap_err(),
        ];
        for (number, error) in refused.into_iter().enumerate() {
            assert!(error.is_invalid_input(), "{number}: {error}");
            let name = if matches!(number, 2 | 5) { "`pa`" } else { "`br0`" };
            assert!(error.to_string().contains(name), "{number}: {error}");
        }
        assert!(firewall.remove_network("other0").unwrap_err().is_not_found());
        assert!(firewall.guard("other-port").unwrap_err().is_not_found());
        assert_eq!(firewall.table().set("networks").unwrap().elements().unwrap().len(), 2);
    });
}

/// A firewall consists of two tables, and a guard of an element and a chain. Another program may
/// have deleted either part.
#[test]
fn what_others_left_of_a_firewall_is_deleted() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let other = Table::new(Family::Inet, "other").create(&host).unwrap();
        for gone in ["inet", "bridge"] {
            let firewall = Firewall::new().name("fw").persistent("fw").create(&host).unwrap();
            let guard = PortGuard::new("port1").address("10.0.0.2").create(&firewall).unwrap();
            let take = r#"nft delete element bridge fw ports { "port1" }"#;
            if !support::kernel::by_hand(&host, take) {
                return;
            }
            guard.delete().unwrap();
            assert!(firewall.bridge_table().chain("from.port1").unwrap_err().is_not_found());
            let guard = PortGuard::new("port1").address("10.0.0.2").create(&firewall).unwrap();
            assert!(support::kernel::by_hand(&host, &format!("nft delete table {gone} fw")));
            firewall.delete().unwrap();
            guard.delete().unwrap();
            let left = host.nft_ruleset().unwrap();
            assert_eq!(left.iter().map(|table| &table.name).collect::<Vec<_>>(), ["other"]);
        }
        drop(other);
    });
}

#[test]
fn persistent_ones_without_a_name_have_one_each() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        for _ in 0..3 {
            // A new handle acts as another process, which may have the number of an earlier
            // process.
            let maker = host.run(|| Netns::current().unwrap()).unwrap();
            Firewall::new().persistent("plugin").create(&maker).unwrap().keep();
        }
        let found = host.firewalls_with_tag("plugin").unwrap();
        let mut names: Vec<_> = found.iter().map(|one| one.table().name().to_owned()).collect();
        names.sort();
        let expected = [0, 1, 2].map(|number| format!("netloom-firewall-tagged-{number}"));
        assert_eq!(names, expected);
        for firewall in found {
            Owned::adopt(firewall).delete().unwrap();
        }
    });
}

#[test]
fn spoofed_frames_are_dropped() {
    support::isolated(|| {
        let net = Host::new();
        let guard = PortGuard::new("pa").mac("02:00:00:00:00:0a");
        let guard = guard.address("10.0.0.2").address("fd00::2");
        let firewall = Host::firewall().port(guard).create(&net.router).unwrap();
        let (cable, a) = &net.a;
        let all_reach = |from: &Netns, all: [&str; 4]| all.map(|to| reaches(from, to));
        let others = ["10.0.0.1", "10.0.0.3", "fd00::1", "fd00::3"];
        assert_eq!(all_reach(a, others), [true; 4]);
        // A frame with an unexpected source MAC address is dropped.
        cable.peer().set_mac("02:00:00:00:00:0b").unwrap();
        assert_eq!(all_reach(a, others), [false; 4]);
        cable.peer().set_mac("02:00:00:00:00:0a").unwrap();
        assert!(reaches(a, "10.0.0.1") && reaches(a, "fd00::1"));
        // With an IP address that the guard does not list, packets and ARP are dropped.
        for address in ["10.0.0.77/24", "fd00::77/64"] {
            Address::new(address).create(cable.peer()).unwrap().keep();
        }
        let servers =
            ["10.0.0.1:99", "[fd00::1]:99"].map(|server| Server::start(&net.router, server));
        let asks_from = |address, server| {
            let socket = a.run(|| UdpSocket::bind((address, 0)).unwrap()).unwrap();
            socket.connect(server).unwrap();
            traffic::ask(&socket, traffic::SHORT).is_ok()
        };
        assert!(asks_from("10.0.0.2", "10.0.0.1:99") && !asks_from("10.0.0.77", "10.0.0.1:99"));
        assert!(asks_from("fd00::2", "[fd00::1]:99") && !asks_from("fd00::77", "[fd00::1]:99"));
        drop(servers);
        assert!(!reaches(&net.b.1, "10.0.0.77"));
        // Frames pass a port that has no guard.
        net.b.0.peer().set_mac("02:00:00:00:00:0c").unwrap();
        assert!(reaches(&net.b.1, "10.0.0.1"));
        let later = PortGuard::new("pb").mac("02:00:00:00:00:0d").create(&firewall).unwrap();
        assert!(!reaches(&net.b.1, "10.0.0.1"));
        assert!(later.chain().rules().unwrap().len() == 2);
        let again = PortGuard::new("pb").mac("02:00:00:00:00:0d").create(&firewall);
        assert!(again.unwrap_err().is_already_exists());
        drop(later);
        assert!(reaches(&net.b.1, "10.0.0.1"));
        // Any handle of the firewall can delete a guard that was created with the firewall.
        assert!(firewall.guard("pb").unwrap_err().is_not_found());
        let _server = Server::start(&net.router, "10.0.0.1:99");
        assert!(!asks_from("10.0.0.77", "10.0.0.1:99"));
        Owned::adopt(firewall.handle().clone().guard("pa").unwrap()).delete().unwrap();
        assert!(asks_from("10.0.0.77", "10.0.0.1:99"));
        assert!(firewall.guard("pa").unwrap_err().is_not_found());
    });
}

/// A bridge learns from a frame to a link-local group address before any rule sees the frame.
#[test]
fn a_guarded_port_draws_no_neighbours_answers() {
    support::isolated(|| {
        for learns in [true, false] {
            let net =
                Host::between(Bridge::new("br0").link_local_learning(learns), Bridge::new("br1"));
            let guard = PortGuard::new("pa").mac("02:00:00:00:00:0a").address("10.0.0.2");
            let _firewall = Host::firewall().port(guard).create(&net.router).unwrap();
            let arrived = Rule::new().source_mac("02:00:00:00:00:0b").counter();
            let port = Chain::new("pa").hook(Hook::Ingress, Priority(0)).dev("pa").rule(arrived);
            let table = Table::new(Family::Netdev, "t").chain(port).create(&net.router).unwrap();
            let arrived = table.chain("pa").unwrap().rules().unwrap().remove(0).0;
            let (a, b) = (&net.a, &net.b);
            b.0.peer().set_mac("02:00:00:00:00:0b").unwrap();
            assert!(reaches(&b.1, "10.0.0.1"), "the bridge knows where it is");
            a.0.peer().set_mac("02:00:00:00:00:0b").unwrap();
            let frame = |last: &str| {
                let neighbor = ["neigh", "replace", "10.0.0.200", "dev", "eth0", "lladdr"];
                let to = format!("01:80:c2:00:00:{last}");
                support::ip(&Place::of_fd(&*a.1), &[&neighbor[..], &[&to]].concat())?;
                let before = arrived.counter().unwrap().packets;
                let socket = a.1.udp_bind("10.0.0.2:0").unwrap();
                socket.send_to(b"spoofed", "10.0.0.200:9").unwrap();
                support::eventually("the frame has arrived", || {
                    arrived.counter().unwrap().packets > before
                });
                Some(())
            };
            for last in ["02", "03", "0e"] {
                let Some(()) = frame(last) else { return };
                // The host's packets to b reach b, or follow what the bridge learned from the
                // forged frame.
                assert_eq!(reaches(&net.router, "10.0.0.3"), !learns, "{last}");
                assert!(reaches(&b.1, "10.0.0.1"));
            }
        }
    });
}

/// Sends an `ICMPv6` message from an address to all nodes on the link.
fn say(from: &Netns, source: &str, index: u32, message: &[u8]) {
    const ICMPV6: u8 = 58;
    let socket = from.raw_ipv6_socket(ICMPV6).unwrap();
    setsockopt(&socket, sockopt::Ipv6MulticastHops, &255).unwrap();
    let address =
        |text: &str| SockaddrIn6::from(SocketAddrV6::new(text.parse().unwrap(), 0, 0, index));
    bind(socket.as_raw_fd(), &address(source)).unwrap();
    let sent = sendto(socket.as_raw_fd(), message, &address("ff02::1"), MsgFlags::empty());
    assert_eq!(sent, Ok(message.len()));
}

/// Returns a neighbour advertisement that binds an address to a MAC address (RFC 4861).
fn advertisement(target: &str, mac: [u8; 6]) -> Vec<u8> {
    let target: Ipv6Addr = target.parse().unwrap();
    let head = [136, 0, 0, 0, 0x20, 0, 0, 0];
    [&head[..], &target.octets(), &[2, 1], &mac].concat()
}

#[test]
fn a_guarded_port_takes_no_neighbours_ipv6_address() {
    support::isolated(|| {
        let net = Host::new();
        let (cable, a) = &net.a;
        let mac = |netns: &Netns, name: &str| {
            let links = netns.links().unwrap();
            let found = links.iter().find(|link| link.name == name).unwrap();
            (found.index, found.mac.unwrap().octets())
        };
        let ((a_index, a_mac), (b_index, b_mac)) = (mac(a, "eth0"), mac(&net.b.1, "eth0"));
        let (bridge, bridge_mac) = mac(&net.router, "br0");
        let own = "fe80::ff:fe00:a";
        let others = ["fd00::77/64", "fe80::77/64"]
            .map(|other| Address::new(other).create(cable.peer()).unwrap());
        // Returns whether b receives the message.
        let is_heard = |source: &str, message: &[u8]| {
            let ears = net.b.1.raw_ipv6_socket(58).unwrap();
            let patience = TimeVal::milliseconds(200);
            setsockopt(&ears, sockopt::ReceiveTimeout, &patience).unwrap();
            say(a, source, a_index.get(), message);
            let mut heard = [0; 128];
            loop {
                match recv(ears.as_raw_fd(), &mut heard, MsgFlags::empty()) {
                    Ok(length)
                        if heard[..2] == message[..2] && heard[4..length] == message[4..] =>
                    {
                        return true;
                    }
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        };
        let router = [134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        let redirect = [&[137, 0, 0, 0, 0, 0, 0, 0][..], &[0; 32]].concat();
        let solicitation = [133, 0, 0, 0, 0, 0, 0, 0];
        let bad: [(&str, &[u8]); 7] = [
            ("fd00::2", &advertisement("fd00::3", a_mac)),
            (own, &advertisement("fd00::1", a_mac)),
            (own, &advertisement("fe80::1", a_mac)),
            (own, &router),
            (own, &redirect),
            ("fe80::77", &solicitation),
            ("fd00::77", &advertisement("fd00::2", a_mac)),
        ];
        let good: [(&str, &[u8]); 3] = [
            ("fd00::2", &advertisement("fd00::2", a_mac)),
            (own, &advertisement(own, a_mac)),
            (own, &solicitation),
        ];
        let lies = || say(a, "fd00::2", a_index.get(), &advertisement("fd00::3", a_mac));
        let mends = || {
            say(&net.b.1, "fd00::3", b_index.get(), &advertisement("fd00::3", b_mac));
            say(&net.router, "fd00::1", bridge.get(), &advertisement("fd00::1", bridge_mac));
        };
        assert!(reaches(&net.router, "fd00::3"));
        assert!((0..20).any(|_| {
            lies();
            !reaches(&net.router, "fd00::3")
        }));
        assert!(bad.iter().all(|(source, message)| is_heard(source, message)));
        assert!((0..20).any(|_| {
            mends();
            reaches(&net.router, "fd00::3")
        }));
        let guard = PortGuard::new("pa").mac("02:00:00:00:00:0a");
        let guard = guard.address("10.0.0.2").address("fd00::2");
        let firewall = Host::firewall().port(guard).create(&net.router).unwrap();
        lies();
        assert!(reaches(&net.router, "fd00::3"));
        let heard = bad.map(|(source, message)| is_heard(source, message));
        assert_eq!(heard, [false; 7]);
        let heard = good.map(|(source, message)| is_heard(source, message));
        assert_eq!(heard, [true; 3]);
        // A guard without a MAC address does not know the port's link-local address.
        Owned::adopt(firewall.guard("pa").unwrap()).delete().unwrap();
        let _guard = PortGuard::new("pa").address("fd00::2").create(&firewall).unwrap();
        assert!(is_heard("fe80::77", &solicitation) && !is_heard(own, &router));
        drop(others);
        // Container a also received its own forged messages, and needs correct entries first.
        assert!((0..20).any(|_| {
            mends();
            reaches(&net.b.1, "fd00::2") && reaches(&net.router, "fd00::2")
        }));
    });
}

#[test]
fn a_syn_carries_a_segment_size_that_fits() {
    support::isolated(|| {
        let net = Host::new();
        // The reduced MTU is known to the host alone, not to the containers.
        net.world.0.near().set_mtu(1300).unwrap();
        let offered = |server: &str| {
            let listener = net.world.1.run(|| TcpListener::bind(server).unwrap()).unwrap();
            let client = net.a.1.run(|| TcpStream::connect(server).unwrap()).unwrap();
            let (served, _) = listener.accept().unwrap();
            drop(client);
            getsockopt(&served, sockopt::TcpMaxSeg).unwrap()
        };
        // Linux subtracts 12 bytes for the timestamp option.
        let (v4, v6) = ("198.51.100.1:80", "[2001:db8::1]:80");
        assert_eq!([offered(v4), offered(v6)], [1500 - 40 - 12, 1500 - 60 - 12]);
        let _firewall = Host::firewall().clamp_mss().create(&net.router).unwrap();
        assert_eq!([offered(v4), offered(v6)], [1300 - 40 - 12, 1300 - 60 - 12]);
    });
}

#[test]
fn what_is_of_no_network_is_dropped_on_request() {
    support::isolated(|| {
        let net = Host::new();
        let only = Firewall::new().network("br1");
        let firewall = only.clone().create(&net.router).unwrap();
        assert!(reaches(&net.world.1, "10.0.0.2") && reaches(&net.world.1, "fd00::2"));
        drop(firewall);
        let _firewall = only.default_drop().create(&net.router).unwrap();
        assert!(!reaches(&net.world.1, "10.0.0.2") && !reaches(&net.world.1, "fd00::2"));
        assert!(reaches(&net.c.1, "198.51.100.1") && reaches(&net.c.1, "2001:db8::1"));
    });
}

#[test]
fn chains_that_drop_are_named() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let other = Netns::from_fd(std::os::fd::AsFd::as_fd(&*netns).try_clone_to_owned().unwrap())
            .unwrap();
        let chain = |name, hook| Chain::new(name).hook(hook, Priority::FILTER).policy(Policy::Drop);
        let table = |family, chain| Table::new(family, "theirs").chain(chain).create(&other);
        let _theirs = Table::new(Family::Ip, "docker")
            .chain(chain("FORWARD", Hook::Forward))
            .chain(chain("INPUT", Hook::Input))
            .chain(chain("OUTPUT", Hook::Output))
            .create(&other)
            .unwrap();
        let _ingress = [
            table(Family::Inet, chain("i", Hook::Ingress).dev("lo")).unwrap(),
            table(Family::Netdev, chain("n", Hook::Ingress).dev("lo")).unwrap(),
            table(Family::Arp, chain("a", Hook::Input)).unwrap(),
        ];
        let asleep = Table::new(Family::Ip6, "asleep").dormant();
        let _asleep = asleep.chain(chain("f", Hook::Forward)).create(&other).unwrap();
        let _ours = Firewall::new().default_drop().create(&netns).unwrap();
        let tagged = Firewall::new().persistent("plugin").default_drop();
        let tagged = tagged.create(&other).unwrap();
        let named = |found: Vec<netloom::Obstacle>| {
            let mut named: Vec<_> = found
                .iter()
                .map(|found| format!("{} {} {}", found.family, found.table, found.hook))
                .collect();
            named.sort();
            named
        };
        let mut expected = vec![
            "arp theirs input".to_owned(),
            "inet theirs ingress".into(),
            "ip docker forward".into(),
            "ip docker output".into(),
            "netdev theirs ingress".into(),
        ];
        assert_eq!(
            named(netns.firewalls_with_tag("plugin").unwrap()[0].obstacles().unwrap()),
            expected
        );
        let found = Firewall::obstacles(&netns).unwrap();
        assert!(found.iter().any(|found| found.to_string().contains("`ip docker FORWARD`")));
        let ours = found.iter().find(|found| found.tag.is_some()).unwrap();
        assert!(ours.to_string().contains("(tag `plugin`)"));
        expected.insert(1, "inet netloom-firewall-tagged-0 forward".into());
        assert_eq!(named(found), expected);
        tagged.delete().unwrap();
    });
}

#[test]
fn a_persistent_one_is_found_by_its_tag_and_changed_by_others() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        {
            let maker = host.run(|| Netns::current().unwrap()).unwrap();
            let firewall = Firewall::new().name("plugin").persistent("plugin").network("br0");
            firewall.create(&maker).unwrap().keep();
        }
        assert_eq!(host.firewalls_with_tag("other").unwrap(), []);
        let found = host.firewalls_with_tag("plugin").unwrap();
        assert_eq!(found.len(), 1);
        found[0].add_network("br1").unwrap();
        let networks = found[0].table().set("networks").unwrap();
        assert_eq!(networks.elements().unwrap().len(), 2);
        let guard = PortGuard::new("port1").address("10.0.0.2").create(&found[0]).unwrap();
        guard.delete().unwrap();
        Owned::adopt(found[0].clone()).delete().unwrap();
        assert_eq!(support::kernel::tables(&host), Vec::<String>::new());
    });
}
