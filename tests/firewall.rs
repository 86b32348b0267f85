//! The firewall, by packets: networks apart, answers in, no spoofed frames, segments that fit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;
mod traffic;

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use netloom::nft::{Chain, Family, Hook, Policy, Priority, Table};
use netloom::{
    Address, Bridge, Firewall, Forwarding, ForwardingHandle, Link, Namespace, Netns, Owned, Ping,
    PortForward, PortGuard, Veth, VethEnd, VethPair,
};
use nix::sys::socket::{getsockopt, sockopt};

use traffic::{Server, namespace};

/// Two bridges with containers, and the world outside.
struct Host {
    _forwarding: [Owned<ForwardingHandle>; 2],
    a: (Owned<Veth>, Owned<Netns>),
    b: (Owned<Veth>, Owned<Netns>),
    c: (Owned<Veth>, Owned<Netns>),
    world: (Owned<Veth>, Owned<Netns>),
    _bridges: [Owned<Link>; 2],
    router: Owned<Netns>,
}

impl Host {
    fn new() -> Self {
        let host = namespace();
        let bridge =
            |name, v4, v6| Bridge::new(name).address(v4).address(v6).up().create(&host).unwrap();
        let br0 = bridge("br0", "10.0.0.1/24", "fd00::1/64");
        let br1 = bridge("br1", "10.0.1.1/24", "fd00:1::1/64");
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
        // A veth's carrier may be noticed up to a second late.
        let settled = || {
            let all = ["10.0.0.2", "10.0.0.3", "10.0.1.2", "fd00::2", "fd00::3", "fd00:1::2"];
            all.iter().all(|to| reaches(&world.1, to))
        };
        assert!((0..20).any(|_| settled()), "the network is not up");
        Self { _forwarding: forwarding, a, b, c, world, _bridges: [br0, br1], router: host }
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
        // Another hardware address.
        cable.peer().set_mac("02:00:00:00:00:0b").unwrap();
        assert_eq!(all_reach(a, others), [false; 4]);
        cable.peer().set_mac("02:00:00:00:00:0a").unwrap();
        assert!(reaches(a, "10.0.0.1") && reaches(a, "fd00::1"));
        // A neighbour's address: neither its packets nor its ARP come through.
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
        // A port that is not guarded is let alone, one that is guarded later is not.
        net.b.0.peer().set_mac("02:00:00:00:00:0c").unwrap();
        assert!(reaches(&net.b.1, "10.0.0.1"));
        let later = PortGuard::new("pb").mac("02:00:00:00:00:0d").create(&firewall).unwrap();
        assert!(!reaches(&net.b.1, "10.0.0.1"));
        assert!(later.chain().rules().unwrap().len() == 2);
        let again = PortGuard::new("pb").mac("02:00:00:00:00:0d").create(&firewall);
        assert!(again.unwrap_err().is_already_exists());
        drop(later);
        assert!(reaches(&net.b.1, "10.0.0.1"));
    });
}

#[test]
fn a_syn_carries_a_segment_size_that_fits() {
    support::isolated(|| {
        let net = Host::new();
        // Only the host knows of the narrow way.
        net.world.0.near().set_mtu(1300).unwrap();
        let offered = |server: &str| {
            let listener = net.world.1.run(|| TcpListener::bind(server).unwrap()).unwrap();
            let client = net.a.1.run(|| TcpStream::connect(server).unwrap()).unwrap();
            let (served, _) = listener.accept().unwrap();
            drop(client);
            getsockopt(&served, sockopt::TcpMaxSeg).unwrap()
        };
        // Without the option for time stamps, 12 bytes.
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
        let _theirs = Table::new(Family::Ip, "docker")
            .chain(chain("FORWARD", Hook::Forward))
            .chain(chain("INPUT", Hook::Input))
            .create(&other)
            .unwrap();
        let _ours = Firewall::new().default_drop().create(&netns).unwrap();
        let found = Firewall::obstacles(&netns).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].family, found[0].hook), (Family::Ip, Hook::Forward));
        assert!(found[0].to_string().contains("`ip docker FORWARD`"));
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
        assert_eq!(Firewall::find_tagged(&host, "other").unwrap(), []);
        let found = Firewall::find_tagged(&host, "plugin").unwrap();
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
