//! A test network: two containers on a host's bridge, and a machine outside.

use std::net::IpAddr;

use netloom::{
    Bridge, Forwarding, ForwardingHandle, Link, Netns, Owned, PortForward, Protocol, Sysctl, Veth,
    VethEnd, VethPair,
};

use crate::support;
use crate::traffic::{PATIENCE, SHORT, Server, namespace, tcp, udp};

/// Two containers on a host's bridge, and a machine outside.
pub(crate) struct Lab {
    pub(crate) host: Owned<Netns>,
    pub(crate) web: Owned<Netns>,
    pub(crate) neighbor: Owned<Netns>,
    pub(crate) outside: Owned<Netns>,
    _bridge: Owned<Link>,
    _cables: [Owned<Veth>; 3],
    _on: [Owned<ForwardingHandle>; 2],
}

impl Lab {
    /// Creates the network. If `bridged`, netfilter sees bridged packets (`br_netfilter`).
    pub(crate) fn new(bridged: bool) -> Self {
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
            // Hairpin mode sends packets back out of the port they came from.
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

    pub(crate) fn servers(&self) -> [Server; 2] {
        ["10.0.0.2:80", "[fd00::2]:80"].map(|address| Server::start(&self.web, address))
    }

    /// Publishes the port for TCP and for UDP.
    pub(crate) fn publish(&self, forward: &PortForward) -> [Owned<netloom::PortForwardHandle>; 2] {
        [Protocol::TCP, Protocol::UDP]
            .map(|protocol| forward.clone().protocol(protocol).create(&self.host).unwrap())
    }
}

/// Returns the client address that the server saw, the same over TCP and UDP.
#[track_caller]
pub(crate) fn seen(from: &Netns, server: &str) -> IpAddr {
    let [tcp, udp] = [tcp(from, server, PATIENCE), udp(from, server, PATIENCE)]
        .map(|seen| seen.unwrap_or_else(|error| panic!("{server}: {error}")));
    assert_eq!(tcp.ip(), udp.ip());
    tcp.ip()
}

#[track_caller]
pub(crate) fn assert_lost(from: &Netns, server: &str) {
    for seen in [tcp(from, server, SHORT), udp(from, server, SHORT)] {
        assert!(seen.is_err(), "{server}: {seen:?}");
    }
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Runs `work` with held ports, and again with persistent ports of a tag.
pub(crate) fn of_both_kinds(work: impl Fn(Option<&str>)) {
    support::isolated(|| [None, Some("net1/web")].into_iter().for_each(work));
}

pub(crate) fn of_kind(tag: Option<&str>, forward: PortForward) -> PortForward {
    match tag {
        Some(tag) => forward.persistent(tag),
        None => forward,
    }
}

/// Returns another handle with its own sockets, as another process has one.
pub(crate) fn another(netns: &Netns) -> Netns {
    netns.run(|| Netns::current().unwrap()).unwrap()
}

/// Creates a host with a bridge. Its containers need not exist.
pub(crate) fn host() -> (Owned<Netns>, Owned<Link>) {
    let host = namespace();
    host.link("lo").unwrap().set_up().unwrap();
    let bridge = Bridge::new("br0").address("10.0.0.1/16").address("fd00::1/64").up();
    let bridge = bridge.create(&host).unwrap();
    (host, bridge)
}

/// Returns the persistent ports with a tag.
pub(crate) fn ports_of(netns: &Netns, tag: &str) -> Vec<netloom::PortForwardHandle> {
    netns.port_forwards_with_tag(tag).unwrap()
}
