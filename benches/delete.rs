//! Taking down a thousand containers of one bridge, and building and removing a small network.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)] // a bench is no library

use criterion::{Criterion, criterion_group, criterion_main};
use netloom::{
    Bridge, Forwarding, Link, Namespace, NatRule, Netns, Owned, Together, Veth, VethEnd, VethPair,
};

mod harness;
mod raw;

use harness::{compare, contender, is_trial, settle, timed};
use raw::attach::{Attach, Plan};
use raw::network::Network;

type Container = (Owned<Netns>, Owned<Veth>);

fn attach(host: &Netns, bridge: &Link, n: u32, ipv6: bool) -> Container {
    let plan = Plan::number(n);
    let container = Namespace::anonymous().create().unwrap();
    let port = VethEnd::new(&plan.port).master(bridge).up();
    let address = ipnet::IpNet::new(plan.address.into(), 16).unwrap();
    let mut eth0 = VethEnd::new("eth0").address(address).gateway("10.0.0.1").loopback_up().up();
    if !ipv6 {
        eth0 = eth0.no_ipv6_address();
    }
    let cable = VethPair::new(port, eth0).create_between(host, &container).unwrap();
    (container, cable)
}

fn many(_: &mut Criterion) {
    taken_down(1_000, 12, vec![("netloom, a Together of them", |all| drop(Together::new(all)))]);
    taken_down(
        300,
        12,
        vec![
            ("netloom, a Together of them", |all| drop(Together::new(all))),
            ("netloom, Together::delete", |all| Together::new(all).delete().unwrap()),
            ("netloom, one inside the other", |all| drop(Together::new(cells(all)))),
            ("netloom, cables before namespaces", |all| {
                let (containers, cables): (Vec<_>, Vec<_>) = all.into_iter().unzip();
                drop(Together::new((cables, containers)));
            }),
            ("netloom, Owned::delete_all", |all| {
                let (containers, cables): (Vec<_>, Vec<_>) = all.into_iter().unzip();
                Together::new(cables).delete().unwrap();
                Together::new(containers).delete().unwrap();
            }),
        ],
    );
}

/// A way to take down all containers.
type Way = (&'static str, fn(Vec<Container>));

/// Measures taking down this many containers of one bridge, in each of these ways and by the raw
/// replay.
fn taken_down(many: u32, rounds: usize, ways: Vec<Way>) {
    let all = if is_trial() { 20 } else { many };
    let host = Namespace::anonymous().create().unwrap();
    let bridge = Bridge::new("br0").address("10.0.0.1/16").up().create(&host).unwrap();
    let socket = raw::open_in(&host);
    let build = || -> Vec<_> { (0..all).map(|n| attach(&host, &bridge, n, false)).collect() };
    let names_are_free = || assert_eq!(host.links().unwrap().len(), 2);
    let by = |(name, take_down): Way| {
        let (build, names_are_free, host) = (&build, &names_are_free, &host);
        contender(name, move || {
            let containers = build();
            let time = timed(|| take_down(containers));
            names_are_free();
            settle(host);
            time
        })
    };
    let mut replays: Vec<_> =
        (0..all).map(|n| Attach::prepare(&host, bridge.index().get(), &Plan::number(n))).collect();
    let replay = || {
        let attach = |replay: &mut Attach| {
            let attached = replay.run();
            replay.go_home();
            attached
        };
        let attached: Vec<_> = replays.iter_mut().map(attach).collect();
        let ports = bridge.ports().unwrap();
        let datagrams =
            raw::group_delete(&ports.iter().map(|port| port.index.get()).collect::<Vec<_>>());
        let time = timed(|| {
            for datagram in &datagrams {
                raw::exchange(&socket, datagram);
            }
            drop(attached);
        });
        names_are_free();
        settle(&host);
        time
    };
    let mut contenders: Vec<_> = ways.into_iter().map(by).collect();
    contenders.push(contender("raw group replay", replay));
    compare(&format!("take down {many} containers"), rounds, contenders);
}

/// The owners of one container, nested as in a program.
struct Cell {
    _container: Owned<Netns>,
    _cable: Together<Option<Owned<Veth>>>,
}

/// Puts the containers into a list of lists.
fn cells(all: Vec<Container>) -> Vec<Vec<Cell>> {
    let cell = |(container, cable)| Cell { _container: container, _cable: Some(cable).into() };
    let mut left = all.into_iter().map(cell).peekable();
    let tens =
        std::iter::from_fn(|| left.peek().is_some().then(|| left.by_ref().take(10).collect()));
    tens.collect()
}

/// Measures the gain of a `Together`: the same owners dropped together, and one by one.
fn one_by_one(_: &mut Criterion) {
    let all = if is_trial() { 5 } else { 100 };
    let host = Namespace::anonymous().create().unwrap();
    let bridge = Bridge::new("br0").address("10.0.0.1/16").up().create(&host).unwrap();
    let build = || -> Vec<_> { (0..all).map(|n| attach(&host, &bridge, n, false)).collect() };
    let taken_down = |mut take_down: Box<dyn FnMut(Vec<Container>)>| {
        let (build, host) = (&build, &host);
        move || {
            let containers = build();
            let time = timed(|| take_down(containers));
            assert_eq!(host.links().unwrap().len(), 2);
            settle(host);
            time
        }
    };
    let each = |(container, cable): Container| {
        drop(cable);
        drop(container);
    };
    compare(
        "take down 100 containers",
        3,
        vec![
            contender(
                "one by one",
                taken_down(Box::new(move |all| all.into_iter().for_each(each))),
            ),
            contender("a Together of them", taken_down(Box::new(|all| drop(Together::new(all))))),
        ],
    );
}

fn small(_: &mut Criterion) {
    let host = Netns::current().unwrap();
    let build = || {
        let bridge = Bridge::new("br0").address("10.0.0.1/16").up().create(&host).unwrap();
        let containers = [1, 2].map(|n| attach(&host, &bridge, n, true));
        let forwarding = Forwarding::ipv4().create(&host).unwrap();
        let nat = NatRule::masquerade().source("10.0.0.0/24").create(&host).unwrap();
        Together::new((bridge, containers, forwarding, nat))
    };
    let mut replay = Network::prepare(&host);
    let mut built = None;
    compare(
        "build a small network",
        31,
        vec![
            contender("netloom", || {
                let time = timed(|| built = Some(build()));
                built = None;
                settle(&host);
                time
            }),
            contender("raw replay", || {
                let mut attached = Vec::new();
                let time = timed(|| attached = replay.build());
                replay.remove(attached);
                settle(&host);
                time
            }),
        ],
    );
    let mut replay = Network::prepare(&host);
    compare(
        "remove a small network",
        31,
        vec![
            contender("netloom, together", || {
                let network = build();
                let time = timed(|| drop(network));
                assert_eq!(host.links().unwrap().len(), 1);
                settle(&host);
                time
            }),
            contender("raw replay", || {
                let attached = replay.build();
                let time = timed(|| replay.remove(attached));
                settle(&host);
                time
            }),
        ],
    );
}

criterion_group!(benches, many, one_by_one, small);
criterion_main!(benches);
