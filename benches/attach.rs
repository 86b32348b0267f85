//! Attaches one container to a bridge: a namespace, a veth pair, a bridge port, an address, `lo`,
//! up, a default route. Measured beside few and many other containers, and by several threads. The
//! raw replay sends the same messages, built beforehand, with bare system calls.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)] // a bench is no library

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use netloom::{Bridge, Link, Namespace, Netns, Owned, Together, Veth, VethEnd, VethPair};

mod harness;
mod raw;

use harness::{compare, contender, is_trial, settle, settle_after, timed};
use raw::attach::{Attach, Plan, Way};

type Container = (Owned<Veth>, Owned<Netns>);

fn attach(host: &Netns, bridge: &Link, plan: &Plan, queues: Option<u32>) -> Container {
    let container = Namespace::anonymous().create().unwrap();
    let mut port = VethEnd::new(&plan.port).master(bridge).up();
    let address = ipnet::IpNet::new(plan.address.into(), 16).unwrap();
    let mut eth0 = VethEnd::new("eth0").address(address).gateway("10.0.0.1").loopback_up().up();
    if let Some(queues) = queues {
        port = port.queues(queues);
        eth0 = eth0.queues(queues);
    }
    if !plan.ipv6 {
        eth0 = eth0.no_ipv6_address();
    }
    let cable = VethPair::new(port, eth0).create_between(host, &container).unwrap();
    (cable, container)
}

/// Closes the container's namespace, which deletes the cable, and waits until the kernel is done.
fn undo(host: &Netns, port: &str, (cable, container): Container) {
    drop((cable.keep(), container));
    settle_after(host, port);
}

/// Measures the gain of two datagrams, and of a peer that is created in its namespace.
fn other_ways(host: &Netns, bridge: &Link) {
    let plan = Plan::number(60_000);
    let by = |way| {
        let mut replay = Attach::prepare_by(way, host, bridge.index().get(), &plan);
        let plan = &plan;
        move || replay.turn(host, plan)
    };
    compare(
        "attach beside 100, no IPv6 address, other ways",
        42,
        vec![
            contender("each message alone", by(Way::Alone)),
            contender("the peer moved there", by(Way::Moved)),
            contender("raw replay", by(Way::Two)),
        ],
    );
}

/// Compares a bridge with one that does not snoop multicast.
fn without_snooping(host: &Netns, snooping: &Link, other: &Link) {
    let plan = Plan::number(60_000);
    let by = |bridge: &Link| {
        let mut replay = Attach::prepare(host, bridge.index().get(), &plan);
        let plan = &plan;
        move || replay.turn(host, plan)
    };
    compare(
        "attach beside 1000 of another bridge as well, no IPv6 address",
        40,
        vec![
            contender("without multicast snooping", by(other)),
            contender("raw replay", by(snooping)),
        ],
    );
}

/// Measures attaching a container beside this many others.
fn beside(host: &Netns, bridge: &Link, there: u32, ipv6: bool) {
    let plan = Plan { ipv6, ..Plan::number(60_000) };
    let replay = |bridge| {
        let mut replay = Attach::prepare(host, bridge, &plan);
        let plan = &plan;
        move || replay.turn(host, plan)
    };
    let ours = |queues: Option<u32>| {
        let plan = plan.clone();
        move || {
            let mut made = None;
            let time = timed(|| made = Some(attach(host, bridge, &plan, queues)));
            if let Some(made) = made {
                undo(host, &plan.port, made);
            }
            time
        }
    };
    let ipv6 = if ipv6 { "" } else { ", no IPv6 address" };
    compare(
        &format!("attach beside {there}{ipv6}"),
        40,
        vec![
            contender("netloom with one queue", ours(Some(1))),
            contender("netloom", ours(None)),
            contender("raw replay without a bridge", replay(0)),
            contender("raw replay", replay(bridge.index().get())),
        ],
    );
}

/// Measures attaching containers by several threads.
fn by_threads(host: &Netns, bridge: &Link, threads: u32) -> Duration {
    const ALL: u32 = 64;
    let mut made = Vec::new();
    let time = timed(|| {
        std::thread::scope(|scope| {
            let share = |thread| {
                let numbers = (0..ALL / threads).map(move |n| 50_000 + thread * ALL + n);
                let one = move |n| attach(host, bridge, &Plan::number(n), None);
                scope.spawn(move || numbers.map(one).collect::<Vec<_>>())
            };
            let working: Vec<_> = (0..threads).map(share).collect();
            made = working.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        });
    });
    drop(Together::new(made));
    settle(host);
    time
}

fn bench(_: &mut Criterion) {
    let host = Namespace::anonymous().create().unwrap();
    let bridge = Bridge::new("br0").address("10.0.0.1/16").up().create(&host).unwrap();
    let threads = [8, 2, 1].map(|threads| {
        let name =
            ["", "one thread", "2 threads", "", "", "", "", "", "8 threads"][threads as usize];
        let (host, bridge) = (&host, &bridge);
        contender(name, move || by_threads(host, bridge, threads))
    });
    compare("attach 64", 5, threads.into());
    let mut there = Together::<Vec<_>>::default();
    for (many, ipv6) in [(10, false), (100, true), (500, true), (1_000, true), (1_000, false)] {
        let all = if is_trial() { many / 10 } else { many };
        let numbers = u32::try_from(there.len()).unwrap()..all;
        there.extend(numbers.map(|n| attach(&host, &bridge, &Plan::number(n), None)));
        beside(&host, &bridge, many, ipv6);
        if many == 100 {
            other_ways(&host, &bridge);
        }
    }
    // With multicast snooping, the kernel visits every port for each port that comes up.
    let other = Bridge::new("br1").address("10.1.0.1/16").multicast_snooping(false).up();
    let other = other.create(&host).unwrap();
    let all = if is_trial() { 100 } else { 1_000 };
    let numbers = (0..all).map(|n| Plan::number(10_000 + n));
    there.extend(numbers.map(|plan| attach(&host, &other, &plan, None)));
    without_snooping(&host, &bridge, &other);
}

criterion_group!(benches, bench);
criterion_main!(benches);
