//! The firewall, by packets: networks apart, answers in, no spoofed frames, segments that fit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;
mod traffic;

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use netloom::nft::{Chain, ChainKind, Family, Hook, Policy, Priority, Rule, Table};
use netloom::{
    Address, Bridge, Firewall, Forwarding, ForwardingHandle, Link, Namespace, Netns, Owned, Ping,
    PortGuard, Veth, VethEnd, VethPair,
};
use nix::sys::socket::{getsockopt, sockopt};

use traffic::{Server, namespace};

/// Two bridges with containers, and the world outside.
struct Host {
    _forwarding: Owned<ForwardingHandle>,
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
        let bridge = |name, address| Bridge::new(name).address(address).up().create(&host).unwrap();
        let br0 = bridge("br0", "10.0.0.1/24");
        let br1 = bridge("br1", "10.0.1.1/24");
        let attach = |port: &str, bridge: &Link, address: &str, gateway: &str| {
            let container = namespace();
            let near = VethEnd::new(port).master(bridge).up();
            let mac = "02:00:00:00:00:0a";
            let end = VethEnd::new("eth0").mac(mac).address(address).gateway(gateway).up();
            let end = if port == "pa" {
                end
            } else {
                VethEnd::new("eth0").address(address).gateway(gateway).up()
            };
            let cable = VethPair::new(near, end).create_between(&host, &container).unwrap();
            (cable, container)
        };
        let a = attach("pa", &br0, "10.0.0.2/24", "10.0.0.1");
        let b = attach("pb", &br0, "10.0.0.3/24", "10.0.0.1");
        let c = attach("pc", &br1, "10.0.1.2/24", "10.0.1.1");
        let world = namespace();
        let cable = VethPair::new(
            VethEnd::new("out0").address("198.51.100.2/24").up(),
            VethEnd::new("eth0").address("198.51.100.1/24").gateway("198.51.100.2").up(),
        )
        .create_between(&host, &world)
        .unwrap();
        let forwarding = Forwarding::ipv4().create(&host).unwrap();
        let world = (cable, world);
        // A veth's carrier may be noticed up to a second late.
        let settled = || {
            let all = [(&world.1, "10.0.0.2"), (&world.1, "10.0.0.3"), (&world.1, "10.0.1.2")];
            all.iter().all(|(from, to)| reaches(from, to))
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
        ];
        assert!(all.iter().all(|(from, to)| reaches(from, to)), "all is open before");
        let firewall = Host::firewall().create(&net.router).unwrap();
        let reached: Vec<_> = all.iter().map(|(from, to)| reaches(from, to)).collect();
        assert_eq!(reached, [false, true, true, false]);
        assert!(reaches(&net.a.1, "10.0.0.1"), "the host itself is let alone");
        firewall.remove_network("br1").unwrap();
        assert!(reaches(&net.world.1, "10.0.1.2"));
        firewall.add_network("br1").unwrap();
        assert!(!reaches(&net.world.1, "10.0.1.2"));
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
        let server = Server::start(&net.c.1, "10.0.1.2:80");
        let short = Duration::from_millis(150);
        assert!(traffic::tcp(&net.world.1, "10.0.1.2:80", short).is_err());
        let chain = Chain::new("pre")
            .kind(ChainKind::Nat)
            .hook(Hook::Prerouting, Priority::DESTINATION_NAT)
            .rule(Rule::new().tcp().dport(8080).dnat_to(([10, 0, 1, 2], 80)));
        let _nat = Table::new(Family::Ip, "publish").chain(chain).create(&net.router).unwrap();
        let seen = traffic::tcp(&net.world.1, "198.51.100.2:8080", traffic::PATIENCE).unwrap();
        assert_eq!(seen.ip().to_string(), "198.51.100.1");
        drop(server);
    });
}

#[test]
fn spoofed_frames_are_dropped() {
    support::isolated(|| {
        let net = Host::new();
        let guard = PortGuard::new("pa").mac("02:00:00:00:00:0a").address("10.0.0.2");
        let firewall = Host::firewall().port(guard).create(&net.router).unwrap();
        let (cable, a) = &net.a;
        assert!(reaches(a, "10.0.0.1") && reaches(a, "10.0.0.3"));
        // Another hardware address.
        cable.peer().set_mac("02:00:00:00:00:0b").unwrap();
        assert!(!reaches(a, "10.0.0.1") && !reaches(a, "10.0.0.3"));
        cable.peer().set_mac("02:00:00:00:00:0a").unwrap();
        assert!(reaches(a, "10.0.0.1"));
        // A neighbour's address: neither its packets nor its ARP come through.
        Address::new("10.0.0.77/24").create(cable.peer()).unwrap().keep();
        let server = Server::start(&net.router, "10.0.0.1:99");
        let asks_from = |address| {
            let socket = a.run(|| UdpSocket::bind((address, 0)).unwrap()).unwrap();
            socket.connect("10.0.0.1:99").unwrap();
            traffic::ask(&socket, traffic::SHORT).is_ok()
        };
        assert!(asks_from("10.0.0.2") && !asks_from("10.0.0.77"));
        drop(server);
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
        let offered = || {
            let listener =
                net.world.1.run(|| TcpListener::bind("198.51.100.1:80").unwrap()).unwrap();
            let client = net.a.1.run(|| TcpStream::connect("198.51.100.1:80").unwrap()).unwrap();
            let (served, _) = listener.accept().unwrap();
            drop(client);
            getsockopt(&served, sockopt::TcpMaxSeg).unwrap()
        };
        // Without the option for time stamps, 12 bytes.
        assert_eq!(offered(), 1500 - 40 - 12);
        let _firewall = Host::firewall().clamp_mss().create(&net.router).unwrap();
        assert_eq!(offered(), 1300 - 40 - 12);
    });
}

#[test]
fn what_is_of_no_network_is_dropped_on_request() {
    support::isolated(|| {
        let net = Host::new();
        let only = Firewall::new().network("br1");
        let firewall = only.clone().create(&net.router).unwrap();
        assert!(reaches(&net.world.1, "10.0.0.2"));
        drop(firewall);
        let _firewall = only.default_drop().create(&net.router).unwrap();
        assert!(!reaches(&net.world.1, "10.0.0.2"));
        assert!(reaches(&net.c.1, "198.51.100.1"));
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
