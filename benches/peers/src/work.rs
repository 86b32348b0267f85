//! The works, each done by all contenders that can do it.

use std::cell::RefCell;
use std::fs::File;
use std::time::Duration;

use ipnet::IpNet;
use netloom::nft::{Family, Set, Table, Type};
use netloom::{
    Bridge, Forwarding, Link, Namespace, NatRule, Netns, Owned, Together, Veth, VethEnd, VethPair,
};

use crate::harness::{contender, medians, settle, settle_after, timed};
use crate::peers::{Calls, Nlink, Rtnetlink, ip, ip_attach, run};
use crate::plot::Curve;
use crate::raw;
use crate::raw::attach::{Attach, Plan};
use crate::raw::network::Network;
use crate::report::{BATCHES, Report, SINGLE};
use crate::routes::to;

pub fn cable(host: &Netns, bridge: &Link, plan: &Plan) -> (Owned<Veth>, Owned<Netns>) {
    let container = Namespace::anonymous().create().unwrap();
    let port = VethEnd::new(&plan.port).master(bridge).up();
    let address = IpNet::new(plan.address.into(), 16).unwrap();
    let mut eth0 = VethEnd::new("eth0").address(address).gateway("10.0.0.1").loopback_up().up();
    if !plan.ipv6 {
        eth0 = eth0.no_ipv6_address();
    }
    (VethPair::new(port, eth0).create_between(host, &container).unwrap(), container)
}

/// Measures attaching one more container beside 1 to 1,000 without IPv6 addresses. Then beside
/// 1,000 with the IPv6 address that the kernel generates by default.
pub fn attach(report: &mut Report, quick: bool) -> Curve {
    let steps: &[u32] = if quick { &[1, 20] } else { &[1, 10, 30, 100, 300, 500, 1_000] };
    let curve = attach_beside(report, steps, false);
    attach_beside(report, &steps[steps.len() - 1..], true);
    curve
}

fn attach_beside(report: &mut Report, steps: &[u32], ipv6: bool) -> Curve {
    let host = Netns::current().unwrap();
    let bridge = Bridge::new("br0").address("10.0.0.1/16").up().create(&host).unwrap();
    let (rtnetlink, nlink) = (Rtnetlink::here(), Nlink::here());
    let plan = Plan { ipv6, ..Plan::number(60_000) };
    let mut replay = Attach::prepare(&host, bridge.index().get(), &plan);
    let closed = |(time, container): (Duration, File)| {
        drop(container);
        settle_after(&host, &plan.port);
        time
    };
    let mut there = Together::<Vec<_>>::default();
    let mut curve = Curve::new();
    for &many in steps {
        let numbers = u32::try_from(there.len()).unwrap()..many;
        there.extend(numbers.map(|n| cable(&host, &bridge, &Plan { ipv6, ..Plan::number(n) })));
        let measured = medians(
            12,
            &mut [
                contender("netloom", || {
                    let mut made = None;
                    let time = timed(|| made = Some(cable(&host, &bridge, &plan)));
                    made.into_iter().for_each(|(cable, container)| drop((cable.keep(), container)));
                    settle_after(&host, &plan.port);
                    time
                }),
                contender("raw replay", || replay.turn(&host, &plan)),
                contender("nlink", || closed(nlink.attach(bridge.index().get(), &plan))),
                contender("rtnetlink", || closed(rtnetlink.attach(bridge.index().get(), &plan))),
                contender(BATCHES, || closed(ip_attach(Calls::Batches, &plan))),
                contender(SINGLE, || closed(ip_attach(Calls::Single, &plan))),
            ],
        );
        let addresses = if ipv6 { "all with IPv6 addresses" } else { "no IPv6 addresses" };
        report.add(format!("one more container beside {many}, {addresses}"), &measured);
        curve.push((many, measured));
    }
    drop(Together::new((there, bridge)));
    settle(&host);
    curve
}

/// Measures building a network, and removing it.
pub fn network(report: &mut Report) {
    let host = Netns::current().unwrap();
    let build = || {
        let bridge = Bridge::new("br0").address("10.0.0.1/16").up().create(&host).unwrap();
        let plan = |n| Plan { ipv6: true, ..Plan::number(n) };
        let containers = [1, 2].map(|n| cable(&host, &bridge, &plan(n)));
        let forwarding = Forwarding::ipv4().create(&host).unwrap();
        let nat = NatRule::masquerade().source("10.0.0.0/24").create(&host).unwrap();
        Together::new((bridge, containers, forwarding, nat))
    };
    let replay = RefCell::new(Network::prepare(&host));
    let removed = RefCell::new([const { Vec::new() }; 5]);
    let nlink = Nlink::here();
    let by_commands = |calls, at: usize| {
        let time = timed(|| by_commands(calls));
        removed.borrow_mut()[at].push(timed(|| remove_by_commands(calls)));
        settle(&host);
        time
    };
    let built = medians(
        20,
        &mut [
            contender("netloom", || {
                let mut network = None;
                let time = timed(|| network = Some(build()));
                removed.borrow_mut()[0].push(timed(|| drop(network.take())));
                settle(&host);
                time
            }),
            contender("raw replay", || {
                let mut attached = Vec::new();
                let time = timed(|| attached = replay.borrow_mut().build());
                removed.borrow_mut()[1].push(timed(|| replay.borrow().remove(attached)));
                settle(&host);
                time
            }),
            contender("nlink", || {
                let mut made = Vec::new();
                let time = timed(|| made = nlink.network());
                removed.borrow_mut()[2].push(timed(|| nlink.remove(made)));
                settle(&host);
                time
            }),
            contender(BATCHES, || by_commands(Calls::Batches, 3)),
            contender(SINGLE, || by_commands(Calls::Single, 4)),
        ],
    );
    let names = ["netloom", "raw replay", "nlink", BATCHES, SINGLE];
    let removed = names.into_iter().zip(removed.into_inner()).map(|(name, mut times)| {
        times.sort_unstable();
        (name, times[times.len() / 2])
    });
    report.add("a small network built", &built);
    report.add("the same removed, names free again", &removed.collect::<Vec<_>>());
}

pub const RULESET: &str = "table ip t {\nchain c {\ntype nat hook postrouting priority 100;\n\
     ip saddr 10.0.0.0/24 masquerade\n}\n}\n";

fn by_commands(calls: Calls) {
    let mut host = "link add br0 up type bridge\naddress add 10.0.0.1/16 dev br0\n".to_owned();
    for n in [1, 2] {
        run("ip", &["netns", "add", &format!("c{n}")], "");
        host += &format!("link add p{n} up master br0 type veth peer name eth0 netns c{n}\n");
    }
    ip(calls, None, &host);
    for n in [1, 2] {
        let there = format!(
            "address add 10.0.1.{n}/16 dev eth0\nlink set lo up\nlink set eth0 up\n\
             route add default via 10.0.0.1\n"
        );
        ip(calls, Some(&format!("c{n}")), &there);
    }
    match calls {
        Calls::Batches => {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            run("nft", &["-f", "-"], RULESET);
        }
        Calls::Single => {
            run("sysctl", &["-qw", "net.ipv4.ip_forward=1"], "");
            run("nft", &["add table ip t"], "");
            run("nft", &["add chain ip t c { type nat hook postrouting priority 100; }"], "");
            run("nft", &["add rule ip t c ip saddr 10.0.0.0/24 masquerade"], "");
        }
    }
}

fn remove_by_commands(calls: Calls) {
    run("nft", &["delete", "table", "ip", "t"], "");
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
    ip(calls, None, "link del p1\nlink del p2\nlink del br0\n");
    run("ip", &["netns", "del", "c1"], "");
    run("ip", &["netns", "del", "c2"], "");
}

/// Measures finding a link by name among 1,000, and listing all of them.
pub fn one_link(report: &mut Report, quick: bool) {
    let many = if quick { 20 } else { 1_000 };
    let host = Netns::current().unwrap();
    let pair = |n| VethPair::new(format!("a{n}"), format!("b{n}")).create(&host);
    let there: Together<Vec<_>> = (0..many / 2).map(pair).collect::<Result<_, _>>().unwrap();
    let (rtnetlink, nlink, socket) = (Rtnetlink::here(), Nlink::here(), raw::open_in(&host));
    let request = raw::link_by_name("a7");
    let measured = medians(
        501,
        &mut [
            contender("netloom", || timed(|| host.link("a7").unwrap())),
            contender("raw replay", || timed(|| raw::get(&socket, &request))),
            contender("nlink", || timed(|| nlink.link("a7"))),
            contender("rtnetlink", || timed(|| rtnetlink.link("a7"))),
        ],
    );
    report.add(format!("one link by its name among {many}"), &measured);
    let least = many;
    let measured = medians(
        51,
        &mut [
            contender("netloom", || timed(|| assert!(host.links().unwrap().len() >= least))),
            contender("nlink", || timed(|| assert!(nlink.links_out() >= least))),
            contender("rtnetlink", || timed(|| assert!(rtnetlink.links_out() >= least))),
            contender(BATCHES, || timed(|| run("ip", &["link", "show"], ""))),
        ],
    );
    report.add(format!("{many} links out, by value"), &measured);
    drop(there);
}

/// Measures creating the elements of a set whose size is declared.
pub fn set(report: &mut Report, quick: bool) {
    let many = if quick { 1_000 } else { 100_000 };
    let host = Netns::current().unwrap();
    let elements: Vec<_> = (0..many).map(to).collect();
    let list: Vec<_> = elements.iter().map(ToString::to_string).collect();
    let nlink = Nlink::here();
    let text = format!(
        "table ip t {{\nset s {{\ntype ipv4_addr; size {many}\nelements = {{ {} }}\n}}\n}}\n",
        list.join(", ")
    );
    let measured = medians(
        5,
        &mut [
            contender("netloom", || {
                let mut made = None;
                let set =
                    || Set::new("s", Type::Ipv4).size(many).elements(elements.iter().copied());
                let create = || Table::new(Family::Ip, "t").set(set()).create(&host).unwrap();
                settle(&host);
                let time = timed(|| made = Some(create()));
                drop(made);
                time
            }),
            contender("nlink", || {
                settle(&host);
                let time = timed(|| nlink.set(&elements));
                nlink.remove_table();
                time
            }),
            contender(BATCHES, || {
                settle(&host);
                let time = timed(|| run("nft", &["-f", "-"], &text));
                run("nft", &["delete", "table", "ip", "t"], "");
                time
            }),
        ],
    );
    report.add(format!("a set of {many} elements"), &measured);
}
